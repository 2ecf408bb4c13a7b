"""Read what runs have committed: only files that a manifest names."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import TABLES, read_table
from pipeline.storage.store import Store, open_store

READERS = 32  # manifests fetched at a time


def open_run(output_uri: str, run_id: str | None = None) -> "Run":
    """Open the tables of one committed run, or, without `run_id`, the current table of all runs.

    In the current table a photo has the rows of the run that committed it last. A retry is opened
    together with the run that it repairs: its rows take the place of the failed ones.

    Raises LedgerError if there is no such committed run, RecordError if one of the records that
    decide about it is damaged.
    """
    store = open_store(output_uri)
    if run_id is None:
        manifests = committed_runs(store)
        if not manifests:
            raise LedgerError(f"no run is committed in {output_uri}")
        return Run(store, manifests)
    manifests = []
    parent: str | None = run_id
    while parent is not None:
        manifest = read_committed(store, parent)
        if manifest is None:
            raise LedgerError(f"run {parent} is not committed in {output_uri}")
        manifests.append(manifest)
        parent = manifest.parent
    return Run(store, manifests)


@dataclass(frozen=True)
class StoredRuns:
    """The runs of a store that have a manifest.

    committed: those committed, the latest first
    damaged:   what is wrong with the others, by run id
    """

    committed: list[Manifest]
    damaged: Mapping[str, RecordError]


def stored_runs(store: Store) -> StoredRuns:
    """Every run that has a manifest; a damaged one does not keep the others from being read."""
    names = [name for name in store.folders("runs/") if not name.startswith("_")]

    def read(run_id: str) -> Manifest | RecordError | None:
        try:
            return read_committed(store, run_id)
        except RecordError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(read, names))
    committed = [one for one in found if isinstance(one, Manifest)]
    committed.sort(key=lambda m: (m.committed_at, m.run_id), reverse=True)
    damaged = {
        name: one for name, one in zip(names, found, strict=True) if isinstance(one, RecordError)
    }
    return StoredRuns(committed, damaged)


def committed_runs(store: Store) -> list[Manifest]:
    """The manifests of all committed runs, the latest first. Raises RecordError."""
    runs = stored_runs(store)
    for error in runs.damaged.values():
        raise error
    return runs.committed


class Run:
    """Committed rows of one or more runs, the latest first; each photo from one run only."""

    def __init__(self, store: Store, manifests: list[Manifest]) -> None:
        self._store = store
        self._manifests = manifests
        self._owners: list[pa.Array] | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the run, or of the latest of several, as it is stored."""
        return self.manifests[0]

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """The manifests of all runs that rows may come from, the latest first."""
        return [dict(manifest.document) for manifest in self._manifests]

    def images(self, columns: list[str] | None = None) -> pa.Table:
        """One row per photo: `schema.IMAGES` and the pass-through columns of the lists."""
        return self._table("images", columns)

    def crops(self, columns: list[str] | None = None) -> pa.Table:
        """One row per photo, ratio and rank: `schema.CROPS`. Leave `image` out to save memory."""
        return self._table("crops", columns)

    def candidates(self, columns: list[str] | None = None) -> pa.Table:
        """Every scored candidate, where the run kept them: `schema.CANDIDATES`."""
        return self._table("candidates", columns)

    def previews(self, columns: list[str] | None = None) -> pa.Table:
        """The whole photos, small, and their gaze maps: `schema.PREVIEWS`; none in old runs."""
        return self._table("previews", columns)

    def batches(self, table: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of one table, one file at a time, for runs that do not fit in memory.

        columns: those wanted; one that this release declares and an older one did not write is
            null. Raises KeyError for a column that no release has.
        """
        wanted = None if columns is None else [*dict.fromkeys(["image_id", *columns])]
        for manifest, owned in zip(self._manifests, self._owned(), strict=True):
            for file in data_files(self._store, manifest, table):
                rows = read_table(self._store, file.key, wanted)
                if owned is not None:
                    rows = rows.filter(pc.is_in(rows["image_id"], owned))
                rows = rows.replace_schema_metadata(None)
                yield rows if columns is None else _select(rows, table, columns)

    def _table(self, table: str, columns: list[str] | None) -> pa.Table:
        parts = list(self.batches(table, columns))
        if not parts:
            schema = TABLES[table]
            return schema.empty_table() if columns is None else schema.empty_table().select(columns)
        return pa.concat_tables(parts, promote_options="default")

    def _owned(self) -> list[pa.Array | None]:
        """For each run the ids of the photos whose rows come from it; None for all of them."""
        if len(self._manifests) == 1:
            return [None]
        if self._owners is None:
            seen: set[str] = set()
            self._owners = []
            for manifest in self._manifests:
                ids = self._image_ids(manifest) - seen
                seen |= ids
                self._owners.append(pa.array(sorted(ids), pa.string()))
        return list(self._owners)

    def _image_ids(self, manifest: Manifest) -> set[str]:
        ids: set[str] = set()
        for file in data_files(self._store, manifest, "images"):
            table = read_table(self._store, file.key, ["image_id"])
            ids.update(table["image_id"].to_pylist())
        return ids


def _select(rows: pa.Table, table: str, columns: list[str]) -> pa.Table:
    """The columns of a file, in that order; those of later releases are null."""
    declared = TABLES[table]
    for name in columns:
        if name not in rows.column_names and name in declared.names:
            empty = pa.nulls(len(rows), declared.field(name).type)
            rows = rows.append_column(pa.field(name, empty.type), empty)
    return rows.select(columns)
