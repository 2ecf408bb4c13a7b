"""The stages as Ray's workers do them: a task's function and classes of actors."""

import pyarrow as pa

from pipeline.stages.crop import DetectScore
from pipeline.stages.in_one import DetectScoreCommit
from pipeline.stages.read import read_decode
from pipeline.stages.wire import keep_pandas_out
from pipeline.stages.worker import Job


def read_apart(block: pa.Table, job: Job) -> pa.Table:
    """The first stage as a task of Ray's."""
    keep_pandas_out()
    return read_decode(block, job)


class StageActor(DetectScore):
    """What actors have in common: a process of their own, and an answer when they are there."""

    def __init__(self, job: Job, device: str, gpus: float = 0.0) -> None:
        """Make the networks ready, as `DetectScore` does."""
        keep_pandas_out()
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
