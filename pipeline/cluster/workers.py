"""The stages as Ray runs them: functions for tasks and classes for actors."""

import os

import pyarrow as pa

from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.in_one import DetectScoreCommit
from pipeline.stages.read import read_decode
from pipeline.stages.wire import keep_pandas_out, share_heap
from pipeline.stages.worker import Job

NICE_BESIDE_GPU = 19
"""Nice value of what runs beside the worker of a GPU: the lowest priority.

Ray starts all workers at 15. That of a GPU wakes up many times a photo, each time that the GPU has
done a piece, and should then have a core at once, from one that decodes or encodes: nobody waits
for those."""


def read_apart(block: pa.Table, job: Job) -> pa.Table:
    """Do the first stage, as a Ray task."""
    keep_pandas_out()
    return read_decode(block, job)


def read_beside_gpu(block: pa.Table, job: Job) -> pa.Table:
    """Do `read_apart` at a lower priority than a scoring worker; the decoding child inherits it."""
    give_way()
    return read_apart(block, job)


def commit_beside_gpu(block: pa.Table, job: Job, decoded: pa.Table | None = None) -> pa.Table:
    """Do the last stage at a lower priority than a scoring worker."""
    give_way()
    return cut_encode_commit(block, job, decoded)


def give_way() -> None:
    """Lower the priority of this thread, and of threads and processes that it starts from now on.

    This needs no privilege. On systems other than Linux it applies to the whole process.
    """
    os.setpriority(os.PRIO_PROCESS, 0, NICE_BESIDE_GPU)


class StageActor(DetectScore):
    """The part that the actors share: setting up their own process, and `ready`."""

    def __init__(self, job: Job, device: str, gpus: float = 0.0) -> None:
        """Make the networks ready, as `DetectScore` does."""
        keep_pandas_out()
        share_heap()
        super().__init__(job, device, gpus)

    def ready(self) -> None:
        """Do nothing; Ray answers the call once the actor has started."""


class Scorer(StageActor):
    """The second stage as an actor."""

    def do(self, block: pa.Table) -> pa.Table:
        """Do the stage. Photos do not pass through it: the last stage gets them from the first."""
        return self.decisions(block)


class Finisher(StageActor, DetectScoreCommit):
    """The second and the last stage as one actor."""

    def do(self, block: pa.Table) -> pa.Table:
        """Do both stages; Ray cannot call `__call__` by name."""
        return self(block)
