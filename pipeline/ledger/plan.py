"""Cut the input list of a run into tasks."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import UsageError

# An ETag that is the hash of the whole object, or of its parts: equal ones mean equal bytes.
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

    A photo larger than `task_bytes` is a task of its own; one of unknown size counts 0 bytes.
    Neighbours that look like the same bytes stay in one task where they fit into one.
    """
    if task_images < 1 or task_bytes < 1:
        raise UsageError("a task holds at least 1 image and 1 byte")
    sizes = pc.fill_null(inputs["bytes"], 0).to_numpy()
    total = np.concatenate([[0], np.cumsum(sizes)])  # bytes before each row  # [rows + 1]
    first_alike = _first_neighbour(_first_alike(inputs))
    starts = [0]
    while starts[-1] < inputs.num_rows:
        start = starts[-1]
        fitting = int(np.searchsorted(total, total[start] + task_bytes, side="right")) - 1
        stop = min(max(fitting, start + 1), start + task_images, inputs.num_rows)
        if stop < inputs.num_rows and first_alike[stop] > start:
            stop = int(first_alike[stop])
        starts.append(stop)
    return TaskCuts(tuple(starts))


def same_bytes_together(inputs: pa.Table) -> pa.Table:
    """The list with photos that look like the same bytes moved behind the first of them.

    A task's photos that are the same bytes share one result; which ones are is told by the bytes
    alone. Here is only guessed which may be: objects of one size whose ETag is a hash, and local
    files of one size. A list without such photos stays as it is.
    """
    order = np.argsort(_first_alike(inputs), kind="stable")
    if np.array_equal(order, np.arange(len(order))):
        return inputs
    return inputs.take(pa.array(order)).combine_chunks()


def alike_key(inputs: pa.Table) -> pa.Array:
    """What two rows of lists have in common that look like the same bytes; null: nothing is known.

    That is an ETag and a size where the ETag is a hash, and the size of a local file.
    """
    size = inputs["bytes"].cast(pa.string())
    hashed = pc.match_substring_regex(inputs["etag"], HASH_ETAG)
    local = pc.invert(pc.match_substring_regex(inputs["uri"], "^[A-Za-z][A-Za-z0-9+.-]*://"))
    local = pc.or_(local, pc.starts_with(inputs["uri"], "file://"))
    by_hash = pc.binary_join_element_wise(inputs["etag"], size, "/")
    key = pc.if_else(pc.fill_null(hashed, False), by_hash, pc.if_else(local, size, None))
    return key.combine_chunks() if isinstance(key, pa.ChunkedArray) else key


def _first_alike(inputs: pa.Table) -> NDArray[np.intp]:
    """For each row the first one that looks like the same bytes."""
    hint = alike_key(inputs)
    own = np.arange(inputs.num_rows)
    known = np.flatnonzero(pc.is_valid(hint).to_numpy(zero_copy_only=False))
    codes = pc.drop_null(hint).dictionary_encode().indices.to_numpy()
    _, firsts = np.unique(codes, return_index=True)
    own[known] = known[firsts[codes]]
    return own


def _first_neighbour(first: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each row the first of the rows before it, without a gap, that look like it."""
    rows = np.arange(len(first))
    begins = np.ones(len(first), bool)
    begins[1:] = first[1:] != first[:-1]
    return np.maximum.accumulate(np.where(begins, rows, 0))
