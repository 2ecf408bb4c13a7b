"""Publish committed runs as Delta tables by reference: data files stay where they are.

`_data/images`, `_data/crops` and so on are the tables' roots. Publishing a run adds
its files in one Delta commit that carries the run id as its application id, so publishing it again
does nothing. Needs the optional package `deltalake`.

A photo of two published runs is in a table once, from the run committed later: the commit that adds
a run's files removes those that it replaces (`published_rows`). If a file is replaced in part, it
is read and the rest of it written to `_data/<table>/from=<run_id>/`. Columns that a table does not
have yet are added to it first; `delta_types` handles columns whose type differs from the table's.

Retention is set to a hundred years, since VACUUM would remove the files of open runs; only `runs.py
gc` removes files.

A run that holds forgotten photos is not published before `gc` has erased them, and `gc` deletes
their rows from tables that were published before. Older versions of such a table then name files
that no longer exist.
"""

import time
from collections.abc import Collection
from typing import Any

import pyarrow as pa

from pipeline.errors import LedgerError
from pipeline.extras import extra_needed
from pipeline.ledger.erasing import find_erasures
from pipeline.ledger.forgetting import read_forgotten
from pipeline.ledger.known_runs import committed_run
from pipeline.ledger.manifest import data_files
from pipeline.ledger.records import DataFile
from pipeline.ledger.replaced import current_file, replaced_files
from pipeline.ledger.table_formats.delta_changes import (
    Change,
    change_of,
    change_without,
    paths_of,
)
from pipeline.ledger.table_formats.delta_types import (
    delta_columns,
    refuse_same_names,
    unify_types,
)
from pipeline.ledger.table_formats.published_rows import Cover, cover_of
from pipeline.ledger.tables import TABLES, read_table
from pipeline.storage.addresses import scheme_of
from pipeline.storage.store import Store

CONFIGURATION = {"delta.deletedFileRetentionDuration": "interval 36500 days"}
TRANSACTION_VERSION = 1
ATTEMPTS = 20
IN_USE_S = 86_400  # a file that no table names may be another publisher's until it is this old


def publish_delta(store: Store, run_id: str) -> dict[str, int | None]:
    """Add a committed run to the Delta tables; return the table's new version by table name.

    None means that the run was in that table already. Raises what `committed_run` raises,
    LedgerError if a table refuses the run, UsageError if `deltalake` is missing.
    """
    with extra_needed():
        import deltalake

    manifest = committed_run(store, run_id)
    if next(find_erasures(store, manifest, read_forgotten(store)), None) is not None:
        raise LedgerError(
            f"run {run_id} holds forgotten photos; `runs.py gc --delete` first, then publish it"
        )
    cover = cover_of(store, run_id)
    assert cover is not None
    replaced = replaced_files(store, run_id)
    runs_files: dict[str, tuple[list[DataFile], pa.Schema]] = {}
    for name in TABLES:
        files = [current_file(file, replaced) for file in data_files(store, manifest, name)]
        if files:
            columns = delta_columns(read_table(store, files[0].key).schema)
            table = _open(deltalake, store, name)
            there = [] if table is None else pa.schema(table.schema().to_arrow())
            refuse_same_names(name, [*there, *columns], run_id)
            runs_files[name] = files, columns
    return {
        name: _publish(deltalake, store, cover, name, files, columns)
        for name, (files, columns) in runs_files.items()
    }


def forget_in_delta(store: Store, image_ids: Collection[str]) -> list[str]:
    """Delete the rows of photos from all Delta tables of the store; return the tables' names.

    Reads the files that may have such rows. Raises LedgerError where a table refuses, UsageError
    where `deltalake` is missing.
    """
    published = [n for n in TABLES if any(store.list(f"_data/{n}/_delta_log/"))]
    if not image_ids or not published:
        return []
    with extra_needed():
        import deltalake

    published = [n for n in published if _open(deltalake, store, n) is not None]
    for name in published:
        before = paths_of(_open(deltalake, store, name))
        _forget(deltalake, store, name, image_ids)
        _remove_copies(store, name, before, paths_of(_open(deltalake, store, name)))
    return published


def _forget(deltalake: Any, store: Store, name: str, image_ids: Collection[str]) -> None:
    """Replace the files of a table that have rows of photos by copies without them.

    Delta's own deletion would give the copies names that do not tell their runs.
    """
    refused: Exception | None = None
    for _ in range(ATTEMPTS):
        table = _open(deltalake, store, name)
        change = change_without(store, table, name, image_ids)
        if not change.removed:
            return
        try:
            table.create_write_transaction(
                change.actions(deltalake), "append", table.schema(),
                commit_properties=deltalake.CommitProperties(max_commit_retries=0),
            )  # fmt: skip
            return
        except (deltalake.exceptions.DeltaError, OSError) as error:
            refused = error
        if isinstance(refused, OSError):  # deltalake has retried for minutes
            break
        now = paths_of(_open(deltalake, store, name))
        for path in change.copies:
            if path not in now:  # else the commit was done, and only its response was lost
                store.delete(f"_data/{name}/{path}")
    raise LedgerError(f"{_root(store, name)[0]} takes no deletion: {refused}; try again later")


