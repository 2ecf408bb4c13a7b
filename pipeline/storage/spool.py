"""Keep a long table on the local disk, mapped into memory, and process it in pieces.

A table of up to HELD_ROWS rows stays in memory. A longer one goes to an unnamed file in the folder
for temporary files (TMPDIR), which is gone when the table is no longer used or the process ends.
Such a table is read like any other; the kernel reads the file's pages on access, and drops them
when memory is scarce or `release` is called.
"""

import mmap
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.storage.backend import StoreFailedError

HELD_ROWS = 200_000  # of a table that stays in memory
PIECE_ROWS = 50_000  # that are processed, and written, at a time

_MAPPED: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()
_MAPPED_LOCK = threading.Lock()


class Spool:
    """A table that rows are appended to. `table` finishes it."""

    def __init__(self, schema: pa.Schema, held_rows: int | None = None) -> None:
        """Start empty. held_rows: number up to which it stays in memory, if below HELD_ROWS."""
        self.rows = 0
        self._held_rows = min(held_rows or HELD_ROWS, HELD_ROWS)
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._written = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, rows: pa.Table) -> None:
        """Add rows with the spool's schema. Raises StoreFailedError where the disk is full."""
        self._waiting.append(rows)
        self.rows += rows.num_rows
        waiting = self.rows - self._written
        if waiting >= PIECE_ROWS and self.rows > self._held_rows:
            self._write()

    def table(self) -> pa.Table:
        """Return all rows, in memory or mapped. Raises what `add` raises."""
        if self._file is None or self._writer is None:
            return pa.concat_tables([self._schema.empty_table(), *self._waiting]).combine_chunks()
        self._write()
        with _as_store_error():
            self._writer.close()
            self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._file.close()
        with _MAPPED_LOCK:
            _MAPPED.add(mapped)
        return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()

    def _write(self) -> None:
        with _as_store_error():
            self._put()
        self._waiting, self._written = [], self.rows

    def _put(self) -> None:
        if self._writer is None:
            self._file = tempfile.TemporaryFile(prefix="s2cnet-")  # noqa: SIM115  `table` maps it
            weakref.finalize(self, self._file.close)  # if `table` is never called
            self._writer = pa.ipc.new_file(self._file, self._schema)
        if self._waiting:
            rows = pa.concat_tables(self._waiting).combine_chunks()
            self._writer.write_table(rows, max_chunksize=PIECE_ROWS)


@contextmanager
def _as_store_error() -> Iterator[None]:
    """Turn OSError into a StoreFailedError that names the folder for temporary files."""
    try:
        yield
    except OSError as error:
        where = tempfile.gettempdir()
        raise StoreFailedError(
            f"a long list does not fit into {where}, the folder for temporary files: {error}. "
            "Name another with TMPDIR"
        ) from error


def spooled(parts: Iterable[pa.Table]) -> pa.Table:
    """Concatenate tables of one schema, at least one, into one table."""
    rest = iter(parts)
    first = next(rest)
    spool = Spool(first.schema)
    for part in chain([first], rest):
        spool.add(part)
    return spool.table()


def pieces(table: pa.Table, rows: int | None = None) -> Iterator[pa.Table]:
    """Yield a table in pieces; mapped memory is released after each.

    rows: of a piece, PIECE_ROWS by default. A table without rows is one piece.
    """
    rows = rows or PIECE_ROWS
    for start in range(0, max(1, table.num_rows), rows):
        yield table.slice(start, rows)
        release()


def numbered_pieces(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Yield `pieces`, each with the number of its first row."""
    start = 0
    for piece in pieces(table):
        yield start, piece
        start += piece.num_rows


def filtered(table: pa.Table, wanted: NDArray[np.bool_]) -> pa.Table:
    """Return the wanted rows of a table; the table itself if all are."""
    if wanted.all():
        return table
    return spooled(
        piece.filter(pa.array(wanted[start : start + piece.num_rows]))
        for start, piece in numbered_pieces(table)
    )


def release() -> None:
    """Give back the memory of mapped tables; it is read from disk again on access."""
    with _MAPPED_LOCK:
        for mapped in list(_MAPPED):
            mapped.madvise(mmap.MADV_DONTNEED)
