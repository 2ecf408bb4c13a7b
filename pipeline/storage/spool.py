"""Keep a long table on the local disk, mapped into memory, and go through it in pieces.

A table of up to HELD_ROWS rows stays in memory. A longer one goes to a file without a name in the
folder for temporary files (TMPDIR), which is gone when nobody has the table any more, or when the
process ends. Such a table is read as any other; the kernel reads the file's pages when they are
touched, and takes them back when memory is scarce or `release` is called.
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
PIECE_ROWS = 50_000  # that are looked at, and written, at a time

_MAPPED: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()
_MAPPED_LOCK = threading.Lock()


class Spool:
    """A table that grows at its end. `table` ends it."""

    def __init__(self, schema: pa.Schema, held_rows: int | None = None) -> None:
        """held_rows: up to which it stays in memory, where that are fewer than HELD_ROWS."""
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
        """All rows, in memory or mapped. Raises as `add`."""
        if self._file is None or self._writer is None:
            return pa.concat_tables([self._schema.empty_table(), *self._waiting]).combine_chunks()
        self._write()
        with _told_where():
            self._writer.close()
            self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._file.close()
        with _MAPPED_LOCK:
            _MAPPED.add(mapped)
        return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()

    def _write(self) -> None:
        with _told_where():
            self._put()
        self._waiting, self._written = [], self.rows

    def _put(self) -> None:
        if self._writer is None:
            self._file = tempfile.TemporaryFile(prefix="s2cnet-")  # noqa: SIM115  `table` maps it
            weakref.finalize(self, self._file.close)  # where nobody asks for the table
            self._writer = pa.ipc.new_file(self._file, self._schema)
        if self._waiting:
            rows = pa.concat_tables(self._waiting).combine_chunks()
            self._writer.write_table(rows, max_chunksize=PIECE_ROWS)


@contextmanager
def _told_where() -> Iterator[None]:
    """Say which folder it is that takes no more."""
    try:
        yield
    except OSError as error:
        where = tempfile.gettempdir()
        raise StoreFailedError(
            f"a long list does not fit into {where}, the folder for temporary files: {error}. "
            "Name another with TMPDIR"
        ) from error


def spooled(parts: Iterable[pa.Table]) -> pa.Table:
    """Tables of one schema, at least one, one after the other as one table."""
    rest = iter(parts)
    first = next(rest)
    spool = Spool(first.schema)
    for part in chain([first], rest):
        spool.add(part)
    return spool.table()


def pieces(table: pa.Table, rows: int | None = None) -> Iterator[pa.Table]:
    """The table in pieces of so many rows; what is mapped goes out of memory in between.

    rows: PIECE_ROWS where none is given. A table without rows is one piece.
    """
    rows = rows or PIECE_ROWS
    for start in range(0, max(1, table.num_rows), rows):
        yield table.slice(start, rows)
        release()


def numbered_pieces(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """`pieces`, each with the number of its first row."""
    start = 0
    for piece in pieces(table):
        yield start, piece
        start += piece.num_rows


def filtered(table: pa.Table, wanted: NDArray[np.bool_]) -> pa.Table:
    """The rows of a table that are wanted; the table itself where all are."""
    if wanted.all():
        return table
    return spooled(
        piece.filter(pa.array(wanted[start : start + piece.num_rows]))
        for start, piece in numbered_pieces(table)
    )


def release() -> None:
    """Give back the memory of mapped tables; what is touched again is read again."""
    with _MAPPED_LOCK:
        for mapped in list(_MAPPED):
            mapped.madvise(mmap.MADV_DONTNEED)