def _remove_copies(store: Store, name: str, before: Collection[str], now: Collection[str]) -> None:
    """Delete the copies that a table no longer has: rows of forgotten photos may be in them.

    before, now: the table's files before the deletion and after it.
    """
    prefix, since = f"_data/{name}/", time.time() - IN_USE_S
    for info in list(store.list(prefix)):
        path = info.key.removeprefix(prefix)
        is_copy = path.endswith(".parquet") and not path.startswith(("run=", "_delta_log/"))
        if is_copy and path not in now and (path in before or info.modified_s < since):
            store.delete(info.key)


def _publish(
    deltalake: Any, store: Store, cover: Cover, name: str, files: list[DataFile], columns: pa.Schema
) -> int | None:
    """Commit a run's files to one table; return the table's new version, None if it had the run.

    A commit whose response is lost is reported as a conflict with itself. So the table's log
    decides what happened: each commit carries its run's id, and no id is committed twice.
    deltalake's own retries are off: what a run replaces must be found again after another's commit.
    """
    root, options = _root(store, name)
    run_id = cover.manifest.run_id
    schema = deltalake.Schema.from_arrow(columns)
    refused: Exception | None = None
    for _ in range(ATTEMPTS):
        table, change = _open(deltalake, store, name), Change()
        if table is not None and table.transaction_version(run_id) is not None:
            return int(table.version()) if refused else None
        try:
            if table is None:
                for file in files:
                    change.add_file(cover, name, file)
                actions = change.actions(deltalake)
                _create(deltalake, root, schema, actions, run_id, name, options)
            else:
                _add_columns(deltalake, table, schema)
                change = change_of(store, table, cover, name, files)
                kept = unify_types(deltalake, store, table, name, change, schema)
                table.create_write_transaction(
                    change.actions(deltalake), "overwrite" if change.whole else "append", kept,
                    commit_properties=_properties(deltalake, run_id),
                )  # fmt: skip
            return int(deltalake.DeltaTable(root, **options).version())
        except deltalake.exceptions.DeltaError as error:
            refused = error
            again = table and deltalake.DeltaTable(root, **options)
            if again and again.transaction_version(run_id) is None:
                for path in change.copies:
                    store.delete(f"_data/{name}/{path}")
        except OSError as error:  # deltalake has retried for minutes
            raise LedgerError(f"{root} does not answer: {error}; publish again later") from error
    raise LedgerError(f"{root} takes no commit: {refused}; publish again later") from refused


def _add_columns(deltalake: Any, table: Any, schema: Any) -> None:
    """Give a table the columns that it lacks."""
    there = {one.name for one in table.schema().fields}
    missing = [
        deltalake.Field(one.name, one.type) for one in schema.fields if one.name not in there
    ]
    if missing:
        table.alter.add_columns(missing)
        table.update_incremental()


def _root(store: Store, name: str) -> tuple[str, dict[str, Any]]:
    """Return the address of a table and the options to open it with."""
    root = f"{store.uri.rstrip('/')}/_data/{name}"
    return root, {"storage_options": {"allow_http": "true"}} if scheme_of(root) == "s3" else {}


def _open(deltalake: Any, store: Store, name: str) -> Any:
    """Open a table; None where there is none. Raises LedgerError where it cannot be read."""
    root, options = _root(store, name)
    try:
        if not deltalake.DeltaTable.is_deltatable(root, **options):
            return None
        return deltalake.DeltaTable(root, **options)
    except (deltalake.exceptions.DeltaError, OSError) as error:
        raise LedgerError(f"{root} cannot be read: {error}; try again later") from error


def _create(
    deltalake: Any, root: str, schema: Any, actions: list[Any], run_id: str, name: str,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Create the table with its first run.

    deltalake's own retries are off: a second attempt would add the run again to the table that the
    first one created.
    """
    deltalake.transaction.create_table_with_add_actions(
        root, schema, actions, mode="error", name=name, configuration=CONFIGURATION,
        commit_properties=_properties(deltalake, run_id), **options,
    )  # fmt: skip


def _properties(deltalake: Any, run_id: str) -> Any:
    return deltalake.CommitProperties(
        app_transactions=[deltalake.Transaction(run_id, TRANSACTION_VERSION)],
        custom_metadata={"run_id": run_id},
        max_commit_retries=0,
    )
