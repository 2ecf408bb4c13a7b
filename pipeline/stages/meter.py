"""Measure what the stages of a task cost in their worker: CPU, GPU, waiting, requests, bytes.

All CPU time of a worker process is charged to a stage. CPU time before its first task is its start.
CPU time between two tasks, when Ray moves data, and for packing and unpacking them is the
hand-over. Only the hand-over after a worker's last task is lost. CPU time of child processes counts
as decoding, since a worker has no other children.
"""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from msgspec.structs import replace

from pipeline.ledger.figures import RETRY, Cost, Figures
from pipeline.stages.task import Task
from pipeline.stages.worker import decoder_cpu_s
from pipeline.storage.traffic import requests_so_far, traffic_so_far

# Costs in addition to those of a photo's stages.
START, HAND_OVER, COMMIT, RECALL = "start", "hand_over", "commit", "recall"
ON_GPU = ("detect", "score")  # stages that keep a GPU busy where the worker has one

# CPU seconds of this process and its children charged to a stage so far; None before the first.
_charged_s: float | None = None


@dataclass(frozen=True)
class _Reading:
    own_s: float  # CPU time of this process, all threads
    children_s: float
    wall_s: float
    requests: int
    wait_s: float
    read_bytes: int
    written_bytes: int


class Meter:
    """Charges the work of this process to one stage at a time, for one task.

    Threads are not distinguished: the work of all of them counts for the current stage, except for
    that of a thread inside `thread_on`.
    """

    def __init__(self, gpus: float = 0.0) -> None:
        """Begin a task: costs not charged yet go to the start or to the hand-over.

        gpus: GPUs that this worker holds, or the share of one.
        """
        self._gpus, self._began_s, self._is_stopped = gpus, time.time(), False
        self._stage, self._last = HAND_OVER, _read()
        first = _charged_s is None
        so_far = self._last.own_s + self._last.children_s - (_charged_s or 0.0)
        self.costs = {START if first else HAND_OVER: Cost(cpu_s=so_far, starts=int(first))}
        self._lap(HAND_OVER)

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Charge the work inside the block to `stage`, then continue with the previous stage."""
        before = self._stage
        self._lap(stage)
        try:
            yield
        finally:
            self._lap(before)

    @contextmanager
    def thread_on(self, stage: str, instead_of: str) -> Iterator[None]:
        """Charge this thread's CPU time in the block to `stage`; other threads are not affected.

        instead_of: the current stage.
        """
        start_s = time.thread_time()
        try:
            yield
        finally:
            cpu_s = time.thread_time() - start_s
            self._add(instead_of, Cost(cpu_s=-cpu_s))
            self._add(stage, Cost(cpu_s=cpu_s))

    def set_read_cost(self, wait_s: float, read_bytes: int) -> None:
        """Set the cost of reading photos: the stores do not count disks and web servers."""
        self.costs["read"] = replace(self.costs["read"], wait_s=wait_s, read_bytes=read_bytes)

    def figures(self) -> Figures:
        """Return the costs so far and stop counting; until the next task all is hand-over."""
        self._lap(HAND_OVER)
        self._is_stopped = True
        return Figures(costs={name: _rounded(cost) for name, cost in self.costs.items()})

    def add_to(self, task: Task, span: str) -> None:
        """Add the costs so far to the task's, and record this meter's time as its span `span`.

        Everything until the next task is hand-over.
        """
        task.costs = (Figures(costs=task.costs) + self.figures()).costs
        task.spans = self.spans_of(task, span)

    def spans_of(self, task: Task, span: str) -> dict[str, tuple[float, float]]:
        """Return the task's spans with that of this meter, which ends now."""
        return {**task.spans, span: (self._began_s, time.time())}

    def _lap(self, stage: str) -> None:
        """Charge the costs since the last lap to the current stage; begin `stage`."""
        global _charged_s
        if self._is_stopped:
            return
        now, last = _read(), self._last
        on_gpu = self._gpus if self._stage in ON_GPU else 0.0
        spent = Cost(
            cpu_s=now.own_s - last.own_s,
            gpu_s=on_gpu * (now.wall_s - last.wall_s),
            wait_s=now.wait_s - last.wait_s,
            requests=now.requests - last.requests,
            read_bytes=now.read_bytes - last.read_bytes,
            written_bytes=now.written_bytes - last.written_bytes,
        )
        self._add(self._stage, spent)
        if now.children_s != last.children_s:
            self._add("decode", Cost(cpu_s=now.children_s - last.children_s))
        self._stage, self._last = stage, now
        _charged_s = now.own_s + now.children_s

    def _add(self, stage: str, cost: Cost) -> None:
        self.costs[stage] = self.costs.get(stage, Cost()) + cost


def _read() -> _Reading:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    asked = requests_so_far()
    moved = traffic_so_far()
    return _Reading(
        own_s=time.process_time(),
        children_s=ended.ru_utime + ended.ru_stime + decoder_cpu_s(),
        wall_s=time.perf_counter(),
        requests=sum(count for name, count in asked.items() if not name.startswith(RETRY)),
        wait_s=moved.wait_s,
        read_bytes=moved.read_bytes,
        written_bytes=moved.written_bytes,
    )


def _rounded(cost: Cost) -> Cost:
    seconds = {name: round(getattr(cost, name), 4) for name in ("cpu_s", "gpu_s", "wait_s")}
    return replace(cost, **seconds)
