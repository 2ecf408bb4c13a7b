"""Do a run's tasks on a Ray cluster, whose machines may join one after another, and leave.

A cluster's machines seldom start together: `ray up` takes minutes, and spot machines come when
there are some. A run starts with the first and uses the others as they join; an autoscaler is asked
for as many as the work is worth (`demand`). If all machines that have a GPU for its workers leave,
it waits for others, and after a while goes on on the CPU.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import ray

from pipeline.cluster.capacity import Capacity
from pipeline.cluster.demand import Demand
from pipeline.cluster.first_machine import await_machine
from pipeline.cluster.flow import Flow
from pipeline.cluster.gpu_loss import GpuLoss
from pipeline.cluster.joining import is_own, join_or_start
from pipeline.cluster.nodes import ClusterNode, cluster_nodes, startable_gpus, total
from pipeline.cluster.shares import ClusterShares, share_out
from pipeline.errors import GpuShareError, SettingError
from pipeline.report.costs import Machines
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import unpack_summaries
from pipeline.stages.worker import Job
from pipeline.stop import Stop

SETTLED_S = 30.0
"""How long a cluster must not have grown before all scoring actors are replaced by others."""
KNOWN_S = 1.0
"""How long a machine must have been there before actors are started for it: at first the others do
not know it, and Ray would start the actors on one of them."""
PHOTOS_PER_ACTOR = 40  # an actor takes as long to start as to score this many


class Divide(Protocol):
    """Divides a cluster among the stages, as `share_out`."""

    def __call__(
        self,
        nodes: Sequence[ClusterNode],
        left: int | None = None,
        there: int = 0,
        least_share: float = 0.0,
    ) -> ClusterShares:
        """Divide these machines.

        left: tasks that have not started, for which actors are started; None: all of the run
        there: how many actors the run has already
        least_share: of a GPU for each scoring worker by default
        """
        ...


class ClusterWorkers:
    """The workers of a run on a cluster.

    shares: how the stages share the cluster now
    """

    def __init__(
        self,
        divide: Divide,
        log: Log,
        demand: Demand | None = None,
    ) -> None:
        """Divide the cluster as it is now. demand: None where no machine can join."""
        self.divide, self.loss, self.demand = divide, GpuLoss(log), demand
        self.most = Counter(cluster_nodes())
        self.grew_s, self.least_share = time.monotonic(), 0.0
        self.shares = self.wanted = divide([*self.most.elements()])

    @property
    def does(self) -> str:
        """What the workers do, in words."""
        return self.shares.does

    @property
    def why(self) -> str:
        """Why there are this many, in words."""
        return self.shares.why

    @property
    def machines(self) -> Machines:
        """Their resources now."""
        return self.shares.machines

    def free(self) -> Mapping[str, float]:
        """Return the cluster's unused resources, by Ray's names."""
        found: Mapping[str, float] = ray.available_resources()
        return found

    def work(self, pending: deque[int], job: Job, stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks; yield each task's summary once its record is written.

        Raises LedgerError if a worker cannot continue, and Drained after a stop, once the tasks in
        flight have ended.
        """
        try:
            for summary in self._work(pending, job, stop):
                if self.demand:
                    self.demand.pace.task_done()
                yield summary
        finally:
            if self.demand:
                self.demand.withdraw()

    def _work(self, pending: deque[int], job: Job, stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks in one flow after another, each with the actors that suit the cluster."""

        def look() -> Capacity | None:
            there = cluster_nodes()
            if (error := flow.pool.too_small) is not None:
                self._enlarge_share(error, len(pending))
            if self.demand:
                self.demand.follow(0 if stop.asked else len(pending), total(there))
            return self._capacity(there, len(pending))

        while pending:
            shares = self.shares
            flow = Flow(
                stages=shares.stages,
                capacity=shares.capacity,
                pending=pending,
                job=job,
                actor_args=(job, shares.device, shares.actor_gpus),
                actor_options={"num_cpus": shares.actor_cpus, "num_gpus": shares.actor_gpus},
                task_options={"num_cpus": shares.task_cpus},
                stop=stop,
                capacity_now=look,
            )
            for done in flow.run():
                yield from unpack_summaries(done)
            if pending:
                self._divide(len(pending))
            self.shares = self.wanted

    def _divide(self, left: int | None, there: int = 0) -> None:
        """Divide the cluster again, unless a worker's share is more than the GPUs that it has."""
        with suppress(SettingError):
            self.wanted = self.divide([*self.most.elements()], left, there, self.least_share)

    def _enlarge_share(self, error: GpuShareError, left: int) -> None:
        """Have fewer actors share a GPU. Raises the error if no machine has a larger share."""
        self.least_share = max(self.least_share, error.enough)
        self._divide(left)
        if 0 < self.wanted.actor_gpus <= self.shares.actor_gpus:
            raise error
        self.grew_s = -math.inf

    def _capacity(self, there: list[ClusterNode], left: int | None = None) -> Capacity | None:
        """Return the capacity now; None if the cluster should get other actors than those it has.

        there: the cluster's machines now. left: tasks that have not started; None: all

        A cluster that shrinks keeps its capacity: Ray restarts the actors of a lost node on the
        machine that replaces it. Only if all GPUs stay lost, the CPU's actors do the rest.
        """
        share = self.shares.actor_gpus
        if share and self.wanted.actor_gpus and self.loss.is_final(there, share):
            there = [one._replace(gpus=0.0) for one in there]
            self.most = Counter(there)  # a GPU that comes back is used like one that joins
            self._divide(left)
            self.grew_s = -math.inf
        found, most = total(there), total(self.most.elements())
        if found.cpus > most.cpus or found.gpus > most.gpus:
            is_whole = found.cpus >= most.cpus and found.gpus >= most.gpus
            self.most = Counter(there) if is_whole else self.most | Counter(there)
            self.grew_s = time.monotonic()
            self._divide(left, self.shares.actors)
        if self.wanted.has_actors_like(self.shares):
            if time.monotonic() > self.grew_s + KNOWN_S:
                self.shares = self.wanted
        elif time.monotonic() > self.grew_s + SETTLED_S:
            return None
        return self.shares.capacity


def start_ray(
    settings: RunningSettings,
    tasks: int,
    log: Log,
    stop: Stop,
    scores: bool = True,
    photos: int | None = None,
) -> ClusterWorkers:
    """Join the cluster, or start one on this machine, and divide it among the stages.

    If no machine with cores has joined it yet, the first is waited for; `log` then says so. A dry
    run does not wait, nor have an autoscaler start a machine: it counts one core.

    tasks: how many there are; scores: False where the run takes stored decisions
    photos: of all these tasks; None if each task is worth an actor of its own

    Raises LedgerError if there is no cluster to join or none can be started, SettingError as
    `share_out` does, and Drained after a stop.
    """
    if not ray.is_initialized():
        join_or_start()
    if not total(cluster_nodes()).cpus and not settings.dry_run:
        log.say("waiting", "no machine with cores has joined the cluster yet: waiting for one")
        await_machine(stop, log)

    startable = startable_gpus()

    def divide(
        nodes: Sequence[ClusterNode],
        left: int | None = None,
        there: int = 0,
        least_share: float = 0.0,
    ) -> ClusterShares:
        most = tasks if left is None else left
        if photos is not None and not settings.num_actors:
            most = min(most, -(-most * photos // (tasks * PHOTOS_PER_ACTOR)))
        asked = settings.num_actors, settings.gpus_per_actor
        shares = share_out(nodes, max(1, most, there), *asked, startable, least_share)
        return shares if scores else shares.without_scoring()

    bounds = (settings.num_actors, settings.gpus_per_actor) if scores else (0, 0.0)
    return ClusterWorkers(divide, log, None if is_own() else Demand(*bounds, log))
