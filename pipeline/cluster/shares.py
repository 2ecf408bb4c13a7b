"""Join a Ray cluster, or start one on this machine, and share it out among the stages."""

import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

# Ray waits so long before it ends the node that a job has started for itself.
os.environ.setdefault("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "0")

import ray

from pipeline.cluster.flow import Finisher, Flow, Room, Scorer, Stages
from pipeline.errors import LedgerError
from pipeline.report.costs import Machines
from pipeline.settings import RunningSettings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.read import read_decode
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import unpack_summaries
from pipeline.stages.worker import Job
from pipeline.stop import Drained, Stop

KNOCK_S = 5.0  # for a cluster to take a connection
# Of a node that the job starts for itself: nobody could read its metrics and events, and all of
# Ray's processes collect them, by the clock; the GCS server keeps 10 KB of events a task.
UNWATCHED = {
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
}
CORES_A_WORKER = 3
"""Cores of a machine for each scoring worker on a GPU: choosing a photo's crops takes about half of
the CPU time of decoding it and encoding its thumbnails."""
CPUS_OF_A_WORKER = 0.6
"""Of a core that a scoring worker on a GPU keeps busy: what it leaves is for the other stages."""
MOST_WORKERS_A_GPU = 16
"""Each takes 1 GB of the GPU's memory."""


@dataclass(frozen=True)
class ClusterShares:
    """How the stages share the cluster."""

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
        """The shares of a run that takes stored decisions: a core a task, and no actors."""
        why = f"no scoring; tasks of one core on {self.cores:g} cores"
        return replace(self, device="cpu", actors=0, actor_gpus=0.0, task_cpus=1.0, why=why)

    @property
    def machines(self) -> Machines:
        """What a session has of the cluster, to say afterwards what limited it."""
        return Machines(self.cores, self.actor_gpus * self.actors, self.actors, self.device)

    @property
    def beside(self) -> int:
        """Tasks of the other stages that run at once beside all actors."""
        return max(1, int((self.cores - self.actors * self.actor_cpus) / self.task_cpus))

    @property
    def stages(self) -> Stages:
        """What is done with a task, and by whom.

        An actor on a GPU hands decisions on, so that the GPU has the next task; an actor on a core
        has no reason to. So a task's pixels travel once or, beside a GPU, to two readers.
        """
        if not self.actors:
            return Stages(read_decode, None, cut_encode_commit)
        if self.device == "cpu":
            return Stages(read_decode, Finisher, None)
        return Stages(read_decode, Scorer, cut_encode_commit)

    def free(self) -> Mapping[str, float]:
        """What nobody uses of the cluster now, as Ray names it."""
        found: Mapping[str, float] = ray.available_resources()
        return found

    def work(self, pending: list[int], job: Job, stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks; yield what each was once it is on record.

        Raises LedgerError where a worker cannot go on, Drained as it says.
        """
        flow = Flow(
            stages=self.stages,
            room=Room(self.actors, self.beside),
            actor_options={"num_cpus": self.actor_cpus, "num_gpus": self.actor_gpus},
            task_options={"num_cpus": self.task_cpus},
            stop=stop,
        )
        for done in flow.run(pending, job, (job, self.device, self.actor_gpus)):
            yield from unpack_summaries(done)


def start_ray(settings: RunningSettings, tasks: int) -> ClusterShares:
    """Join the cluster, or start one on this machine, and share it out among the stages.

    Raises LedgerError where there is no cluster to join, or none can be started.
    """
    if not ray.is_initialized():
        _join_or_start()
    resources = ray.cluster_resources()
    return share_out(resources, tasks, settings.num_actors, settings.gpus_per_actor)


def _join_or_start() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:  # `ray job submit` ships the packages
            ray.init(**quiet)
            return
        _knock(os.environ.get("RAY_ADDRESS", ""))
        path = with_our_packages(os.environ.get("PYTHONPATH"))
        try:
            runtime_env = {"env_vars": {"PYTHONPATH": path}}
            ray.init(address="auto", runtime_env=runtime_env, **quiet)
        except ConnectionError:
            if "RAY_ADDRESS" in os.environ:
                raise
            os.environ["PYTHONPATH"] = path  # workers inherit it; a runtime_env costs a second
            for name, value in UNWATCHED.items():
                os.environ.setdefault(name, value)
            ray.init(address="local", **quiet)
    except SystemExit as error:  # Ray's handler of SIGTERM, until it is replaced below
        if callable(handle := handlers[signal.SIGTERM]):
            handle(signal.SIGTERM, None)
        raise Drained from error
    except Exception as error:  # a process boundary: Ray raises whatever it likes
        raise LedgerError(f"Ray does not start: {_first_line(error)}") from error
    finally:
        for number, handler in handlers.items():  # Ray's own would end this process with a trace
            signal.signal(number, handler)


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at `host:port`: Ray would ask for a minute and a half."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
        except OSError as error:
            raise OSError(f"nothing answers at RAY_ADDRESS {address} ({error})") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def with_our_packages(path: str | None) -> str:
    """A PYTHONPATH by which workers import what this process runs."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *([path] if path else [])])


def share_out(
    resources: Mapping[str, float], tasks: int, num_actors: int, gpus_per_actor: float | None
) -> ClusterShares:
    """Share a cluster out: scoring on GPUs where it has some, else on CPU.

    resources: as Ray reports them.

    Every stage asks for fractions of a core, so that reading and encoding run beside the scoring
    actors even on one core. On a CPU cluster the actors together take half of the cores, and the
    other half is for the other stages, with as many tasks at once as there are cores. There are no
    more actors than tasks, since each takes seconds to start.
    """
    cpus, gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
    share = share_of_gpu(cpus, gpus) if gpus_per_actor is None else gpus_per_actor
    if gpus and share:
        actors = num_actors or min(tasks, max(1, int(gpus / share + 1e-6)))
        actor_cpus = min(CPUS_OF_A_WORKER, cpus / (2 * actors))
        why = f"{gpus:g} GPU in the cluster, {share:.3g} for each of {actors} actors"
        task_cpus = min(1.0, cpus / 2)
        return ClusterShares("cuda", actors, actor_cpus, share, task_cpus, why, cpus)
    actors = num_actors or min(tasks, max(1, int(cpus)))
    found = f"{gpus:g} GPU left alone" if gpus else "no GPU"
    why = f"{found} in the cluster; {actors} actors of one thread on {cpus:g} cores"
    return ClusterShares("cpu", actors, min(1.0, cpus / (2 * actors)), 0.0, 0.5, why, cpus)


def share_of_gpu(cpus: float, gpus: float) -> float:
    """The share of a GPU that a scoring worker takes by default: one worker for CORES_A_WORKER.

    Each keeps one core busy: a GPU is done with a photo's networks long before that core has chosen
    its crops, and the other cores decode and encode meanwhile. docs/GPU.md has the arithmetic.
    """
    if not gpus:
        return 0.0
    workers = min(MOST_WORKERS_A_GPU, max(1, int(cpus / gpus / CORES_A_WORKER)))
    return 1.0 if workers == 1 else int(1e4 / workers) / 1e4  # Ray counts GPUs to four digits
