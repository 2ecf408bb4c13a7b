"""The whole job on one screen: plan, do the tasks on a cluster or on this machine, commit.

Whichever workers do the tasks, only the ledger in the output store decides whether one is done: a
task that is done twice counts once, and a run that dies resumes where its records end.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from typing import Protocol

from pipeline.estimate.formatting import document, lines
from pipeline.estimate.trial import Work, estimate
from pipeline.job import (
    PlannedRun,
    commit,
    earlier_verdict,
    ending_of,
    plan,
    skip_recorded_elsewhere,
)
from pipeline.ledger.ledger import Ledger
from pipeline.live_table import Ending, go_live
from pipeline.report.costs import Machines, Session
from pipeline.report.exported_totals import check_metrics_file, check_metrics_host, exported_totals
from pipeline.report.lineage import check_lineage, lineage
from pipeline.report.progress import Log, Progress, log_stalls
from pipeline.settings import RunningSettings, Settings
from pipeline.stages.task import TaskSummary
from pipeline.stages.worker import Job, sandbox_problem
from pipeline.stop import Drained, Stop
from pipeline.words import counted

_CLUSTER_PACKAGES = ("ray", "prometheus_client")


class TaskWorkers(Protocol):
    """The workers of a run: those of `pipeline.cluster.growing` or `pipeline.local`."""

    @property
    def does(self) -> str:
        """What they do, in words."""
        ...

    @property
    def why(self) -> str:
        """Why there are this many, in words."""
        ...

    @property
    def machines(self) -> Machines:
        """Their resources, which may grow."""
        ...

    def free(self) -> Mapping[str, float] | None:
        """Return the cluster's unused resources, under Ray's names; None if there is none."""
        ...

    def work(self, pending: deque[int], job: Job, stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks; yield the summary of each once it is recorded.

        pending: started tasks are removed from it; the caller may remove others meanwhile.

        Raises LedgerError if a worker cannot continue, Drained after an early stop.
        """
        ...


def crop_bucket(settings: Settings, log: Log, stop: Stop | None = None) -> Ending:
    """Do what is not recorded yet, commit the run and make it live; return how that ended.

    stop: requests an early end. Raises UsageError for a job that makes no sense, LedgerError for a
    run that cannot continue, Drained after an early stop. Records are kept in every case.
    """
    for package in () if settings.running.local else _CLUSTER_PACKAGES:
        if find_spec(package) is None:  # fail before a long listing
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    check_metrics_host(settings.running.metrics_host)
    check_metrics_file(settings.running.metrics_file)
    check_lineage(settings.running.openlineage)
    stop = stop or Stop()
    cores = partial(available_cores, settings.running, log, stop)
    return carry_out(plan(settings, log, cores), log, stop)


def carry_out(planned: PlannedRun, log: Log, stop: Stop | None = None) -> Ending:
    """Carry out a plan; return how that ended. Raises LedgerError, Drained as `crop_bucket`."""
    settings, left, stop = planned.settings, planned.todo.inputs.num_rows, stop or Stop()
    log.say("plan", planned.message, images=left, covered=planned.todo.covered)
    if settings.estimating.estimate:
        return report_estimate(planned, log) if left else "done"
    planned.apply_removals(log)
    if not left:
        return planned.end_without_work(log)
    if settings.running.dry_run:
        return "done"
    if stop.asked:
        raise Drained
    job, ledger = planned.begin()
    if manifest := ledger.manifest:  # by another job, since the plan was made
        log.say("nothing_to_do", f"nothing to do: run {job.run_id} is committed")
        return ending_of(
            earlier_verdict(settings, manifest, log), go_live(settings, ledger.store, log)
        )
    with lineage(settings.running.openlineage, settings.input.input, ledger, log):
        return work_and_commit(job, ledger, log, stop)


def work_and_commit(job: Job, ledger: Ledger, log: Log, stop: Stop) -> Ending:
    """Do the tasks that have no record yet and commit the run; return how it ended."""
    settings, pending, session = job.settings.running, deque(ledger.pending()), Session()
    with exported_totals(settings, ledger, log) as (totals, export):
        for record in ledger.records():  # of an earlier session
            totals.task_done(record.task, record.metrics)
        before = totals.as_dict()
        tasks = counted(ledger.task_count, "task is", "tasks are")
        message = f"{before['tasks_done']:,} of {tasks} done already"
        log.say("begin", message, run_id=job.run_id, images=ledger.rows, pending=len(pending))
        if pending:
            scores = job.decisions_of is None
            left = ledger.rows - before["images_done"]
            workers = start(settings, len(pending), left, log, stop, scores)
            log_workers(workers, session, log)
            if problem := sandbox_problem():
                message = f"photos are decoded without a filter of system calls: {problem}"
                log.say("wall", f"WARNING: {message}")
            progress = Progress(log, left, len(pending))
            with log_stalls(log, progress, workers.free):
                for done in skip_recorded_elsewhere(
                    workers.work(pending, job, stop), pending, ledger, log
                ):
                    totals.task_done(done.task, done.metrics)
                    log_workers(workers, session, log)
                    if done.spans:
                        session.task_done(done.metrics, done.spans)
                    export()
                    metrics = done.metrics
                    progress.advance(metrics.photos, metrics.failed, metrics.crops)
    return commit(job, ledger, log, totals.totals, session.facts())


def log_workers(workers: TaskWorkers, session: Session, log: Log) -> None:
    """Log the workers, and count their machines in the session, if these are not known there."""
    if session.machines != workers.machines:
        about = {"does": workers.does, "why": workers.why, **asdict(workers.machines)}
        log.say("workers", f"{workers.does}: {workers.why}", **about)
        session.use(workers.machines)


def report_estimate(planned: PlannedRun, log: Log) -> Ending:
    """Report what the planned run would take and cost, from a sample that leaves nothing behind."""

    def begin() -> tuple[Machines, Work]:
        tasks, photos = planned.tasks.task_count, planned.tasks.rows
        workers = start(planned.settings.running, tasks, photos, log, Stop())
        return workers.machines, partial(workers.work, stop=Stop())

    forecast = estimate(planned, log, begin)
    for line in [] if log.json else lines(forecast):
        log.say("estimate", line)
    if log.json:
        log.say("estimate", lines(forecast)[1].strip(), **document(forecast))
    return "done"


def start(
    settings: RunningSettings, tasks: int, photos: int, log: Log, stop: Stop, scores: bool = True
) -> TaskWorkers:
    """Start workers for that many tasks and photos. Raises LedgerError, Drained.

    scores: whether they score photos or take stored decisions
    """
    if settings.local:
        from pipeline.local import local_workers

        here = local_workers(settings.num_actors, tasks)
        return here if scores else here.without_scoring()
    from pipeline.cluster.growing import start_ray  # slow to import; `local` needs no ray

    return start_ray(settings, tasks, log, stop, scores, photos)


def available_cores(settings: RunningSettings, log: Log, stop: Stop) -> int:
    """Count the cores of the cluster to join, else of this machine. Raises as `start`."""
    if not settings.local:
        from pipeline.cluster.joining import is_cluster_named

        if is_cluster_named():
            return int(start(settings, 1, 1, log, stop).machines.cores)
    from pipeline.local import usable_cores

    return usable_cores()
