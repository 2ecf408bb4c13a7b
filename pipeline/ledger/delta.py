"""Committed runs as Delta tables, by reference: no data file is copied or rewritten.

`_data/images`, `_data/crops` and `_data/candidates` are the tables' roots. Publishing a run adds
its files in one Delta commit that carries the run id as its application id, so publishing it again
does nothing. Needs the optional package `deltalake`.

A Delta table is the sum of what was published: an image that two published runs have is there
twice, with its run in the column of the path. `open_run` gives the current rows alone.
Retention is set to a hundred years, since VACUUM would take open runs for garbage; `runs.py gc`
is the one that removes files.
"""

import json
from typing import Any

from pipeline.errors import LedgerError, UsageError
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.records import DataFile
from pipeline.ledger.tables import TABLES, decode_table
from pipeline.storage.addresses import scheme_of
from pipeline.storage.store import Store

CONFIGURATION = {"delta.deletedFileRetentionDuration": "interval 36500 days"}
TRANSACTION_VERSION = 1
MILLISECONDS = 1000


def publish_delta(store: Store, run_id: str) -> dict[str, int | None]:
    """Add a committed run to the Delta tables; return the table's new version by table name.

    None means that the run was in that table already. Raises LedgerError if the run is not
    committed, UsageError if `deltalake` is missing.
    """
    try:
        import deltalake
    except ImportError as error:
        raise UsageError(
            "publishing needs deltalake: pip install 's2cnet-thumbnails[delta]'"
        ) from error

    manifest = read_committed(store, run_id)
    if manifest is None:
        raise LedgerError(f"run {run_id} is not committed; only committed runs are published")
    modified = int(manifest["committed_at"] * MILLISECONDS)
    versions: dict[str, int | None] = {}
    for name in TABLES:
        files = data_files(store, manifest, name)
        if files:
            versions[name] = _publish(deltalake, store, run_id, name, files, modified)
    return versions


def _publish(
    deltalake: Any, store: Store, run_id: str, name: str, files: list[DataFile], modified_ms: int
) -> int | None:
    root = f"{store.uri.rstrip('/')}/_data/{name}"
    options = {"storage_options": {"allow_http": "true"}} if scheme_of(root) == "s3" else {}
    exists = deltalake.DeltaTable.is_deltatable(root, **options)
    if exists and deltalake.DeltaTable(root, **options).transaction_version(run_id) is not None:
        return None
    actions = [_action(deltalake, name, file, modified_ms) for file in files]
    properties = deltalake.CommitProperties(
        app_transactions=[deltalake.Transaction(run_id, TRANSACTION_VERSION)],
        custom_metadata={"run_id": run_id},
    )
    arrow = decode_table(store.read(files[0].key)).schema.remove_metadata()
    schema = deltalake.Schema.from_arrow(arrow)
    if exists:
        deltalake.DeltaTable(root, **options).create_write_transaction(
            actions, "append", schema, commit_properties=properties
        )
    else:
        deltalake.transaction.create_table_with_add_actions(
            root, schema, actions, mode="error", name=name, configuration=CONFIGURATION,
            commit_properties=properties, **options,
        )  # fmt: skip
    return int(deltalake.DeltaTable(root, **options).version())


def _action(deltalake: Any, name: str, file: DataFile, modified_ms: int) -> Any:
    path = file.key.removeprefix(f"_data/{name}/")
    stats = json.dumps({"numRecords": file.rows})
    return deltalake.transaction.AddAction(path, file.bytes, {}, modified_ms, True, stats)
