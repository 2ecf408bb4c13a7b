"""Divide a Ray cluster's cores and GPUs among the stages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.cluster.capacity import Capacity
from pipeline.cluster.flow import Stages
from pipeline.cluster.nodes import ClusterNode, gpus_in_words, total
from pipeline.cluster.workers import (
    Finisher,
    Scorer,
    commit_low_priority,
    read_in_worker,
    read_low_priority,
)
from pipeline.errors import SettingError
from pipeline.report.costs import Machines
from pipeline.stages.commit import cut_encode_commit
from pipeline.words import counted

CORES_PER_WORKER = 3
"""A machine's cores per scoring worker on a GPU: choosing a photo's crops takes about half of the
CPU time of decoding it and encoding its thumbnails."""
CPUS_PER_WORKER = 0.6
"""The share of a core that a scoring worker on a GPU keeps busy; the other stages get the rest."""
ENOUGH = ", enough for what there is to do"
"""Why there are fewer workers than fit."""
MOST_WORKERS_PER_GPU = 16
"""Each worker takes 1.4 GB of the GPU's memory. Ray does not tell how much the GPU has, so a worker
looks as it starts (`cropping.gpu_memory`), and if its share is too small, fewer share a GPU."""


@dataclass(frozen=True)
class ClusterShares:
    """The cores and GPUs of the cluster that each stage gets."""

    device: str  # of the scoring actors: "cuda" or "cpu"
    actors: int
    actor_cpus: float
    actor_gpus: float
    task_cpus: float  # of one read-and-decode or encode task
    why: str
    cores: float  # of the whole cluster

    @property
    def does(self) -> str:
        """What the workers do, in words."""
        return f"scoring on {self.device}" if self.actors else "encoding stored decisions"

    def without_scoring(self) -> "ClusterShares":
        """Return the shares of a run that uses stored decisions: one core per task, no actors."""
        why = f"no scoring; tasks of one core on {counted(self.cores, 'core')}"
        return replace(self, device="cpu", actors=0, actor_gpus=0.0, task_cpus=1.0, why=why)

    @property
    def machines(self) -> Machines:
        """The session's machines, from which the report derives what limited it."""
        return Machines(self.cores, self.actor_gpus * self.actors, self.actors, self.device)

    @property
    def capacity(self) -> Capacity:
        """How many actors, and at the same time tasks of the other stages, run at once."""
        others = _times(self.cores - self.actors * self.actor_cpus, self.task_cpus)
        return Capacity(self.actors, max(1, others))

    @property
    def stages(self) -> Stages:
        """The functions and the actor class that do each stage of a task.

        An actor on a GPU passes its decisions to a commit task, so that the GPU can take the next
        task. An actor on a core commits the task itself. So a task's pixels are sent to one process
        or, with a GPU, to two. The other stages run at a lower priority than an actor on a GPU.
        """
        if not self.actors:
            return Stages(read_in_worker, None, cut_encode_commit)
        if self.device == "cpu":
            return Stages(read_in_worker, Finisher, None)
        return Stages(read_low_priority, Scorer, commit_low_priority)

    def has_actors_like(self, other: "ClusterShares") -> bool:
        """Return whether the actors of both score on the same kind of device, and as much of it."""
        return (self.device, self.actor_gpus) == (other.device, other.actor_gpus)


def share_out(
    nodes: Sequence[ClusterNode],
    most: int,
    num_actors: int,
    gpus_per_actor: float | None,
    startable_gpus: float = 0.0,
    least_share: float = 0.0,
) -> ClusterShares:
    """Divide a cluster among the stages: scoring on its GPUs if it has any, else on the CPU.

    nodes: its machines; without cores, as after the last machine has left, one core is counted
    most: of scoring actors that have enough to do; num_actors: as set, 0 if the cluster decides
    startable_gpus: of the largest machine that an autoscaler can start
    least_share: of a GPU for each scoring worker, unless its share is set or no machine has as much

    Every stage asks for fractions of a core, so that reading and encoding run next to the scoring
    actors even on one core. On a CPU cluster the actors together take half of the cores. The other
    stages get the other half, and run as many tasks at once as there are cores.

    Raises SettingError if one worker's share is more than the GPUs of any machine.
    """
    cpus, gpus = total(nodes)
    cpus = cpus or 1.0
    share = share_of_gpu(nodes, least_share) if gpus_per_actor is None else gpus_per_actor
    if gpus and share:
        return _on_gpus(nodes, most, num_actors, share, startable_gpus)
    fit = num_actors or max(1, int(cpus))
    actors = min(most, fit)
    found = f"{gpus:g} GPU left alone" if gpus else "no GPU"
    work = f"{counted(actors, 'actor')} of one thread on {counted(cpus, 'core')}"
    why = f"{found} in the cluster; {work}{ENOUGH if actors < fit else ''}"
    return ClusterShares("cpu", actors, min(1.0, cpus / (2 * actors)), 0.0, 0.5, why, cpus)


