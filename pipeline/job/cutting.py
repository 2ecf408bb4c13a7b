"""Cut a job's list into tasks, small enough that every core has work."""

from collections.abc import Callable

import pyarrow as pa

from pipeline.ledger.plan import TaskCuts, cut_tasks
from pipeline.settings import RunningSettings

# Small inputs are cut so that every core has work and soon gets its next task.
TASKS_PER_CORE = 2
LEAST_PHOTOS = 2  # in a small task: fewer cost more in files and requests than they gain


def cut_for(
    inputs: pa.Table, running: RunningSettings, cores: Callable[[], int] | None
) -> TaskCuts:
    """Cut a list into tasks. A run's id does not depend on the cuts, and a begun run keeps them."""
    photos = running.task_images
    if cores is not None and photos > LEAST_PHOTOS and inputs.num_rows > LEAST_PHOTOS:
        photos = task_photos(inputs.num_rows, photos, cores())
    return cut_tasks(inputs, photos, running.task_bytes)


def task_photos(photos: int, most: int, cores: int) -> int:
    """Return how many photos make a task: at most `most`, fewer where cores would be idle."""
    shares = -(-photos // (TASKS_PER_CORE * cores))
    return min(most, max(LEAST_PHOTOS, shares))
