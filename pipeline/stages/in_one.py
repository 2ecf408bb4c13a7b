"""The second and the last stage in one worker, where no GPU waits for the next task.

A task's pixels are then handed on once, by the stage that reads, instead of twice: packing a task,
Ray's copy of it and its way into another process cost about a twentieth of a photo, and the
processes that only encode their memory.
"""

from pipeline.stages.commit import finish
from pipeline.stages.crop import DetectScore
from pipeline.stages.heap import at_work, give_back_growth
from pipeline.stages.wire import Block, pack_summary, unpack
from pipeline.stages.worker import Job


class DetectScoreCommit(DetectScore):
    """Chooses the crops of each photo of a task, encodes them and puts the task on record."""

    def __init__(self, job: Job, device: str, gpus: float = 0.0) -> None:
        """Make the networks ready, as `DetectScore` does."""
        super().__init__(job, device, gpus)
        self.job = job

    def __call__(self, block: Block) -> Block:
        """Do the stages for the task of a block; what comes out is its summary."""
        with at_work():
            decided = self.decide(unpack(block))
            give_back_growth()  # making the task's files takes some 30 MiB
            done = pack_summary(finish(decided, self.job))
            del decided
            give_back_growth()
        return done
