"""The stages as Ray runs them: functions for tasks and classes for actors."""

import os

import pyarrow as pa

from pipeline.errors import GpuShareError
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.in_one import DetectScoreCommit
from pipeline.stages.read import read_decode
from pipeline.stages.wire import keep_pandas_out, use_system_allocator
from pipeline.stages.worker import Job

LOW_PRIORITY_NICE = 19
"""The nice value of tasks that run next to a GPU's scoring worker: the lowest priority.

Ray starts all workers at 15. A GPU's worker wakes up many times per photo, whenever the GPU has
finished a step, and should then get a core immediately, from a worker that decodes or encodes:
nothing waits for those."""


def read_in_worker(block: pa.Table, job: Job) -> pa.Table:
    """Do the first stage, as a Ray task."""
    keep_pandas_out()
    return read_decode(block, job)


def read_low_priority(block: pa.Table, job: Job) -> pa.Table:
    """Do `read_in_worker` at a lower priority than a scorer; the decoding child inherits it."""
    lower_priority()
    return read_in_worker(block, job)


def commit_low_priority(block: pa.Table, job: Job, decoded: pa.Table | None = None) -> pa.Table:
    """Do the last stage at a lower priority than a scoring worker."""
    lower_priority()
    return cut_encode_commit(block, job, decoded)


def lower_priority() -> None:
    """Lower the priority of this thread, and of threads and processes that it starts from now on.

    This needs no privilege. On systems other than Linux it applies to the whole process.
    """
    os.setpriority(os.PRIO_PROCESS, 0, LOW_PRIORITY_NICE)


class StageActor(DetectScore):
    """The part that the actors share: setting up their own process, and `ready`."""

    def __init__(self, job: Job, device: str, gpus: float = 0.0) -> None:
        """Make the networks ready, as `DetectScore` does, unless the default share is too small."""
        keep_pandas_out()
        use_system_allocator()
        self.too_small: GpuShareError | None = None
        try:
            super().__init__(job, device, gpus)
        except GpuShareError as error:
            if job.settings.running.gpus_per_actor is not None:
                raise
            self.too_small = error  # what a constructor raises reaches the driver as text alone

    def ready(self) -> GpuShareError | None:
        """Return why this actor can't score, if its default share of a GPU has too little memory.

        Ray answers the call once the actor has started.
        """
        return self.too_small

    def check_share(self) -> None:
        """Raise what `ready` returns, since Ray may restart a ready actor on a smaller GPU."""
        if self.too_small is not None:
            raise self.too_small


class Scorer(StageActor):
    """The second stage as an actor."""

    def do(self, block: pa.Table) -> pa.Table:
        """Do the stage. Photos do not pass through it: the last stage gets them from the first."""
        self.check_share()
        return self.decisions(block)


class Finisher(StageActor, DetectScoreCommit):
    """The second and the last stage as one actor."""

    def do(self, block: pa.Table) -> pa.Table:
        """Do both stages; Ray cannot call `__call__` by name."""
        self.check_share()
        return self(block)
