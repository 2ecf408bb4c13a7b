"""Report what a run cost, stage by stage, and what limited its speed.

cost_lines   the costs of a run, for a page or a program
cost_table   the same as text
Session      times one session of a run; its `facts` go into the manifest
limits       what limited a session, as a sentence
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pipeline.ledger.figures import Cost, Figures
from pipeline.words import counted

WORDS = {
    "start": "starting",
    "read": "reading",
    "decode": "decoding",
    "detect": "detecting",
    "score": "scoring",
    "encode": "encoding",
    "commit": "writing",
    "hand_over": "handing over",
    "recall": "reading decisions",
}  # by stage, in the order of the work
BUSY = 0.5  # a resource that is busy for at least this share of the time is reported as the limit
MEGABYTE = 1e6
WIDTHS = (10, 7, 9, 10, 10, 10, 12)  # of the cells of `cost_table`, characters

Spans = Mapping[str, tuple[float, float]]  # a task's start and end in each stage, Unix time


@dataclass(frozen=True)
class CostLine:
    """The cost of one stage in a whole run. `word` names the stage; `share` is of all CPU time."""

    stage: str
    word: str
    share: float
    cost: Cost


def cost_lines(costs: Mapping[str, Cost | Mapping[str, Any]]) -> list[CostLine]:
    """Return the stages in the order of the work; [] for a run from before costs were measured.

    costs: from `Figures`, or `metrics["costs"]` of a stored manifest.
    """
    typed = msgspec.convert(msgspec.to_builtins(costs), dict[str, Cost])
    total = sum(cost.cpu_s for cost in typed.values()) or 1.0
    known = [*WORDS, *sorted(typed.keys() - WORDS.keys())]
    return [
        CostLine(stage, WORDS.get(stage, stage), typed[stage].cpu_s / total, typed[stage])
        for stage in known
        if stage in typed
    ]


def cost_table(costs: Mapping[str, Cost | Mapping[str, Any]]) -> list[str]:
    """Format the costs as text lines: CPU, GPU and waiting in seconds, requests, megabytes."""
    lines = cost_lines(costs)
    if not lines:
        return []
    starts = sum(line.cost.starts for line in lines)
    head = ("CPU s", "", "GPU s", "waited s", "requests", "MB read", "MB written")
    wide = max(12, 1 + max(len(line.word) for line in lines))
    out = [
        f"{'cost':<{wide + 2}}"
        + "".join(f"{name:>{w}}" for name, w in zip(head, WIDTHS, strict=True))
    ]
    for line in lines:
        cost = line.cost
        cells = (
            f"{cost.cpu_s:,.1f}",
            f"{100 * line.share:.0f} %",
            f"{cost.gpu_s:,.1f}",
            f"{cost.wait_s:,.1f}",
            f"{cost.requests:,}",
            f"{cost.read_bytes / MEGABYTE:,.1f}",
            f"{cost.written_bytes / MEGABYTE:,.1f}",
        )
        row = "".join(f"{cell:>{w}}" for cell, w in zip(cells, WIDTHS, strict=True))
        out.append(f"  {line.word:<{wide}}{row}")
    return [*out, f"  {counted(starts, 'worker process', 'worker processes')} started"]


@dataclass(frozen=True)
class Machines:
    """The part of the cluster that a session had. `gpus` are those held by its scoring workers."""

    cores: float
    gpus: float
    actors: int
    device: str


class Session:
    """Times one session of a run and adds up what its tasks cost."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.began = clock()
        self.scored_from: float | None = None  # when scoring of the first photo began
        self.done = Figures()  # the statuses and costs of all its tasks
        self.tasks = 0
        self.machines: Machines | None = None  # now
        self.core_s = self.gpu_s = 0.0  # that the machines had until `added_until`, busy or not
        self.added_until = self.began

    def use(self, machines: Machines) -> None:
        """Count with these machines from now on; with the first ones from the session's start."""
        if self.machines:
            self._add_up(self.machines, self.clock())
        self.machines = machines

    def _add_up(self, machines: Machines, now: float) -> None:
        self.core_s += machines.cores * (now - self.added_until)
        self.gpu_s += machines.gpus * (now - self.added_until)
        self.added_until = now

    def task_done(self, figures: Figures, spans: Spans) -> None:
        """Count a task that this session has done."""
        self.done += Figures(statuses=figures.statuses, costs=figures.costs)
        self.tasks += 1
        if "score" in spans:
            begun = spans["score"][0]
            self.scored_from = begun if self.scored_from is None else min(self.scored_from, begun)

    def facts(self) -> dict[str, Any]:
        """Return the manifest's facts on this session; {} if it had no work to do.

        wall_s: from before the workers start until now; start_s: until scoring of the first photo
        began; cores, gpus: the machines' mean, since a cluster may grow; actors: at the end;
        limits: what limited the session, as a sentence.
        """
        if not self.tasks or self.machines is None:
            return {}
        now = self.clock()
        self._add_up(self.machines, now)
        wall_s = now - self.began
        cores, gpus = round(self.core_s / wall_s, 1), round(self.gpu_s / wall_s, 2)
        machines = replace(self.machines, cores=cores, gpus=gpus)
        start_s = min(wall_s, max(0.0, (self.scored_from or self.began) - self.began))
        return {
            "wall_s": round(wall_s, 2),
            "start_s": round(start_s, 2),
            "images_per_s": round(self.done.photos / wall_s, 3),
            "device": machines.device,
            "actors": machines.actors,
            "cores": machines.cores,
            "gpus": machines.gpus,
            "limits": limits(self.done.costs, machines, wall_s, start_s),
        }


def limits(costs: Mapping[str, Cost], machines: Machines, wall_s: float, start_s: float) -> str:
    """Describe in one sentence what limited a session's speed; "" if nothing was measured.

    costs: of its tasks; start_s: from its start until scoring of the first photo began.
    """
    if not costs:
        return ""
    if start_s > wall_s / 2:
        return f"starting took {start_s:.0f} of {wall_s:.0f} s, until the first photo was scored"
    cpu_s = sum(cost.cpu_s for cost in costs.values())
    gpu_s = sum(cost.gpu_s for cost in costs.values())
    cores_busy = cpu_s / (machines.cores * wall_s)
    gpus_busy = gpu_s / (machines.gpus * (wall_s - start_s)) if machines.gpus else 0.0
    cores = f"{counted(machines.cores, 'core')} busy {100 * cores_busy:.0f} % of the time"
    if gpus_busy >= max(BUSY, cores_busy):
        gpus = counted(machines.gpus, "GPU")
        return f"limited by scoring: {gpus} busy {100 * gpus_busy:.0f} % of the time"
    if cores_busy >= BUSY:
        most = max(costs, key=lambda stage: costs[stage].cpu_s)
        share = 100 * costs[most].cpu_s / cpu_s
        word = WORDS.get(most, most)
        return f"limited by {word}: {cores}, {share:.0f} % of it {word}"
    waiting = max(costs, key=lambda stage: costs[stage].wait_s)
    if costs[waiting].wait_s > cpu_s:
        waited = f"its threads waited {costs[waiting].wait_s:,.0f} s for store, disk or network"
        return f"limited by {WORDS.get(waiting, waiting)}: {waited}, {cores}"
    return f"not limited by the job: {cores}; others use the machines, or it waits for workers"
