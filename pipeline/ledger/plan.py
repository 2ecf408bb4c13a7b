"""Cut the input list of a run into tasks."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.storage.partitions import reordered
from pipeline.storage.spool import numbered_pieces

RowNumbers = NDArray[np.intp]  # numbers of rows of a list

# An ETag that is a hash of the whole object or of its parts, so that equal ETags mean equal bytes.
HASH_ETAG = r"^[0-9a-f]{32}(-[0-9]+)?$"


@dataclass(frozen=True)
class TaskCuts:
    """Tasks as row ranges of the input list: task n is the rows starts[n] to starts[n + 1]."""

    starts: tuple[int, ...]

    @property
    def task_count(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> int:
        return self.starts[-1]

    @property
    def tasks(self) -> list[range]:
        return [self.task_rows(n) for n in range(self.task_count)]

    def task_rows(self, n: int) -> range:
        return range(self.starts[n], self.starts[n + 1])


def cut_tasks(inputs: pa.Table, task_images: int = 256, task_bytes: int = 128 << 20) -> TaskCuts:
    """Cut the list, in its order, into tasks of at most `task_images` rows and `task_bytes` bytes.

    A photo larger than `task_bytes` is a task of its own; a photo of unknown size counts as 0
    bytes. Neighbours that look like the same bytes stay in one task if they fit.
    """
    if task_images < 1 or task_bytes < 1:
        raise UsageError("a task holds at least 1 image and 1 byte")
    total = _bytes_before(inputs)
    alike = _like_the_row_before(inputs)
    starts = [0]
    while starts[-1] < inputs.num_rows:
        start = starts[-1]
        fitting = int(np.searchsorted(total, total[start] + task_bytes, side="right")) - 1
        stop = min(max(fitting, start + 1), start + task_images, inputs.num_rows)
        first = stop  # of the rows that look like the row after the task
        while first > start and alike[first]:
            first -= 1
        starts.append(first if first > start else stop)
    return TaskCuts(tuple(starts))


def same_bytes_together(inputs: pa.Table) -> pa.Table:
    """Return the list with photos that look like the same bytes moved next to the first of them.

    Photos of a task with the same bytes share one result. Only the worker has the bytes to compare,
    so here they are guessed: objects of equal size and equal ETag if the ETag is a hash, and local
    files of equal size. A list without such photos is returned unchanged.
    """
    rows, firsts = _alike(inputs)
    if np.array_equal(_first_neighbours(rows, firsts), firsts):
        return inputs
    group = np.arange(inputs.num_rows)
    group[rows] = firsts
    return reordered(inputs, np.argsort(group, kind="stable"))


def alike_key(inputs: pa.Table) -> pa.Array:
    """Return a key for each row; rows that look like the same bytes have equal keys: [rows].

    ETag and size if the ETag is a hash, the size of a local file, else null (unknown).
    """
    size = inputs["bytes"].cast(pa.string())
    hashed = pc.match_substring_regex(inputs["etag"], HASH_ETAG)
    local = pc.invert(pc.match_substring_regex(inputs["uri"], "^[A-Za-z][A-Za-z0-9+.-]*://"))
    local = pc.or_(local, pc.starts_with(inputs["uri"], "file://"))
    by_hash = pc.binary_join_element_wise(inputs["etag"], size, "/")
    key = pc.if_else(pc.fill_null(hashed, False), by_hash, pc.if_else(local, size, None))
    return key.combine_chunks() if isinstance(key, pa.ChunkedArray) else key


def _alike(inputs: pa.Table) -> tuple[RowNumbers, RowNumbers]:
    """Return the rows that look like the same bytes as an earlier row, and the earliest such row.

    Both are row numbers, one pair per row; the first array is in ascending order. Keys are compared
    by hashes of 8 bytes; the texts are compared only if two hashes are equal.
    """
    hashes = np.zeros(inputs.num_rows, np.int64)
    known = np.zeros(inputs.num_rows, bool)
    for start, piece in numbered_pieces(inputs):
        hints, stop = alike_key(piece).to_pylist(), start + piece.num_rows
        hashes[start:stop] = np.fromiter(map(hash, hints), np.int64, len(hints))
        known[start:stop] = [hint is not None for hint in hints]
    shared = hashes[known]
    shared.sort()
    shared = np.unique(shared[1:][shared[1:] == shared[:-1]])
    if not len(shared):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    del known
    rows, texts = _with_hash(inputs, hashes, shared)
    codes = texts.dictionary_encode().indices.to_numpy()
    _, places = np.unique(codes, return_index=True)
    firsts = rows[places[codes]]
    later = firsts != rows
    return rows[later], firsts[later]


def _with_hash(
    inputs: pa.Table, hashes: NDArray[np.int64], shared: NDArray[np.int64]
) -> tuple[RowNumbers, pa.Array]:
    """Return the rows whose key has a hash in `shared`, which is sorted, and their keys."""
    rows, texts = [np.empty(0, np.intp)], [pa.array([], pa.string())]
    for start, piece in numbered_pieces(inputs):
        ours = hashes[start : start + piece.num_rows]
        at = np.minimum(np.searchsorted(shared, ours), len(shared) - 1)
        hints = alike_key(piece)
        here = (shared[at] == ours) & hints.is_valid().to_numpy(zero_copy_only=False)
        rows.append(np.flatnonzero(here) + start)
        texts.append(hints.filter(pa.array(here)))
    return np.concatenate(rows), pa.concat_arrays(texts)


def _first_neighbours(rows: RowNumbers, firsts: RowNumbers) -> RowNumbers:
    """Return where the unbroken stretch of rows that look like an earlier one begins, for each row.

    rows, firsts: as returned by `_alike`.
    """
    goes_on = np.zeros(len(rows), bool)  # the row before it looks like the same earliest row
    goes_on[1:] = (rows[1:] == rows[:-1] + 1) & (firsts[1:] == firsts[:-1])
    begins = np.where(firsts == rows - 1, firsts, np.where(goes_on, -1, rows))
    return np.maximum.accumulate(begins) if len(begins) else begins


def _like_the_row_before(inputs: pa.Table) -> NDArray[np.bool_]:
    """Mark rows that look like the same bytes as the row before; false at the end: [rows + 1]."""
    alike = np.zeros(inputs.num_rows + 1, bool)
    last = pa.nulls(1, pa.string())
    for start, piece in numbered_pieces(inputs):
        hints = pa.concat_arrays([last, alike_key(piece)])
        same = pc.fill_null(pc.equal(hints[1:], hints[:-1]), False)
        alike[start : start + piece.num_rows] = same.to_numpy(zero_copy_only=False)
        last = hints[-1:]
    return alike


def _bytes_before(inputs: pa.Table) -> NDArray[np.int64]:
    """Return the bytes of all photos before each row, and the total at the end: [rows + 1]."""
    total = np.zeros(inputs.num_rows + 1, np.int64)
    for start, piece in numbered_pieces(inputs):
        total[start + 1 : start + 1 + piece.num_rows] = pc.fill_null(piece["bytes"], 0).to_numpy()
    return np.cumsum(total, out=total)
