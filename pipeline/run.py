"""The whole job on one screen: plan, one Ray Data chain, commit. The only file that imports ray.

One block is one task, from the first stage to the last. Ray moves and retries blocks; whether a
task is done is decided by the ledger in the output store alone, so a task that Ray runs twice
counts once, and a run that dies goes on where its records end.
"""

import logging
import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

# Ray Data's actor pool makes Ray's core print a spurious error line. Set before Ray is imported.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import pyarrow as pa
import ray
import ray.data
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask
from ray.exceptions import RayError

from pipeline.errors import LedgerError
from pipeline.estimate.tell import document, lines
from pipeline.estimate.trial import Work, estimate
from pipeline.job import PlannedRun, commit, ending_of, plan, verdict_of
from pipeline.ledger.ledger import Ledger
from pipeline.live_table import Ending, go_live
from pipeline.report.costs import Machines, Session
from pipeline.report.lineage import lineage
from pipeline.report.progress import Log, Progress, tell_when_stuck
from pipeline.report.telemetry import Telemetry, endpoint, write_textfile
from pipeline.settings import RunningSettings, Settings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import unpack_summaries
from pipeline.stages.worker import Job, missing_wall

# A line of a traceback that names an exception. Ray wraps it in its own, and adds advice.
RAISED = re.compile(r"(?!ray[.:])(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b(?:: |$)")


def crop_bucket(settings: Settings, log: Log) -> Ending:
    """Do what is not on record yet, commit the run and make it live; return how that ended.

    Raises UsageError for a job that makes no sense, LedgerError for a run that cannot go on; what
    is on record stays.
    """
    return carry_out(plan(settings, log), log)


def carry_out(planned: PlannedRun, log: Log) -> Ending:
    """Do what a plan says; return how that ended. Raises LedgerError as `crop_bucket`."""
    settings, left = planned.settings, planned.todo.inputs.num_rows
    log.say("plan", planned.message, images=left, covered=planned.todo.covered)
    if settings.estimating.estimate:
        return tell_estimate(planned, log) if left else "done"
    planned.take_out(log)
    if not left:
        return planned.end_without_work(log)
    if settings.running.dry_run:
        return "done"
    job, ledger = planned.begin()
    if manifest := ledger.manifest:  # by another job, since the plan was made
        log.say("nothing_to_do", f"nothing to do: run {job.run_id} is committed")
        return ending_of(
            verdict_of(settings, manifest.metrics), go_live(settings, ledger.store, log)
        )
    with lineage(settings.running.openlineage, settings.input.input, ledger, log):
        return work_and_commit(job, ledger, log)


def work_and_commit(job: Job, ledger: Ledger, log: Log) -> Ending:
    """Do the tasks that have no record yet and commit the run; return how it ended."""
    settings = job.settings.running
    pending = ledger.pending()
    telemetry = Telemetry(job.run_id, ledger.rows, ledger.task_count)
    for record in ledger.records():  # of an earlier session
        telemetry.task_done(record.task, record.metrics)
    before = telemetry.as_dict()
    message = f"{before['tasks_done']:,} of {ledger.task_count:,} tasks are on record"
    log.say("begin", message, run_id=job.run_id, images=ledger.rows, pending=len(pending))
    session = Session()
    if pending:
        workers = start_ray(settings, len(pending))
        if job.decisions_of is not None:
            workers = workers.without_scoring()
        log.say("workers", f"{workers.does}: {workers.why}", **asdict(workers))
        session.machines = workers.machines
        if problem := missing_wall():
            message = f"WARNING: photos are decoded without a filter of system calls: {problem}"
            log.say("wall", message)
        progress = Progress(log, ledger.rows - before["images_done"], len(pending))
        with (
            endpoint(telemetry, settings.metrics_port or None, settings.metrics_host),
            tell_when_stuck(log, progress, ray.available_resources),
        ):
            for done in chain(pending, job, workers):
                telemetry.task_done(done.task, done.metrics)
                session.task_done(done.metrics, done.spans)
                if settings.metrics_file:
                    write_textfile(telemetry, settings.metrics_file)
                well = done.metrics.photos - done.metrics.failed
                progress.advance(done.metrics.photos, well, done.metrics.crops)
    return commit(job, ledger, log, telemetry.totals, session.facts())


