"""Cut the input list of a run into tasks."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError


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
    """
    if task_images < 1 or task_bytes < 1:
        raise UsageError("a task holds at least 1 image and 1 byte")
    sizes = pc.fill_null(inputs["bytes"], 0).to_numpy()
    total = np.concatenate([[0], np.cumsum(sizes)])  # bytes before each row  # [rows + 1]
    starts = [0]
    while starts[-1] < inputs.num_rows:
        start = starts[-1]
        fitting = int(np.searchsorted(total, total[start] + task_bytes, side="right")) - 1
        starts.append(min(max(fitting, start + 1), start + task_images, inputs.num_rows))
    return TaskCuts(tuple(starts))
