"""Publish committed runs as Apache Iceberg tables by reference: data files stay where they are.

One commit updates a table to the files that follow from its runs (`iceberg_files`): it adds the
files that the table lacks and removes the others (`iceberg_tables`). So publishing a run again
changes nothing, and a photo of two runs is in the table once. Columns that a table lacks are added
first, and types are widened where Iceberg can.

The catalogue is in the store (`iceberg_catalog`) or in pyiceberg's configuration; in both cases its
tables' files are below `_iceberg/`. `gc.enabled=false` keeps other engines from deleting data
files: only `runs.py gc` removes files. Needs the optional package `pyiceberg`.
"""

import time
from collections.abc import Collection
from functools import partial

from pipeline.errors import LedgerError
from pipeline.ledger.channels.live import PUBLISH_ROUNDS, live_layers
from pipeline.ledger.known_runs import committed_run
from pipeline.ledger.manifest import read_committed
from pipeline.ledger.table_formats.iceberg_runs import PublishedRuns
from pipeline.ledger.table_formats.iceberg_tables import (
    CATALOGS_PREFIX,
    NAMESPACE,
    IcebergTables,
)
from pipeline.ledger.table_formats.table_addresses import refuse_misread_address
from pipeline.ledger.tables import TABLES, read_table
from pipeline.storage.keys import is_own_key
from pipeline.storage.store import Store

IN_USE_S = 86_400  # a copy that no table names may be another publisher's until it is this old


def publish_iceberg(
    store: Store, run_id: str, catalog: str | None = None, namespace: str = NAMESPACE
) -> dict[str, int | None]:
    """Add a committed run to the Iceberg tables; return each table's sequence number by name.

    If two runs have a photo, the one committed later counts, whichever is published first. None
    means that nothing had to change. catalog: of pyiceberg's configuration; None: the store's.

    Raises what `committed_run` raises, LedgerError if a table refuses the run, UsageError if
    `pyiceberg` or the catalogue is missing, or `pyiceberg` misreads the output's address.
    """
    refuse_misread_address(store, "Iceberg")
    committed_run(store, run_id)
    published = {run_id}  # in any table: a run that has no rows for one replaces rows there too

    def runs_of(recorded: PublishedRuns) -> PublishedRuns:
        published.update(recorded.ids)
        found = [read_committed(store, one) for one in published]
        order = sorted(((m.committed_at, m.run_id) for m in found if m), reverse=True)
        return PublishedRuns(tuple(name for _, name in order))

    return IcebergTables(store, catalog, namespace).update(runs_of)


def publish_live_as_iceberg(
    store: Store,
    channel: str | None = None,
    catalog: str | None = None,
    namespace: str = NAMESPACE,
) -> dict[str, int | None]:
    """Make the Iceberg tables hold what is live, in one channel or in all.

    Runs that are no longer live are removed, and what they had replaced is back. Each table is
    committed separately. If what is live has changed by the end, all tables are updated again.
    Arguments and result are those of `publish_iceberg`. Raises LedgerError if what is live changes
    in each of PUBLISH_ROUNDS attempts.
    """
    refuse_misread_address(store, "Iceberg")
    tables, live = IcebergTables(store, catalog, namespace), _live(store, channel)
    numbers: dict[str, int | None] = {}
    for _ in range(PUBLISH_ROUNDS):
        for name, number in tables.update(partial(_fixed, live)).items():
            numbers[name] = numbers.get(name) if number is None else number
        published, live = live, _live(store, channel)
        if live == published:
            return numbers
    raise LedgerError("what is live keeps changing; publish again later")


def _live(store: Store, channel: str | None) -> PublishedRuns:
    """Return the live runs, in the order in which tables are published."""
    layers = live_layers(store, channel)
    found = [(manifest.run_id, place) for place, layer in enumerate(layers) for manifest in layer]
    return PublishedRuns(tuple(one for one, _ in found), tuple(place for _, place in found))


def _fixed(runs: PublishedRuns, _: PublishedRuns) -> PublishedRuns:
    """Return `runs`, whichever runs a table has."""
    return runs


def _as_recorded(recorded: PublishedRuns) -> PublishedRuns:
    return recorded


def forget_in_iceberg(store: Store, image_ids: Collection[str]) -> list[str]:
    """Remove the rows of forgotten photos from the Iceberg tables; return the tables' names.

    Copies that held them are deleted, so older snapshots of the tables name files that are gone.
    Tables that `tables_elsewhere` tells stay as they are, without such copies.
    """
    catalogues = _catalogues(store) if image_ids else []
    names: set[str] = set()
    before: set[str] = set()
    used: set[str] = set()
    for tables in catalogues:
        before |= tables.keys()
        names |= {
            n for n, number in tables.update(_as_recorded, tables.elsewhere).items() if number
        }
        used |= tables.keys()
    lost = {name for tables in catalogues for name in tables.elsewhere}
    since, ids = time.time() - IN_USE_S, frozenset(image_ids)
    for name in TABLES if catalogues else ():
        for info in list(store.list(f"_iceberg/{name}/data/")):
            if info.key in used or not is_own_key(info.key):  # others' files, such as .DS_Store
                continue
            is_unused = info.key in before or (info.modified_s < since and name not in lost)
            if is_unused or (name in lost and _has_rows_of(store, info.key, ids)):
                store.delete(info.key)
    return sorted(names)


def tables_elsewhere(store: Store) -> list[str]:
    """Tell which tables photos cannot be forgotten in, as they are of another address, and why."""
    return [told for tables in _catalogues(store) for told in tables.elsewhere.values()]


def _catalogues(store: Store) -> list[IcebergTables]:
    """Open the catalogues that have tables of the store."""
    keys = [info.key.removeprefix(CATALOGS_PREFIX) for info in store.list(CATALOGS_PREFIX)]
    if any(store.list("_iceberg/images/metadata/")):
        keys.append("")
    found = (key.partition("=") for key in keys)
    return [
        IcebergTables(store, catalog or None, namespace or NAMESPACE)
        for catalog, _, namespace in found
    ]


def _has_rows_of(store: Store, key: str, ids: frozenset[str]) -> bool:
    return not ids.isdisjoint(read_table(store, key, ["image_id"])["image_id"].to_pylist())
