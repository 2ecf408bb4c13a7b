"""Do the second and the last stage in one worker, if no GPU waits for the next task.

A task's pixels are then transferred once, by the stage that reads, instead of twice. Packing a
task, Ray's copy of it and its transfer to another process cost about a twentieth of a photo's time,
and processes that only encode would cost memory.
"""

from pipeline.stages.commit import finish
from pipeline.stages.crop import DetectScore
from pipeline.stages.heap import give_back_growth, give_back_when_idle
from pipeline.stages.wire import Block, pack_summary, unpack
from pipeline.stages.worker import Job


class DetectScoreCommit(DetectScore):
    """Chooses the crops of each photo of a task, encodes them and commits the task."""

    def __init__(self, job: Job, device: str, gpus: float = 0.0) -> None:
        """Make the networks ready, as `DetectScore` does."""
        super().__init__(job, device, gpus)
        self.job = job

    def __call__(self, block: Block) -> Block:
        """Do both stages for the task of a block; return its summary."""
        with give_back_when_idle():
            decided = self.decide(unpack(block))
            give_back_growth()  # writing the task's files takes some 30 MiB
            done = pack_summary(finish(decided, self.job))
            del decided
            give_back_growth()
        return done
