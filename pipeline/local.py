"""Do tasks in processes of this machine, without a cluster: a folder of up to some thousand photos.

Each process does whole tasks, one stage after another, and has a decoding child of its own; there
are as many as cores, so that all are busy. One that dies is replaced, and its task given to the new
one. Whether a task is done is decided by the ledger alone, as on a cluster: a run that was begun
here can be gone on with there, and the other way round.
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
from pipeline.report.words import counted
from pipeline.stages.commit import finish
from pipeline.stages.crop import DetectScore
from pipeline.stages.heap import give_back_growth
from pipeline.stages.read import read_task
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import keep_pandas_out, share_heap
from pipeline.stages.worker import Job
from pipeline.stages.worker_deaths import DEATHS
from pipeline.stop import Drained, Stop
from pipeline.warm_up import context_of, let_signals_through

LOOK_S = 0.5  # between two looks whether the job is asked to stop
END_S = 5.0  # for a process to end that was told to
READY, DONE, FAILED = "ready", "done", "failed"  # what a process says


@dataclass(frozen=True)
class LocalWorkers:
    """The processes of this machine that do a run's tasks.

    processes: how many, at least 1; scores: whether the run decides itself.
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
        """Why they are as many as they are."""
        processes = counted(self.processes, "process", "processes")
        return f"no cluster; {processes} of one thread on {self.cores} cores"

    @property
    def machines(self) -> Machines:
        """What a session has, to say afterwards what limited it."""
        return Machines(float(self.cores), 0.0, self.processes, "cpu")

    def without_scoring(self) -> "LocalWorkers":
        """The workers of a run that takes stored decisions."""
        return replace(self, scores=False)

    def free(self) -> Mapping[str, float]:
        """What nobody uses, as Ray names it."""
        return {"CPU": float(max(0, self.cores - self.processes))}

    def work(self, pending: list[int], job: Job, stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks; yield what each was once it is on record.

        Raises LedgerError where a worker cannot go on, Drained as it says.
        """
        yield from Crew(min(self.processes, len(pending)), job, self.scores).run(pending, stop)


def local_workers(asked: int, tasks: int) -> LocalWorkers:
    """As many processes as are asked for, or cores; no more than tasks. asked: 0 for the cores."""
    cores = usable_cores()
    return LocalWorkers(max(1, min(asked or cores, tasks)), cores)


def usable_cores(quotas: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: those it may run on, within its container's quota."""
    there = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((quotas / name).read_text() for name in names).split()
            if int(quota) > 0:
                return max(1, min(there, int(quota) // int(period)))
        except (OSError, ValueError):  # another version of cgroups; or "max", which is none
            continue
    return there


@dataclass
class Member:
    """One process, and what it is busy with."""

    process: BaseProcess
    pipe: Connection
    is_ready: bool = False
    task: int | None = None

    def end(self) -> None:
        """End the process; what it has not put on record is another's to do."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Crew:
    """Processes that do tasks."""

    def __init__(self, processes: int, job: Job, scores: bool) -> None:
        self.processes, self.job, self.scores = processes, job, scores
        self.members: list[Member] = []
        self.deaths: Counter[int] = Counter()  # by task
        # A photo that processes die on is given up by the stages, so this is more than enough.
        self.most_deaths = DEATHS * (job.settings.running.task_images + 1)

    def run(self, pending: list[int], stop: Stop) -> Iterator[TaskSummary]:
        """Do tasks, in order, each by the next process that has none."""
        waiting = deque(pending)
        try:
            while len(self.members) < self.processes and not stop.asked:
                self._start(stop)
            while any(one.task is not None for one in self.members) or (waiting and not stop.asked):
                for member in list(self.members):
                    if member.is_ready and member.task is None and waiting and not stop.asked:
                        member.task = waiting.popleft()
                        self._give(member)
                for pipe in wait([one.pipe for one in self.members], LOOK_S):
                    member = next(one for one in self.members if one.pipe is pipe)
                    try:
                        said, what = member.pipe.recv()
                    except (EOFError, OSError):
                        self._replace(member, waiting, stop)
                        continue
                    if said == FAILED:
                        raise LedgerError(f"a worker could not go on: {what}")
                    member.is_ready, member.task = True, None
                    yield from what
        finally:
            for member in self.members:
                member.end()
        if waiting:
            raise Drained

    def _start(self, stop: Stop) -> None:
        """Start a process. Raises LedgerError where none comes, unless the job is to stop."""
        ours, theirs = multiprocessing.Pipe()
        process = context_of(self.scores).Process(  # type: ignore[attr-defined]
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
            self.members.append(Member(process, ours))
        finally:
            theirs.close()  # so that its end is seen here

    def _give(self, member: Member) -> None:
        with suppress(OSError):  # it has died; the next look at its pipe says so
            member.pipe.send(member.task)

    def _replace(self, member: Member, waiting: "deque[int]", stop: Stop) -> None:
        """Start a process in place of one that died, and let its task be done first.

        Where the job is to stop, none is started: the signal may have been to all of them.
        """
        self.members.remove(member)
        member.pipe.close()
        member.process.join()
        if member.task is not None:
            waiting.appendleft(member.task)
        if stop.asked:
            return
        how = _ending(member.process.exitcode)
        if not member.is_ready:
            raise LedgerError(f"a worker could not start: it {how}")
        if member.task is not None:
            self.deaths[member.task] += 1
            if self.deaths[member.task] > self.most_deaths:
                raise LedgerError(f"workers do not survive task {member.task}: the last one {how}")
        self._start(stop)


def do_tasks(pipe: Connection, job: Job, scores: bool) -> None:
    """Do tasks as they come, until nobody sends any more. The main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gave the tasks
    let_signals_through()
    try:
        keep_pandas_out()
        share_heap()
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
        return  # the job has ended, in whichever way
    except Exception as error:  # noqa: BLE001 - the process boundary
        own_words = isinstance(error, LedgerError)
        with suppress(ConnectionError):  # the job has ended, and nobody hears
            pipe.send((FAILED, str(error) if own_words else f"{type(error).__name__}: {error}"))


def _ending(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (", perhaps for want of memory" if code == -9 else "")
    return f"ended with code {code}"
