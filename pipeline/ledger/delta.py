"""Publish committed runs as Delta tables by reference: no data file is copied or rewritten.

`_data/images`, `_data/crops` and so on are the tables' roots. Publishing a run adds
its files in one Delta commit that carries the run id as its application id, so publishing it again
does nothing. Needs the optional package `deltalake`.

A Delta table holds all rows that were published: a photo of two published runs is in it twice, and
its file's path tells the run. `open_run` gives the current rows alone. Retention is set to a
hundred years, since VACUUM would remove the files of open runs; only `runs.py gc` removes files.

A run that holds forgotten photos is not published before `gc` has erased them, and `gc` deletes
their rows from tables that were published before. Older versions of such a table name files that
are gone then.
"""

import json
from collections.abc import Collection
from typing import Any

from pipeline.errors import LedgerError
from pipeline.extras import extra_needed
from pipeline.ledger.erasing import current_file, find_erasures, replaced_files
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.records import DataFile
from pipeline.ledger.tables import TABLES, read_table
from pipeline.storage.addresses import scheme_of
from pipeline.storage.store import Store

CONFIGURATION = {"delta.deletedFileRetentionDuration": "interval 36500 days"}
TRANSACTION_VERSION = 1
ATTEMPTS = 5
MILLISECONDS = 1000
DELETED_AT_ONCE = 500  # photos in one deletion


def publish_delta(store: Store, run_id: str) -> dict[str, int | None]:
    """Add a committed run to the Delta tables; return the table's new version by table name.

    None means that the run was in that table already. Raises LedgerError if the run is not
    committed or a table does not take it, UsageError if `deltalake` is missing.
    """
    with extra_needed():
        import deltalake

    manifest = read_committed(store, run_id)
    if manifest is None:
        raise LedgerError(f"run {run_id} is not committed; only committed runs are published")
    if next(find_erasures(store, manifest, read_forgotten(store)), None) is not None:
        raise LedgerError(
            f"run {run_id} holds forgotten photos; `runs.py gc --delete` first, then publish it"
        )
    modified = int(manifest.committed_at * MILLISECONDS)
    replaced = replaced_files(store, run_id)
    versions: dict[str, int | None] = {}
    for name in TABLES:
        files = [current_file(file, replaced) for file in data_files(store, manifest, name)]
        if files:
            versions[name] = _publish(deltalake, store, run_id, name, files, modified)
    return versions


def forget_in_delta(store: Store, image_ids: Collection[str]) -> list[str]:
    """Delete the rows of photos from the Delta tables that there are; return these tables' names.

    Reads the tables whole. Raises LedgerError where a table refuses, UsageError where `deltalake`
    is missing.
    """
    published = [n for n in TABLES if any(store.list(f"_data/{n}/_delta_log/"))]
    if not image_ids or not published:
        return []
    with extra_needed():
        import deltalake

    ids = sorted(image_ids)
    for name in published:
        root, options = _root(store, name)
        for first in range(0, len(ids), DELETED_AT_ONCE):
            some = ", ".join(f"'{image_id}'" for image_id in ids[first : first + DELETED_AT_ONCE])
            try:
                deltalake.DeltaTable(root, **options).delete(f"image_id IN ({some})")
            except (deltalake.exceptions.DeltaError, OSError) as error:
                raise LedgerError(f"{root} takes no deletion: {error}; try again later") from error
    return published


def _publish(
    deltalake: Any, store: Store, run_id: str, name: str, files: list[DataFile], modified_ms: int
) -> int | None:
    """Commit a run's files to one table; return the table's new version, None if it had the run.

    A commit whose answer is lost is reported as a conflict with itself. So the table's log decides
    what happened: each commit carries its run's id, and a second commit of one id is never made.
    """
    root, options = _root(store, name)
    actions = [_action(deltalake, name, file, modified_ms) for file in files]
    arrow = read_table(store, files[0].key).schema.remove_metadata()
    schema = deltalake.Schema.from_arrow(arrow)
    refused: Exception | None = None
    for _ in range(ATTEMPTS):
        table = None
        if deltalake.DeltaTable.is_deltatable(root, **options):
            table = deltalake.DeltaTable(root, **options)
            if table.transaction_version(run_id) is not None:
                return int(table.version()) if refused else None
        try:
            if table is None:
                _create(deltalake, root, schema, actions, run_id, name, options)
            else:
                table.create_write_transaction(
                    actions, "append", schema, commit_properties=_properties(deltalake, run_id)
                )
            return int(deltalake.DeltaTable(root, **options).version())
        except deltalake.exceptions.DeltaError as error:
            refused = error
        except OSError as error:  # deltalake has tried for minutes
            raise LedgerError(f"{root} does not answer: {error}; publish again later") from error
    raise LedgerError(f"{root} takes no commit: {refused}; publish again later") from refused


def _root(store: Store, name: str) -> tuple[str, dict[str, Any]]:
    """Address of a table and the options to open it with."""
    root = f"{store.uri.rstrip('/')}/_data/{name}"
    return root, {"storage_options": {"allow_http": "true"}} if scheme_of(root) == "s3" else {}


def _create(
    deltalake: Any, root: str, schema: Any, actions: list[Any], run_id: str, name: str,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Create the table with its first run.

    Without deltalake's own retries: a second attempt would add the run to the table that the first
    one has made.
    """
    deltalake.transaction.create_table_with_add_actions(
        root, schema, actions, mode="error", name=name, configuration=CONFIGURATION,
        commit_properties=_properties(deltalake, run_id, max_commit_retries=0), **options,
    )  # fmt: skip


def _properties(deltalake: Any, run_id: str, **how: int) -> Any:
    return deltalake.CommitProperties(
        app_transactions=[deltalake.Transaction(run_id, TRANSACTION_VERSION)],
        custom_metadata={"run_id": run_id},
        **how,
    )


def _action(deltalake: Any, name: str, file: DataFile, modified_ms: int) -> Any:
    path = file.key.removeprefix(f"_data/{name}/")
    stats = json.dumps({"numRecords": file.rows})
    return deltalake.transaction.AddAction(path, file.bytes, {}, modified_ms, True, stats)
