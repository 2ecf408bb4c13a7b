"""Sort and rearrange tables that are larger than memory: in parts, through the local disk.

This is a distribution sort: each row goes to the part that its place, or its text, belongs to; then
each part is sorted in memory.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.storage.spool import HELD_ROWS, Spool, numbered_pieces, pieces, release

PART_ROWS = 200_000  # approximate number of rows that are sorted in memory
SAMPLED = 64  # texts that are sampled for each part, to find where it ends
_PLACE = pa.field("place", pa.int64())


class Partitions:
    """Rows by part number, from 0; within a part, in the order in which they were added."""

    def __init__(self, schema: pa.Schema) -> None:
        self._spool = Spool(schema)
        self._schema = schema
        self._ranges: defaultdict[int, list[range]] = defaultdict(list)  # of rows of the spool
        self._waiting: list[tuple[pa.Table, NDArray[np.intp]]] = []
        self._waiting_rows = 0
        self._table: pa.Table | None = None

    def add(self, rows: pa.Table, parts: NDArray[np.intp]) -> None:
        """Add rows. parts: [rows] the part number of each."""
        self._waiting.append((rows, parts))
        self._waiting_rows += rows.num_rows
        if self._waiting_rows >= PART_ROWS:
            self._sort()

    def read(self, part: int) -> pa.Table:
        """Read the rows of one part into memory; none can be added afterwards."""
        return pa.concat_tables([self._schema.empty_table(), *self.chunks(part)]).combine_chunks()

    def chunks(self, part: int) -> Iterator[pa.Table]:
        """Yield the rows of one part as they are on disk; none can be added afterwards."""
        if self._table is None:
            self._sort()
            self._table = self._spool.table()
        for rows in self._ranges[part]:
            yield self._table.slice(rows.start, len(rows))

    def _sort(self) -> None:
        if not self._waiting_rows:
            return
        rows = pa.concat_tables([table for table, _ in self._waiting]).combine_chunks()
        parts = np.concatenate([numbers for _, numbers in self._waiting])
        self._waiting, self._waiting_rows = [], 0
        counts = np.bincount(parts)
        stop = self._spool.rows
        for part in np.flatnonzero(counts):
            start, stop = stop, stop + int(counts[part])
            self._ranges[int(part)].append(range(start, stop))
        self._spool.add(rows.take(pa.array(np.argsort(parts, kind="stable"))))


def reordered(table: pa.Table, order: NDArray[np.intp]) -> pa.Table:
    """Reorder the rows of a table: row n of the result is row order[n] of the table."""
    if table.num_rows <= HELD_ROWS:
        return table.take(pa.array(order)).combine_chunks()
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    partitions = Partitions(table.schema.append(_PLACE))
    for start, piece in numbered_pieces(table):
        at = places[start : start + piece.num_rows]
        partitions.add(piece.append_column(_PLACE, pa.array(at)), at // PART_ROWS)
    del places
    last, spool = table.num_columns, Spool(table.schema)
    for number in range(-(-len(order) // PART_ROWS)):
        part = partitions.read(number)
        spool.add(part.remove_column(last).take(pa.array(np.argsort(part.column(last).to_numpy()))))
        release()
    return spool.table()


def _is_sorted(table: pa.Table, name: str) -> bool:
    last = ""
    for piece in pieces(table):
        texts = piece[name].combine_chunks()
        if len(texts) and texts[0].as_py() < last:
            return False
        if pc.any(pc.less(texts[1:], texts[:-1])).as_py():
            return False
        last = texts[-1].as_py() if len(texts) else last
    return True


def sorted_by(table: pa.Table, name: str) -> pa.Table:
    """Sort a table by a column of texts, by code points; return it as it is if already sorted."""
    if _is_sorted(table, name):
        return table
    if table.num_rows <= HELD_ROWS:
        return table.sort_by(name)
    count = -(-table.num_rows // PART_ROWS)
    step = max(1, table.num_rows // (count * SAMPLED))
    sample = sorted(table[name].take(pa.array(np.arange(0, table.num_rows, step))).to_pylist())
    ends = sample[SAMPLED::SAMPLED]  # the first text of each part except the first one
    partitions = Partitions(table.schema)
    for piece in pieces(table):
        parts = np.array([bisect_right(ends, text) for text in piece[name].to_pylist()], np.intp)
        partitions.add(piece, parts)
    spool = Spool(table.schema)
    for number in range(len(ends) + 1):
        spool.add(partitions.read(number).sort_by(name))
        release()
    return spool.table()