def _on_gpus(
    nodes: Sequence[ClusterNode], most: int, num_actors: int, share: float, startable_gpus: float
) -> ClusterShares:
    """Divide a cluster with GPUs. Arguments and errors are those of `share_out`.

    Ray places a worker only on a machine that has both its share of a GPU and its cores, and a task
    of another stage only where one machine has its cores. So the cores that a worker requests must
    fit on its machine, and those of a task on the machine that has most of them left.
    """
    cpus, gpus = total(nodes)
    cpus, largest = cpus or 1.0, max(one.gpus for one in nodes)
    if share > max(largest, startable_gpus):
        raise SettingError(
            "gpus_per_actor",
            f"asks for {share:g} GPU for each scoring worker, and no machine of the cluster has "
            f"more than {largest:g} ({gpus_in_words(nodes)}): no worker would start. Ask for at "
            f"most {largest:g}, or start the job once a machine with {share:g} has joined",
        )
    rooms = [fit_on_gpus(one.gpus, share) for one in nodes]
    fit = num_actors or max(1, sum(rooms))
    actors = min(most, fit)
    placed = [min(room, actors) for room in rooms]
    actor_cpus = min(
        CPUS_PER_WORKER,
        cpus / (2 * actors),
        *(one.cpus / count for one, count in zip(nodes, placed, strict=True) if count),
    )
    left = max(one.cpus - count * actor_cpus for one, count in zip(nodes, placed, strict=True))
    why = f"{gpus:g} GPU in the cluster, {share:.3g} for each of {counted(actors, 'actor')}"
    why += ENOUGH if actors < fit else ""
    if actors > sum(rooms):
        why += f", of which {actors - sum(rooms)} wait for room"
    task_cpus = min(1.0, left or cpus / 2)
    return ClusterShares("cuda", actors, actor_cpus, share, task_cpus, why, cpus)


def fit_on_gpus(gpus: float, share: float) -> int:
    """Return how many scoring workers fit on the GPUs of one machine.

    Ray does not split a fraction of a GPU across GPUs. So each of 4 GPUs holds one worker of 0.6,
    and the rest of each stays unused: a fifth worker would wait for the whole run.
    """
    if share > 1:
        return int(gpus / share)
    whole = int(gpus)
    return whole * _times(1.0, share) + _times(gpus - whole, share)


def _times(whole: float, part: float) -> int:
    """Return how many parts fit into a whole, in spite of rounding: three thirds into one."""
    return int(whole / part + 1e-6)


def share_of_gpu(nodes: Sequence[ClusterNode], least: float = 0.0) -> float:
    """Return a scoring worker's default share of a GPU: one worker for CORES_PER_WORKER cores.

    Each worker keeps one core busy: a GPU finishes a photo's networks long before that core has
    chosen its crops. The other cores decode and encode meanwhile. docs/GPU.md has the arithmetic.
    Decoding and encoding may be done by machines without GPUs, but a worker needs its own core on
    the GPU's machine.

    least: a share whose memory is known to be enough for a worker
    """
    cpus, gpus = total(nodes)
    if not gpus:
        return 0.0
    there = [one for one in nodes if one.gpus]
    by_all, by_own = cpus / CORES_PER_WORKER, total(there).cpus / CPUS_PER_WORKER
    most = min(MOST_WORKERS_PER_GPU, _times(1.0, least)) if least else MOST_WORKERS_PER_GPU
    workers = max(1, min(most, int(min(by_all, by_own) / gpus)))
    if workers == 1:
        return min(1.0, max(one.gpus for one in there))
    return int(1e4 / workers) / 1e4  # Ray counts GPUs to four digits
