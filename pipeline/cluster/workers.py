"""The stages as Ray's workers do them: functions of a task and classes of actors."""

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
    """The first stage as a task of Ray's."""
    keep_pandas_out()
    return read_decode(block, job)


def read_beside_gpu(block: pa.Table, job: Job) -> pa.Table:
    """`read_apart` with less priority than a scoring worker has; its decoding child inherits it."""
    give_way()
    return read_apart(block, job)


def commit_beside_gpu(block: pa.Table, job: Job, decoded: pa.Table | None = None) -> pa.Table:
    """The last stage with less priority than a scoring worker has."""
    give_way()
    return cut_encode_commit(block, job, decoded)


def give_way() -> None:
    """Lower the priority of this thread, and of threads and processes that it starts from now on.

    No right is needed to lower it. Elsewhere than on Linux it is that of the whole process.
    """
    os.setpriority(os.PRIO_PROCESS, 0, NICE_BESIDE_GPU)


class StageActor(DetectScore):
    """What actors have in common: a process of their own, and an answer when they are there."""

    def __init__(self, job: Job, device: str, gpus: float = 0.0) -> None:
        """Make the networks ready, as `DetectScore` does."""
        keep_pandas_out()
        share_heap()
        super().__init__(job, device, gpus)

    def ready(self) -> None:
        """Nothing; Ray answers once the actor is there."""


class Scorer(StageActor):
    """The second stage as an actor."""

    def do(self, block: pa.Table) -> pa.Table:
        """The stage; its photos go from the first stage to the last by themselves."""
        return self.decisions(block)


class Finisher(StageActor, DetectScoreCommit):
    """The second and the last stage as one actor."""

    def do(self, block: pa.Table) -> pa.Table:
        """The stages; Ray has no name for `__call__`."""
        return self(block)
