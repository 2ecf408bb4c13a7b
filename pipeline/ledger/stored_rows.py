"""Find the stored rows of photos in committed runs."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError
from pipeline.ledger.known_runs import repair_chain
from pipeline.ledger.layout import data_task
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.pictures import as_bytes
from pipeline.ledger.records import DataFile, Manifest
from pipeline.ledger.sampling import locate_photos
from pipeline.ledger.tables import read_table
from pipeline.storage.store import Store

StoredRow = dict[str, Any]
RowsByPhoto = dict[str, list[StoredRow]]


@dataclass(frozen=True)
class StoredTables:
    """The committed runs that a run's rows come from, and the data files of each.

    manifests: the run, then the runs that it repairs. files: by run, task and table.
    """

    store: Store
    manifests: list[Manifest]
    files: dict[tuple[str, int, str], DataFile]

    @classmethod
    def of(cls, store: Store, run_id: str) -> "StoredTables":
        """Look up the files once. Raises LedgerError where a run is not committed."""
        manifests = repair_chain(store, run_id)
        files = {
            (manifest.run_id, data_task(file.key) or 0, file.table): file
            for manifest in manifests
            for file in data_files(store, manifest)
        }
        return cls(store, manifests, files)

    def rows(
        self, photos: Sequence[tuple[str, str]], leave_out: dict[str, set[str]]
    ) -> dict[str, RowsByPhoto]:
        """Read the rows of photos, by table and image_id, from the first run that has the photo.

        photos: image_id and uri. leave_out: columns not needed, by table. Raises LedgerError
        where a run's records or files are damaged.
        """
        columns = zip(("image_id", "uri"), zip(*photos, strict=True), strict=True)
        listed = pa.table({name: pa.array(values, pa.string()) for name, values in columns})
        wanted: dict[tuple[str, int], list[str]] = defaultdict(list)
        damaged: dict[str, str] = {}
        places = locate_photos(self.store, self.manifests, listed, damaged)
        if damaged:  # its photos would look like photos that nobody has decided about
            raise LedgerError(next(iter(damaged.values())))
        for image_id, place in places.items():
            wanted[place].append(image_id)
        found: dict[str, RowsByPhoto] = defaultdict(lambda: defaultdict(list))
        for (run_id, task), ids in wanted.items():
            for (other, number, table), file in self.files.items():
                if (other, number) == (run_id, task):
                    part = read_table(self.store, file.key)
                    part = part.filter(pc.is_in(part["image_id"], pa.array(ids, pa.string())))
                    _collect(found[table], part, leave_out.get(table, set()))
        return found


def rows_of_task(
    store: Store, run_id: str, task: int, table: str, photos: Collection[str]
) -> RowsByPhoto:
    """Read the rows of some photos of one task, pictures as bytes; none if it has no such table.

    photos: ids. Raises LedgerError where the run's records or the file are damaged.
    """
    found: RowsByPhoto = defaultdict(list)
    file = _files_of(store, run_id).get((task, table))
    if file is not None:
        rows = as_bytes(read_table(store, file.key))
        wanted = pa.array(sorted(photos), pa.string())
        _collect(found, rows.filter(pc.is_in(rows["image_id"], wanted)), ())
    return found


@lru_cache(maxsize=4)
def _files_of(store: Store, run_id: str) -> dict[tuple[int, str], DataFile]:
    """List the data files of a committed run by task and table. Raises LedgerError."""
    manifest = read_committed(store, run_id)
    files = [] if manifest is None else data_files(store, manifest)
    return {(data_task(file.key) or 0, file.table): file for file in files}


def _collect(found: RowsByPhoto, part: pa.Table, leave_out: Iterable[str]) -> None:
    part = part.drop_columns([name for name in leave_out if name in part.column_names])
    for row in part.to_pylist():
        found[row["image_id"]].append(row)
