"""Draw a sample that represents all photos of a run, and cut it into comparable tasks.

The list is sorted by folder and, within a folder, by size; every k-th photo from a random start is
taken. Such a systematic sample of a sorted list is stratified by folder and size without weights:
each photo has the same chance, and each folder and size its share (Cochran, Sampling Techniques,
3rd ed., ch. 8). Photos are dealt to the tasks in turn, so each task is a systematic sample of all
photos too, and the variance between tasks measures the precision of the sample (random groups:
Wolter, Introduction to Variance Estimation, ch. 2).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.plan import TaskCuts
from pipeline.storage.spool import numbered_pieces

LEAST_TASKS = 16  # fewer say little about the precision of the sample
TASKS_PER_ACTOR = 4  # so that each actor's last task is a small part of the whole
SEED = 12


@dataclass(frozen=True)
class DrawnPhotos:
    """The sampled rows of the list, task by task."""

    inputs: pa.Table
    cuts: TaskCuts


def draw_sample(inputs: pa.Table, photos: int, task_images: float, actors: int) -> DrawnPhotos:
    """Draw a sample of a run's list.

    inputs:      the rows that the run would do
    photos:      how many are wanted; all are taken if the list has no more
    task_images: the run's average number of photos per task; the sample's tasks have at most as
                 many
    actors:      the number of scoring workers
    """
    count = min(photos, inputs.num_rows)
    wanted = max(LEAST_TASKS, TASKS_PER_ACTOR * actors, round(count / task_images))
    tasks = min(wanted, count)
    random = np.random.default_rng(SEED)
    step = inputs.num_rows / count
    taken = _by_folder_and_size(inputs)[
        np.floor((np.arange(count) + random.random()) * step).astype(int)
    ]
    dealt = [taken[first::tasks] for first in range(tasks)]
    rows = inputs.take(pa.array(np.concatenate(dealt))).combine_chunks()
    ends = np.cumsum([len(one) for one in dealt])
    return DrawnPhotos(rows, TaskCuts((0, *map(int, ends))))


def _by_folder_and_size(inputs: pa.Table) -> np.ndarray:
    """Return row numbers sorted by folder and, within it, by size; unknown sizes come first.

    This takes some 32 bytes of memory per row, and each folder's name once.
    """
    folders, sizes = (np.zeros(inputs.num_rows, np.int64) for _ in range(2))
    known: dict[str, int] = {}
    for start, piece in numbered_pieces(inputs):
        rows = slice(start, start + piece.num_rows)
        names = pc.replace_substring_regex(piece["uri"].combine_chunks(), r"[^/]*$", "")
        names = names.dictionary_encode()
        codes = [known.setdefault(name, len(known)) for name in names.dictionary.to_pylist()]
        folders[rows] = np.array(codes, np.int64)[names.indices.to_numpy()]
        sizes[rows] = pc.fill_null(piece["bytes"], -1).to_numpy()
    places = np.empty(len(known), np.int64)
    places[[known[name] for name in sorted(known)]] = np.arange(len(known))
    order: np.ndarray = np.lexsort((sizes, places[folders]))
    return order
