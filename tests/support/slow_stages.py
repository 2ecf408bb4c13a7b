"""Stages that only take time, and record when and where they ran."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import ray

from pipeline.errors import GpuShareError, LedgerError


@dataclass(frozen=True)
class SlowJob:
    """The file where stages record their runs, and how long they take, seconds.

    actors: how many must be up before a `DeviceScorer` scores the tasks from FIRST on
    """

    notes: Path
    start_s: float = 0.0
    score_s: float = 0.0
    actors: int = 0


FIRST = 20


@dataclass(frozen=True)
class Note:
    """One event: a stage began ("read", "score", "encode") or an actor came up ("actor")."""

    at_s: float
    what: str
    task: int
    pid: int
    node: str


def note(job: SlowJob, what: str, task: int) -> None:
    node = ray.get_runtime_context().get_node_id()
    with job.notes.open("a") as file:  # one short line is appended atomically
        file.write(f"{time.time()} {what} {task} {os.getpid()} {node}\n")


def notes_of(job: SlowJob) -> Iterator[Note]:
    for line in job.notes.read_text().splitlines():
        at, what, task, pid, node = line.split()
        yield Note(float(at), what, int(task), int(pid), node)


def number(block: pa.Table) -> int:
    return int(block["task"][0].as_py())


def read(block: pa.Table, job: SlowJob) -> pa.Table:
    note(job, "read", number(block))
    return block


def read_slowly(block: pa.Table, job: SlowJob) -> pa.Table:
    """Read like `read`, but take a third of a second."""
    time.sleep(0.3)
    return read(block, job)


class SlowScorer:
    """An actor that takes its time to start."""

    def __init__(self, job: SlowJob, device: str) -> None:
        assert device == "cpu"
        self.job = job
        time.sleep(job.start_s)
        note(job, "actor", -1)

    def ready(self) -> None:
        """Stand in for `Scorer.ready`."""

    def do(self, block: pa.Table) -> pa.Table:
        """Stand in for `Scorer.do`."""
        note(self.job, "score", number(block))
        time.sleep(self.job.score_s)
        return block


class LargeScorer(SlowScorer):
    """An actor whose results are so large that Ray keeps them on its node."""

    def do(self, block: pa.Table) -> pa.Table:
        """Return the block with a megabyte of ballast."""
        return super().do(block).append_column("ballast", pa.array([bytes(1 << 20)]))


class FirstScorer(SlowScorer):
    """An actor that starts at once, or takes a minute if another has already begun to start."""

    def __init__(self, job: SlowJob, device: str) -> None:
        try:
            job.notes.with_name("first").touch(exist_ok=False)
        except FileExistsError:
            time.sleep(60)
        super().__init__(job, device)


class Idle:
    """An actor that only occupies the cores that it asks for."""

    def ready(self) -> None:
        """Stand in for `Scorer.ready`."""


class BrokenScorer(SlowScorer):
    """An actor that cannot start."""

    def __init__(self, job: SlowJob, device: str, gpus: float = 0.0) -> None:
        raise ValueError("the weights are for another network")


class NoRoomScorer(SlowScorer):
    """An actor that finds no room for itself, and says so in our own words."""

    def __init__(self, job: SlowJob, device: str) -> None:
        raise LedgerError("this GPU has no room")


def encode(block: pa.Table, job: SlowJob, decoded: pa.Table) -> pa.Table:
    assert number(decoded) == number(block)
    note(job, "encode", number(block))
    return block


def full_disk(block: pa.Table, job: SlowJob, decoded: pa.Table) -> pa.Table:
    raise OSError(28, "No space left on device")


class DeviceScorer(SlowScorer):
    """An actor that also records the device that it was given, as "cpu" or "cuda"."""

    def __init__(self, job: SlowJob, device: str, gpus: float) -> None:
        super().__init__(job, "cpu")
        note(job, device, -1)

    def do(self, block: pa.Table) -> pa.Table:
        """Score, perhaps only once others are up: how long that takes depends on the machine."""
        while number(block) >= FIRST and self._up() < self.job.actors:
            time.sleep(0.05)
        return super().do(block)

    def _up(self) -> int:
        return sum(one.what == "actor" for one in notes_of(self.job))


class SmallGpuScorer(DeviceScorer):
    """An actor on a GPU whose memory is enough for two."""

    LEAST = 0.4

    def __init__(self, job: SlowJob, device: str, gpus: float) -> None:
        super().__init__(job, device, gpus)
        self.gpus = gpus

    def ready(self) -> GpuShareError | None:  # type: ignore[override]
        """Stand in for `StageActor.ready`."""
        return GpuShareError("too little", self.LEAST) if self.gpus < self.LEAST else None

    def do(self, block: pa.Table) -> pa.Table:
        """Score, which an actor whose share is too small cannot."""
        assert self.gpus >= self.LEAST
        return super().do(block)
