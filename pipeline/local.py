"""Do tasks in local processes, without a cluster: for a folder of up to some thousand photos.

Each process does whole tasks, one stage after another, and has its own decoding child process.
There is one process per core, so that all cores are busy. A process that dies is replaced, and its
task is done first. Only the ledger decides whether a task is done, as on a cluster, so a run begun
here can be continued there and vice versa.
"""

import multiprocessing
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.report.costs import Machines
from pipeline.stages.commit import finish
from pipeline.stages.crop import DetectScore
from pipeline.stages.heap import give_back_growth
from pipeline.stages.read import read_task
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import keep_pandas_out, use_system_allocator
from pipeline.stages.worker import Job
from pipeline.stages.worker_deaths import DEATHS
from pipeline.stop import Drained, Stop
from pipeline.warm_up import process_context, unblock_signals
from pipeline.words import counted

POLL_S = 0.5  # between two checks whether the job is to stop
TERMINATE_TIMEOUT_S = 5.0  # for a terminated process to end
READY, DONE, FAILED = "ready", "done", "failed"  # messages of a process


@dataclass(frozen=True)
class LocalWorkers:
    """The local processes that do a run's tasks.

    processes: how many, at least 1; scores: False where the run takes stored decisions.
    """

    processes: int
    cores: int
    scores: bool = True

    @property
    def does(self) -> str:
        """What the workers do, in words."""
        return "scoring on cpu" if self.scores else "encoding stored decisions"

    @property
    def why(self) -> str:
        """Why there are this many."""
        processes = counted(self.processes, "process", "processes")
        return f"no cluster; {processes} of one thread on {counted(self.cores, 'core')}"

    @property
    def machines(self) -> Machines:
        """The session's resources, for the report of what limited it."""
        return Machines(float(self.cores), 0.0, self.processes, "cpu")

    def without_scoring(self) -> "LocalWorkers":
        """Return the workers for a run that takes stored decisions."""
        return replace(self, scores=False)

    def free(self) -> Mapping[str, float] | None:
        """Return None: there is no cluster whose resources could be free."""
        return None

    def work(self, pending: deque[int], job: Job, stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks; yield the summary of each once it is recorded.

        Raises LedgerError if a worker cannot continue, Drained after an early stop.
        """
        yield from WorkerPool(min(self.processes, len(pending)), job, self.scores).run(
            pending, stop
        )


def local_workers(asked: int, tasks: int) -> LocalWorkers:
    """Return as many workers as asked for, but no more than tasks. asked: 0 for one per core."""
    cores = usable_cores()
    return LocalWorkers(max(1, min(asked or cores, tasks)), cores)


def usable_cores(quotas: Path = Path("/sys/fs/cgroup")) -> int:
    """Count the cores that this process may use: its CPU affinity, within the container's quota."""
    there = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((quotas / name).read_text() for name in names).split()
            if int(quota) > 0:
                return max(1, min(there, int(quota) // int(period)))
        except (OSError, ValueError):  # another version of cgroups, or "max": no quota
            continue
    return there


@dataclass
class WorkerProcess:
    """One process and its current task."""

    process: BaseProcess
    pipe: Connection
    is_ready: bool = False
    task: int | None = None

    def end(self) -> None:
        """End the process; a task that it has not recorded is left to another."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(TERMINATE_TIMEOUT_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class WorkerPool:
    """Processes that do tasks."""

    def __init__(self, processes: int, job: Job, scores: bool) -> None:
        self.processes, self.job, self.scores = processes, job, scores
        self.workers: list[WorkerProcess] = []
        self.deaths: Counter[int] = Counter()  # by task
        # The stages give up a photo that kills processes, so this is more than enough.
        self.most_deaths = DEATHS * (job.settings.running.task_images + 1)

    def run(self, waiting: deque[int], stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks in order, giving each to the next idle process."""
        try:
            while len(self.workers) < self.processes and not stop.asked:
                self._start(stop)
            while any(one.task is not None for one in self.workers) or (waiting and not stop.asked):
                for worker in list(self.workers):
                    if worker.is_ready and worker.task is None and waiting and not stop.asked:
                        worker.task = waiting.popleft()
                        self._give(worker)
                for pipe in wait([one.pipe for one in self.workers], POLL_S):
                    worker = next(one for one in self.workers if one.pipe is pipe)
                    try:
                        message, content = worker.pipe.recv()
                    except (EOFError, OSError):
                        self._replace(worker, waiting, stop)
                        continue
                    if message == FAILED:
                        raise LedgerError(f"a worker could not continue: {content}")
                    worker.is_ready, worker.task = True, None
                    yield from content
        finally:
            for worker in self.workers:
                worker.end()
        if waiting:
            raise Drained

    def _start(self, stop: Stop) -> None:
        """Start a process. Raises LedgerError if that fails, unless the job is to stop."""
        ours, theirs = multiprocessing.Pipe()
        process = process_context(self.scores).Process(  # type: ignore[attr-defined]
            target=do_tasks, args=(theirs, self.job, self.scores), daemon=True
        )
        try:
            process.start()
        except (EOFError, OSError) as error:
            ours.close()
            if not stop.asked:
                is_lost = isinstance(error, EOFError | ConnectionError)
                why = "the one it is forked from was ended" if is_lost else error
                raise LedgerError(f"a worker could not start: {why}") from error
        else:
            self.workers.append(WorkerProcess(process, ours))
        finally:
            theirs.close()  # so that this side sees when the process ends

    def _give(self, worker: WorkerProcess) -> None:
        with suppress(OSError):  # it has died, which the next read of its pipe shows
            worker.pipe.send(worker.task)

    def _replace(self, worker: WorkerProcess, waiting: deque[int], stop: Stop) -> None:
        """Put the task of a process that died first in the queue; replace it if any task waits.

        If the job is to stop, none is started: the signal may have gone to all of them.
        """
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        if worker.task is not None:
            waiting.appendleft(worker.task)
        if stop.asked:
            return
        how = _ending(worker.process.exitcode)
        if not worker.is_ready:
            raise LedgerError(f"a worker could not start: it {how}")
        if worker.task is not None:
            self.deaths[worker.task] += 1
            if self.deaths[worker.task] > self.most_deaths:
                raise LedgerError(f"workers do not survive task {worker.task}: the last one {how}")
        if waiting:
            self._start(stop)


def do_tasks(pipe: Connection, job: Job, scores: bool) -> None:
    """Do tasks as they arrive, until the pipe is closed. The main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that sends the tasks handles Ctrl-C
    unblock_signals()
    try:
        keep_pandas_out()
        use_system_allocator()
        score = DetectScore(job, "cpu") if scores else None
        pipe.send((READY, []))
        while True:
            task = read_task(pipe.recv(), job)
            if score is not None:
                task = score.decide(task)
            pipe.send((DONE, [finish(task, job)]))
            del task
            give_back_growth()
    except (EOFError, ConnectionError):
        return  # the job has ended, for whatever reason
    except Exception as error:  # noqa: BLE001 - the process boundary
        own_words = isinstance(error, LedgerError)
        with suppress(ConnectionError):  # the job has ended, and nobody reads this
            pipe.send((FAILED, str(error) if own_words else f"{type(error).__name__}: {error}"))


def _ending(code: int | None) -> str:
    """Describe how a process ended."""
    if code is not None and code < 0:
        # Most real-time signals, such as SIGRTMIN+1, have no name.
        name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
        return f"was ended by {name}" + (", perhaps for want of memory" if code == -9 else "")
    return f"ended with code {code}"
