"""Show a cluster's autoscaler that a run has work for more machines than are there.

Ray's autoscaler starts machines for tasks and actors that wait for room. A run's own never wait for
long, since a flow starts no more of them than fit. So the run also submits tasks that do nothing
and take a whole machine: none has room beside the run's work, and each that waits asks for a
machine. Ray forgets them with the job that submitted them, however it ends; a call of Ray's
`request_resources` would outlive it, and replace what other jobs have requested.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import ray
from ray.exceptions import RayError

from pipeline.cluster.flow import ALWAYS
from pipeline.cluster.nodes import ClusterNode, machine_kinds, total
from pipeline.cluster.shares import CORES_PER_WORKER
from pipeline.report.progress import Log
from pipeline.words import counted

WORTH_S = 600.0
"""How long the rest of a run must take with the machines that are asked for: each takes minutes to
start, and is paid for some minutes after its last task."""
MEASURED_S = 30.0  # after its first task, until a run's pace is known
MOST_ASKED = 100
"""How many machines are asked for at a time. Ray's autoscaler looks at no more than 1,000 waiting
tasks, and others are asked for as soon as these have joined."""
FEWER = 0.75
"""Fewer machines are asked for once this share, or less, of those asked for is wanted."""
NAME = "wanted_machine"  # of the waiting tasks, as `ray list tasks` shows them


@dataclass
class Pace:
    """Measures how much work a task of a run is: how many of the cluster's core seconds it takes.

    The time until the first task has ended, in which workers start, does not count.
    """

    ended: int = 0  # tasks
    core_s: float = 0.0  # since the first ended
    first_s: float = 0.0  # when that was
    looked_s: float = 0.0

    def task_done(self) -> None:
        """Count a task that has ended."""
        self.ended += 1
        if self.ended == 1:
            self.first_s = self.looked_s = time.monotonic()

    def look(self, cores: float) -> None:
        """Count the time since the last look, with the cores that there are."""
        if self.ended:
            now_s = time.monotonic()
            self.core_s += (now_s - self.looked_s) * cores
            self.looked_s = now_s

    @property
    def core_s_per_task(self) -> float:
        """The core seconds that a task takes; 0 until that is known."""
        is_known = self.ended > 1 and self.looked_s >= self.first_s + MEASURED_S
        return self.core_s / (self.ended - 1) if is_known else 0.0


class Demand:
    """The machines that a run asks an autoscaler for: tasks that wait for one.

    num_actors, gpus_per_actor: the settings, which bound what the run can use. A run that uses GPUs
        only where there are some (None) asks for none before one has joined.
    """

    def __init__(self, num_actors: int, gpus_per_actor: float | None, log: Log) -> None:
        """Ask for nothing yet."""
        self.num_actors, self.gpus_per_actor, self.log = num_actors, gpus_per_actor, log
        self.pace, self.has_said = Pace(), False
        self.waiting: dict[ClusterNode, list[ray.ObjectRef]] = {}

    def follow(self, left: int, there: ClusterNode) -> None:
        """Ask for as many machines as the rest of the run is worth, perhaps fewer than before.

        left: tasks that have not started. there: all of the cluster's cores and GPUs
        """
        self.pace.look(there.cpus)
        worth = left * self.pace.core_s_per_task / WORTH_S
        most = min(self._usable_cores(there), there.cpus + left)  # a task at a time on each core
        asked = self._machines(min(worth, most) - there.cpus)
        for kind in {*self.waiting, *asked}:
            self._ask(kind, asked.get(kind, 0))
        if asked and not self.has_said:
            self.has_said = True
            self._say(asked)

    def withdraw(self) -> None:
        """Ask for nothing any more."""
        with suppress(RayError):  # the cluster is gone: what ended the run is told, not this
            for kind in [*self.waiting]:
                self._ask(kind, 0)

    def _usable_cores(self, there: ClusterNode) -> float:
        """Return how many cores the run can use at most."""
        uses_gpus = there.gpus and self.gpus_per_actor != 0
        return self.num_actors * (CORES_PER_WORKER if uses_gpus else 1) or math.inf

    def _machines(self, cores: float) -> dict[ClusterNode, int]:
        """Return the machines that have so many cores, of all kinds that the run can use."""
        if cores <= 0:
            return {}
        kinds = machine_kinds()
        usable = {one._replace(gpus=0.0) if self.gpus_per_actor == 0 else one for one in kinds}
        asked = machines_for(cores, usable)
        if self.gpus_per_actor and not any(one.gpus for one in usable):
            asked[ClusterNode(0.0, self.gpus_per_actor)] = 1
        return asked

    def _ask(self, kind: ClusterNode, count: int) -> None:
        """Have this many tasks wait for a machine of this kind.

        If they are clearly too many, none waits until the next look: Ray keeps up to ten requests
        for cancelled tasks alive as long as another task of their kind waits.
        """
        waiting = self.waiting.pop(kind, [])
        if waiting:
            waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)[1]
        if waiting and count <= FEWER * len(waiting):
            for one in waiting:
                ray.cancel(one)
            return
        task = ray.remote(_nothing).options(
            num_cpus=kind.cpus, num_gpus=kind.gpus, max_retries=ALWAYS, name=NAME
        )
        more = [task.remote() for _ in range(count - len(waiting))]
        if waiting or more:
            self.waiting[kind] = [*waiting, *more]

    def _say(self, asked: dict[ClusterNode, int]) -> None:
        kinds = ", ".join(
            f"{counted(count, 'machine')} with {kind.cpus:g} CPU and {kind.gpus:g} GPU"
            for kind, count in asked.items()
        )
        self.log.say(
            "demand",
            f"there is work for more machines: asking for {kinds}, which join if the cluster has "
            "an autoscaler that may start them",
            cpu=total(one for one, count in asked.items() for _ in range(count)).cpus,
        )


def machines_for(cores: float, kinds: Iterable[ClusterNode]) -> dict[ClusterNode, int]:
    """Return how many machines of each kind have so many cores together, or up to MOST_ASKED.

    Each kind has about the same share of the cores, but none has a machine that is larger than what
    lacks without it: so the cores that are too many are fewer than those of the smallest machine.
    """
    found, count = sorted({one for one in kinds if one.cpus}), Counter[ClusterNode]()
    while found and cores > 0 and count.total() < MOST_ASKED:
        fitting = [one for one in found if one.cpus <= cores] or found[:1]
        kind = min(fitting, key=lambda one: count[one] * one.cpus)
        count[kind] += 1
        cores -= kind.cpus
    return dict(count)


def _nothing() -> None:
    """Run where there is a machine."""
