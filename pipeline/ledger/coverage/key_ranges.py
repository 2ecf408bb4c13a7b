"""Cut a list by the first hex digits of its photos' ids, as the index of covered photos is cut."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.coverage.listed import LISTED
from pipeline.ledger.tables import one_array
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.partitions import Partitions
from pipeline.storage.spool import numbered_pieces

RANGE_ROWS = 200_000  # approximate number of rows of a list that are compared at a time
MAX_ID_DIGITS = 2  # hex digits of ids, by which files and lists are cut
_COMPARED = ("image_id", "etag", INPUT_OVERRIDE.name, LISTED.name)  # some lists lack the last two
_ROW = pa.field("row", pa.int64(), nullable=False)


def digits_for(rows: int) -> int:
    """Return how many digits to cut rows by, so that about RANGE_ROWS are in memory at a time."""
    return next((n for n in range(MAX_ID_DIGITS) if rows <= RANGE_ROWS * 16**n), MAX_ID_DIGITS)


def cut_by_range(tables: Iterable[pa.Table], digits: int) -> Partitions:
    """Cut tables by the first digits of `image_id`; at least one table, all of one schema."""
    rest = iter(tables)
    first = next(rest)
    partitions = Partitions(first.schema)
    for rows in chain([first], rest):
        partitions.add(rows, range_numbers(one_array(rows["image_id"]), digits))
    return partitions


def range_numbers(ids: pa.Array, digits: int) -> NDArray[np.intp]:
    """Return for each id the number of its file: its first hex digits."""
    if digits == 0:
        return np.zeros(len(ids), np.intp)
    names = pa.array([f"{number:0{digits}x}" for number in range(16**digits)])
    which = pc.index_in(pc.utf8_slice_codeunits(ids, 0, digits), names)
    return pc.fill_null(which, 0).to_numpy(zero_copy_only=False).astype(np.intp)  # type: ignore[no-any-return]


def buckets(ids: pa.Array, digits: int) -> list[NDArray[np.intp]]:
    """Return for each file the positions of its ids, in ascending order."""
    numbers = range_numbers(ids, digits).astype(np.uint16)
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=16**digits))
    return np.split(order, ends[:-1])


class KeyRanges:
    """The rows of a list by key range; they are cut on first use."""

    def __init__(self, inputs: pa.Table) -> None:
        self._inputs = inputs.select([n for n in _COMPARED if n in inputs.column_names])
        self._digits = digits_for(inputs.num_rows)
        self._counts = np.zeros(16**MAX_ID_DIGITS, np.int64)
        self._partitions: Partitions | None = None
        self._last: tuple[int, int, pa.Table, list[NDArray[np.intp]]] | None = None

    def has(self, file: int, digits: int) -> bool:
        """Return whether the list has a photo in a file's range. digits: the cut of the files."""
        self._cut()
        return bool(self._counts.reshape(16**digits, -1)[file].any())

    def of_file(self, file: int, digits: int) -> Iterator[tuple[NDArray[np.intp], pa.Table]]:
        """Yield the rows of the list in a file's range: ascending row numbers, and columns."""
        if digits <= self._digits:
            step = 16 ** (self._digits - digits)
            for number in range(file * step, (file + 1) * step):
                yield _numbered(self._cut().read(number))
            return
        number = file // 16 ** (digits - self._digits)
        if self._last is None or self._last[:2] != (number, digits):
            rows = self._cut().read(number)
            self._last = number, digits, rows, buckets(one_array(rows["image_id"]), digits)
        _, _, rows, places = self._last
        yield _numbered(rows.take(pa.array(places[file])))

    def _cut(self) -> Partitions:
        if self._partitions is None:
            self._partitions = Partitions(self._inputs.schema.append(_ROW))
            for start, piece in numbered_pieces(self._inputs):
                ids, stop = one_array(piece["image_id"]), start + piece.num_rows
                fine = range_numbers(ids, MAX_ID_DIGITS)
                self._counts += np.bincount(fine, minlength=len(self._counts))
                rows = piece.append_column(_ROW, pa.array(np.arange(start, stop)))
                self._partitions.add(rows, fine // 16 ** (MAX_ID_DIGITS - self._digits))
        return self._partitions


def _numbered(rows: pa.Table) -> tuple[NDArray[np.intp], pa.Table]:
    return rows.column(rows.num_columns - 1).to_numpy(), rows.remove_column(rows.num_columns - 1)
