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
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.records import DataFile
from pipeline.ledger.replaced import current_file, replaced_files
from pipeline.ledger.stored_runs import run_ids
from pipeline.ledger.table_formats.delta_changes import (
    Change,
    change_of,
    change_without,
    paths_of,
)
from pipeline.ledger.table_formats.delta_tables import (
    add_columns,
    create_table,
    open_table,
    properties_of,
    root_of,
)
from pipeline.ledger.table_formats.delta_types import (
    delta_columns,
    refuse_same_names,
    unify_types,
)
from pipeline.ledger.table_formats.published_rows import (
    RunPhotos,
    owner_of,
    photos_of_run,
    run_of,
    takes_precedence,
)
from pipeline.ledger.table_formats.table_addresses import misread_part, refuse_misread_address
from pipeline.ledger.tables import TABLES, read_columns
from pipeline.storage.keys import is_own_key
from pipeline.storage.store import Store
from pipeline.words import runs_command

ATTEMPTS = 20
IN_USE_S = 86_400  # a file that no table names may be another publisher's until it is this old


def publish_delta(store: Store, run_id: str) -> dict[str, int | None]:
    """Add a committed run to the Delta tables; return the table's new version by table name.

    None means that nothing had to change. Raises what `committed_run` raises,
    LedgerError if a table refuses the run, UsageError if `deltalake` is missing or misreads the
    output's address.
    """
    with extra_needed():
        import deltalake

    refuse_misread_address(store, "Delta")
    manifest = committed_run(store, run_id)
    if next(find_erasures(store, manifest, read_forgotten(store)), None) is not None:
        raise LedgerError(
            f"run {run_id} holds forgotten photos; {runs_command('gc', store.uri, '--delete')} "
            "first, then publish it"
        )
    run = photos_of_run(store, run_id)
    assert run is not None
    replaced = replaced_files(store, run_id)
    known: dict[str, RunPhotos | None] = {}
    runs_files: dict[str, tuple[list[DataFile], pa.Schema]] = {}
    for name in TABLES:
        files = [current_file(file, replaced) for file in data_files(store, manifest, name)]
        table = open_table(deltalake, store, name)
        there = pa.schema([] if table is None else table.schema().to_arrow())
        if files:
            columns = delta_columns(read_columns(store, files[0].key))
            refuse_same_names(name, [*there, *columns], run_id)
            runs_files[name] = files, columns
        elif table is not None:  # a run replaces rows of tables that it has no rows for
            runs_files[name] = [], there
        for path in [] if table is None else paths_of(table):
            if run_of(path) != run_id:
                owner_of(store, path, known)
    _add_runs_without_files(deltalake, store, run, known)
    return {
        name: _publish(deltalake, store, run, name, files, columns, known)
        for name, (files, columns) in runs_files.items()
    }


def _add_runs_without_files(
    deltalake: Any, store: Store, run: RunPhotos, known: dict[str, RunPhotos | None]
) -> None:
    """Add runs that were published and later lost all their rows to others.

    They still replace the rows of earlier runs of their channel, which those others may not. Every
    run has rows of `images`, so that table's log has the ids of all that were published. Only runs
    committed after `run` matter, and only their lists are read.
    """
    table = open_table(deltalake, store, "images")
    for run_id in [] if table is None else run_ids(store):
        if run_id in {*known, run.manifest.run_id}:
            continue
        if table.transaction_version(run_id) is None:
            continue
        manifest = read_committed(store, run_id)
        if manifest is not None and takes_precedence(manifest, run.manifest):
            known[run_id] = photos_of_run(store, run_id)


def forget_in_delta(store: Store, image_ids: Collection[str]) -> list[str]:
    """Delete the rows of photos from all Delta tables of the store; return the tables' names.

    Reads the files that may have such rows. Raises LedgerError where a table refuses, UsageError
    where `deltalake` is missing.
    """
    published = [n for n in TABLES if any(store.list(f"_data/{n}/_delta_log/"))]
    if not image_ids or not published or misread_part(store, "Delta") is not None:
        return []  # no reader finds a table at an address that is misread
    with extra_needed():
        import deltalake

    published = [n for n in published if open_table(deltalake, store, n) is not None]
    for name in published:
        before = paths_of(open_table(deltalake, store, name))
        _forget(deltalake, store, name, image_ids)
        _remove_copies(store, name, before, paths_of(open_table(deltalake, store, name)))
    return published


def _forget(deltalake: Any, store: Store, name: str, image_ids: Collection[str]) -> None:
    """Replace the files of a table that have rows of photos by copies without them.

    Delta's own deletion would give the copies names that do not tell their runs.
    """
    refused: Exception | None = None
    for _ in range(ATTEMPTS):
        table = open_table(deltalake, store, name)
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
        now = paths_of(open_table(deltalake, store, name))
        for path in change.copies:
            if path not in now:  # else the commit was done, and only its response was lost
                store.delete(f"_data/{name}/{path}")
    raise LedgerError(f"{root_of(store, name)[0]} takes no deletion: {refused}; try again later")


def _remove_copies(store: Store, name: str, before: Collection[str], now: Collection[str]) -> None:
    """Delete the copies that a table no longer has: rows of forgotten photos may be in them.

    before, now: the table's files before the deletion and after it.
    """
    prefix, since = f"_data/{name}/", time.time() - IN_USE_S
    for info in list(store.list(prefix)):
        path = info.key.removeprefix(prefix)
        is_copy = path.endswith(".parquet") and not path.startswith(("run=", "_delta_log/"))
        is_copy = is_copy and is_own_key(info.key)
        if is_copy and path not in now and (path in before or info.modified_s < since):
            store.delete(info.key)


def _publish(
    deltalake: Any, store: Store, run: RunPhotos, name: str, files: list[DataFile],
    columns: pa.Schema, known: dict[str, RunPhotos | None],
) -> int | None:  # fmt: skip
    """Commit a run's files to one table; return the table's new version, None for no change.

    A commit whose response is lost is reported as a conflict with itself. So the table's log
    decides what happened: each commit carries its run's id, and no id is committed twice.
    deltalake's own retries are off: what a run replaces must be found again after another's commit.
    """
    root, run_id = root_of(store, name)[0], run.manifest.run_id
    schema = deltalake.Schema.from_arrow(columns)
    refused: Exception | None = None
    for _ in range(ATTEMPTS):
        table, change = open_table(deltalake, store, name), Change()
        if table is not None and table.transaction_version(run_id) is not None:
            return int(table.version()) if refused else None
        try:
            if table is not None:
                add_columns(deltalake, table, schema)
            change = change_of(store, table, run, name, files, known)
            if not (change.added or change.removed or (files and table is not None)):
                return None
            if table is None:
                create_table(deltalake, store, name, schema, change, run_id)
            else:
                kept = table.schema()
                if files:
                    kept = unify_types(deltalake, store, table, name, change, schema)
                table.create_write_transaction(
                    change.actions(deltalake), "overwrite" if change.whole else "append", kept,
                    commit_properties=properties_of(deltalake, run_id),
                )  # fmt: skip
            return int(open_table(deltalake, store, name).version())
        except deltalake.exceptions.DeltaError as error:
            refused = error
            again = open_table(deltalake, store, name)
            if again is None or again.transaction_version(run_id) is None:
                for path in change.copies:
                    store.delete(f"_data/{name}/{path}")
        except OSError as error:  # deltalake has retried for minutes
            raise LedgerError(f"{root} does not answer: {error}; publish again later") from error
    raise LedgerError(f"{root} takes no commit: {refused}; publish again later") from refused
