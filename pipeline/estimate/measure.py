"""Measure what a sample took, and the rate at which the cluster worked when it was busy.

Work is counted in CPU seconds if cores are the bottleneck, and in photos if GPUs are. The rate is
measured from the moment when the first photo is scored, before which workers start, to the moment
when scoring of the last task begins, after which some workers have nothing left to do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.ledger.figures import Figures, add_figures
from pipeline.report.costs import Machines
from pipeline.stages.task import TaskSummary

SLICES = 8  # of the busy time, to measure how steady the rate is
LEAST_SHARE = 0.3  # of the time since the first scoring; a shorter busy time gives no useful rate
SPAN_STAGES = {
    "read": ("read", "decode"),
    "score": ("detect", "score"),
    "commit": ("encode", "commit"),
}  # the stages whose costs belong to each span of a task


@dataclass(frozen=True)
class Measured:
    """What a sample took.

    tasks:    figures of each task
    wall_s:   from the start of Ray to the end of the last task
    start_s:  from the start of Ray to the first photo that was scored
    rates:    units of work per second in each slice of the busy time
    per_cpu:  whether a unit of work is a CPU second; else it is a photo
    machines: the cluster's machines
    """

    tasks: Sequence[Figures]
    wall_s: float
    start_s: float
    rates: Sequence[float]
    per_cpu: bool
    machines: Machines

    @property
    def total(self) -> Figures:
        return add_figures(self.tasks)

    def work(self, figures: Figures) -> float:
        """Return the units of work in some tasks, excluding the start of workers."""
        return cpu_work_s(figures) if self.per_cpu else float(figures.photos)


def measured(
    summaries: Iterable[TaskSummary], began: float, ended: float, machines: Machines
) -> Measured:
    """Measure a sample.

    began, ended: Unix time at which Ray was requested, and at which the last task ended.

    Raises ValueError if nothing was scored.
    """
    done = list(summaries)
    first = min(one.spans["score"][0] for one in done)
    last = max(one.spans["score"][0] for one in done)
    if last - first < LEAST_SHARE * (ended - first):
        last = ended  # with so few tasks the rate is never steady
    total = add_figures(one.metrics for one in done)
    took_s = ended - first
    busy_cores = cpu_work_s(total) / (machines.cores * took_s)
    per_cpu = not machines.gpus or gpu_work_s(total) / (machines.gpus * took_s) < busy_cores
    edges = pairwise(np.linspace(first, last, SLICES + 1))
    rates = [_work_between(done, start, end, per_cpu) / (end - start) for start, end in edges]
    return Measured(
        [one.metrics for one in done], ended - began, first - began, rates, per_cpu, machines
    )


def _work_between(done: Sequence[TaskSummary], start: float, end: float, per_cpu: bool) -> float:
    """Return the units of work done from `start` to `end` (Unix time), if spans are evenly busy."""
    return sum(
        _overlap(one.spans[span], start, end) * _work_of(one.metrics, span, per_cpu)
        for one in done
        for span in (SPAN_STAGES if per_cpu else ("score",))
        if span in one.spans
    )


def _work_of(figures: Figures, span: str, per_cpu: bool) -> float:
    """Return one task's units of work in one span; the cost of hand-over is split evenly."""
    if not per_cpu:
        return figures.photos
    costs = figures.costs
    own = sum(costs[stage].cpu_s for stage in SPAN_STAGES[span] if stage in costs)
    moved = costs["hand_over"].cpu_s if "hand_over" in costs else 0.0
    return own + moved / len(SPAN_STAGES)


def _overlap(span: tuple[float, float], start: float, end: float) -> float:
    """Return the share of a span that lies in an interval."""
    inside = min(span[1], end) - max(span[0], start)
    return max(0.0, inside) / max(span[1] - span[0], 1e-9)


def cpu_work_s(figures: Figures) -> float:
    """Return the CPU seconds of some tasks, excluding the start of workers."""
    return sum(cost.cpu_s for stage, cost in figures.costs.items() if stage != "start")


def gpu_work_s(figures: Figures) -> float:
    """Return the seconds that some tasks kept a GPU busy, including the start of workers."""
    return sum(cost.gpu_s for cost in figures.costs.values())
