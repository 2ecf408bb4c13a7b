"""Verify a data file of a committed run, or its crops stored as objects, and report problems.

The table `crops` has the key and hash of a crop's object. The object may be gone for good reason:
`gc` removes those of forgotten photos, and those under names of a template that no live run needs.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import LedgerError
from pipeline.ledger.bounded_map import bounded_map
from pipeline.ledger.records import DataFile
from pipeline.ledger.replaced import RESTORE, chain_of
from pipeline.ledger.tables import decode_table
from pipeline.storage.store import Store
from pipeline.words import counted

CROP_READERS = 16  # objects fetched and hashed at a time
CROP_COLUMNS = ["image_id", "file", "sha256"]
GONE, CHANGED = "is gone", "was changed: its hash is not the committed one"


@dataclass(frozen=True)
class CheckedFile:
    """The result of verifying a data file.

    file:    as it is now, after erasing
    problem: why it is not as it was committed or rewritten; the rest is then unknown
    ids:     `image_id` of its rows
    crops:   rows of `crops` whose crop is an object of its own, with the columns CROP_COLUMNS
    erased:  photos whose rows were removed from it
    """

    file: DataFile
    problem: str | None = None
    ids: pa.ChunkedArray | None = None
    crops: pa.Table | None = None
    erased: frozenset[str] = frozenset()


def check_file(store: Store, file: DataFile) -> CheckedFile:
    """Verify a data file of a run, or its replacement."""
    now, erased = file, frozenset[str]()
    try:
        try:
            data = store.read(file.key)
        except FileNotFoundError:
            chain = chain_of(store, file.key)
            if not chain:
                raise
            last = chain[-1]
            now = last.as_file(file.table)
            erased = frozenset(image_id for one in chain for image_id in one.removed)
            data = store.read(now.key)
        if len(data) != now.bytes or hashlib.sha256(data).hexdigest() != now.sha256:
            return CheckedFile(now, f"{now.key} {CHANGED}")
        rows = decode_table(data, CROP_COLUMNS if file.table == "crops" else CROP_COLUMNS[:1])
    except FileNotFoundError:
        return CheckedFile(now, f"{now.key} {GONE}. {RESTORE}")
    except LedgerError as error:
        return CheckedFile(now, f"{now.key}: {error}")
    if len(rows) != now.rows:
        problem = f"{now.key} has {counted(len(rows), 'row')}, not {now.rows} as committed"
        return CheckedFile(now, problem)
    crops = rows.filter(pc.is_valid(rows["file"])) if "file" in rows.column_names else None
    return CheckedFile(now, None, rows["image_id"], crops, erased)


def check_crop_files(
    store: Store, crops: pa.Table, pool: Executor
) -> Iterator[tuple[str, str | None]]:
    """Read and hash crops stored as objects; yield each key with its problem, or None.

    crops: of one data file, with CROP_COLUMNS; a key that several rows have is read once
    """
    wanted = dict(zip(crops["file"].to_pylist(), crops["sha256"].to_pylist(), strict=True))

    def check(key: str) -> tuple[str, str | None]:
        try:
            same = hashlib.sha256(store.read(key)).hexdigest() == wanted[key]
        except FileNotFoundError:
            return key, GONE
        return key, None if same else CHANGED

    return bounded_map(pool, check, wanted, CROP_READERS)