def tell_estimate(planned: PlannedRun, log: Log) -> Ending:
    """Say what the planned run would take and cost, by a sample that leaves nothing behind."""

    def start() -> tuple[Machines, Work]:
        workers = start_ray(planned.settings.running, planned.tasks.task_count)
        return workers.machines, partial(chain, workers=workers)

    told = estimate(planned, log, start)
    for line in [] if log.json else lines(told):
        log.say("estimate", line)
    if log.json:
        log.say("estimate", lines(told)[1].strip(), **document(told))
    return "done"


CORES_A_WORKER = 3
"""Cores of a machine for each scoring worker on a GPU: choosing a photo's crops takes about half of
the CPU time of decoding it and encoding its thumbnails."""
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


def chain(pending: list[int], job: Job, workers: ClusterShares) -> Iterator[TaskSummary]:
    """Run the stages over the tasks; yield one summary for every task once it is on record."""
    block: dict[str, Any] = {"batch_size": None, "batch_format": "pyarrow"}  # a block is a task
    # Ray Data wants a number where a GPU is asked for: the block of a task has one row.
    on_gpu = {**block, "batch_size": 1} if workers.actor_gpus else block
    task = {"num_cpus": workers.task_cpus, "fn_kwargs": {"job": job}, **block}
    numbers = ray.data.read_datasource(
        TaskNumbers(pending), override_num_blocks=len(pending), num_cpus=workers.task_cpus
    )
    done = numbers.map_batches(read_decode, **task)
    if job.decisions_of is None:
        # One task at work and one waiting: more would only hold pixels in memory.
        pool = ray.data.ActorPoolStrategy(size=workers.actors, max_tasks_in_flight_per_actor=2)
        done = done.map_batches(
            DetectScore,
            fn_constructor_args=(job, workers.device, workers.actor_gpus),
            compute=pool,
            num_cpus=workers.actor_cpus,
            num_gpus=workers.actor_gpus,
            **on_gpu,
        )
    done = done.map_batches(cut_encode_commit, **task)
    try:
        for summary in done.iter_batches(prefetch_batches=0, **block):
            yield from unpack_summaries(summary)
    except RayError as error:
        raise LedgerError(f"a worker could not go on: {_cause(error)}") from error


def _cause(error: RayError) -> str:
    """The exception that a worker raised: the last one in Ray's message that is not Ray's own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if RAISED.match(line)]
    return (raised or lines or [type(error).__name__])[-1]


class TaskNumbers(ray.data.Datasource):  # type: ignore[misc]
    """Blocks of one row, `task`. Ray makes each when it is needed: a long plan costs no memory."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def estimate_inmemory_data_size(self) -> int:
        return 8 * len(self.numbers)

    def get_read_tasks(self, *_: Any, **__: Any) -> list[ReadTask]:
        size = BlockMetadata(num_rows=1, size_bytes=8, input_files=None, exec_stats=None)
        return [ReadTask(partial(_task_block, number), size) for number in self.numbers]


def _task_block(number: int) -> list[pa.Table]:
    return [pa.table({"task": [number]})]


def start_ray(settings: RunningSettings, tasks: int) -> ClusterShares:
    """Join the cluster, or start one on this machine, and share it out among the stages.

    Raises LedgerError where there is no cluster to join, or none can be started.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    own_packages = None if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else _our_packages()
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    if not ray.is_initialized():
        try:
            ray.init(runtime_env=own_packages, **quiet)
        except OSError as error:  # no answer, or nowhere to write: it needs /tmp, HOME for a token
            raise LedgerError(f"Ray does not start: {error}") from error
    for (
        number,
        handler,
    ) in handlers.items():  # Ray's own would end this process with a trace
        signal.signal(number, handler)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # `crop_bucket` reports failures
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = None  # a block is a task, however large
    context.enable_progress_bars = False
    resources = ray.cluster_resources()
    return share_out(resources, tasks, settings.num_actors, settings.gpus_per_actor)


def _our_packages() -> dict[str, dict[str, str]]:
    """Let workers import what this process runs, as `ray job submit --working-dir` does."""
    root = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    return {"env_vars": {"PYTHONPATH": f"{root}{os.pathsep}{inherited}" if inherited else root}}


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
        actor_cpus = min(1.0, cpus / (2 * actors))
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
