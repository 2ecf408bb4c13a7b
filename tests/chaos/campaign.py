"""Runs that are killed again and again, and what was left of them.

A run is a fresh place in a bucket and two jobs with the same arguments, while a reader reads. A
killed job is started again. Kills fall at random moments or at named points: the proxy holds a
request whose path matches, and the job that sent it (its name is in the User-Agent) dies with the
request undone, or done and unanswered.
"""

import multiprocessing
import os
import random
import signal
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipeline.ledger.audit import verify_run
from pipeline.ledger.reader import open_run
from pipeline.ledger.stored_runs import stored_runs
from pipeline.storage.store import open_store
from tests.chaos import ledger_job
from tests.conftest import S3_ENVIRONMENT
from tests.support.faultproxy import FaultProxy, Request, at_random
from tests.support.tasks import make_inputs

JOBS = 2
IMAGES = 45  # 15 tasks
GIVE_UP_S = 180.0
# Where a job dies: at the request that it is about to make, or whose answer it will not see.
EARLY = {
    "before the input list": ("PUT", "/input/"),
    "before the spec": ("PUT", "/spec.json"),
    "before a data file": ("PUT", "/_data/"),
    "after the data files, before the task record": ("PUT", "/tasks/"),
}
LATE = {
    "after the last task, before the list of files": ("PUT", "/files-"),
    "after the last task, before the manifest": ("PUT", "/_MANIFEST.json"),
    "after the manifest, before the metrics": ("PUT", "/metrics.json"),
}


@dataclass
class Figures:
    """What a campaign did and found. lost, doubled and wrong must be 0."""

    runs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    reads_committed: int = 0
    partial_reads: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Figures") -> None:
        for name in ("runs", "reads", "reads_committed", "partial_reads", "lost", "doubled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kills += other.kills
        self.requests += other.requests
        self.problems += other.problems

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {point}" for point, count in sorted(self.kills.items()))
        faults = {n: c for n, c in self.requests.items() if n not in ("none", "requests")}
        return (
            f"{self.runs} runs, {self.kills.total()} kills ({kills}); "
            f"{self.reads} reads, {self.reads_committed} of them of a committed run, "
            f"{self.partial_reads} partial; {self.lost} images lost, {self.doubled} doubled, "
            f"{len(self.problems)} problems; {self.requests['requests']} requests, "
            f"faults {faults}"
        )


class Victims:
    """The jobs of one run, each known to the proxy by its name."""

    def __init__(self, output: str, address: str, seed: int, draw: random.Random) -> None:
        # The fork server looks for modules here; children fork from it with everything imported.
        os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.chaos.ledger_job", "pipeline.storage.s3"])
        self.output, self.address, self.draw = output, address, draw
        self.jobs: dict[str, BaseProcess] = {}

    def environment(self, name: str) -> dict[str, str]:
        named = {"AWS_ENDPOINT_URL": self.address, "AWS_SDK_UA_APP_ID": name}
        return {**S3_ENVIRONMENT, **named}

    def start(self, name: str) -> None:
        arguments = (self.output, IMAGES, self.environment(name), self.draw.getrandbits(32))
        self.jobs[name] = self.context.Process(target=ledger_job.work, args=arguments)
        self.jobs[name].start()

    def kill(self, name: str) -> bool:
        """kill -9; whether it was still alive."""
        job = self.jobs[name]
        pid = job.pid
        if pid is None or not job.is_alive():
            return False
        os.kill(pid, signal.SIGKILL)
        job.join()
        return True

    def alive(self) -> list[str]:
        return [name for name, job in self.jobs.items() if job.is_alive()]

    def stop(self) -> None:
        for name in self.alive():
            self.kill(name)


class Trap:
    """The proxy's choice of faults, with one named point at which a request is held or lost."""

    def __init__(self, faults: dict[str, float], seed: int) -> None:
        self.otherwise = at_random(faults, seed)
        self.point: tuple[str, str] | None = None
        self.fault = "hold"
        self.caught: str | None = None

    def catch(self, point: tuple[str, str], fault: str, victims: Victims) -> str:
        """The name of the first job that comes to the point, or "" when all end before."""
        self.caught, self.fault, self.point = None, fault, point
        end = time.monotonic() + GIVE_UP_S
        while self.caught is None and victims.alive() and time.monotonic() < end:
            time.sleep(0.005)
        self.point = None
        return self.caught or ""

    def __call__(self, request: Request) -> str | None:
        if self.point and request.method == self.point[0] and self.point[1] in request.path:
            name = request.head.split(b"app/job-")[1][:1].decode()  # only jobs write
            self.caught, self.point = f"job-{name}", None
            return self.fault
        return self.otherwise(request)


def one_run(
    upstream: str, bucket: str, kills: int, faults: dict[str, float], seed: int, folder: Path
) -> Figures:
    """One run with about `kills` kills. Needs the S3 environment; raises on no end in sight."""
    draw = random.Random(seed)
    figures = Figures(runs=1)
    output = f"{bucket}/run-{seed}-{uuid.uuid4().hex[:8]}"
    report = folder / f"reads-{seed}.txt"
    trap = Trap(faults, seed)
    with FaultProxy(upstream, trap, delay_s=0.05) as proxy:
        victims = Victims(output, proxy.address, seed, draw)
        reader = start_reader(victims, report)
        try:
            for number in range(JOBS):
                victims.start(f"job-{number}")
            _kill_and_restart(victims, trap, proxy, kills, draw, figures)
            wait_for_all(victims)
            time.sleep(0.5)  # for one more read of what is committed
        finally:
            victims.stop()
            reader.kill()
            reader.join()
        figures.requests = proxy.counts
    count_reads(report, figures)
    examine(output, figures)
    return figures


def _kill_and_restart(
    victims: Victims, trap: Trap, proxy: FaultProxy, kills: int, draw: random.Random,
    figures: Figures,
) -> None:  # fmt: skip
    """Kill and start again until enough died or both jobs are through; the last kill comes late."""
    while (count := figures.kills.total()) < kills and victims.alive():
        points = LATE if count == kills - 1 else EARLY
        if points is EARLY and draw.random() < 0.5:
            time.sleep(draw.uniform(0.02, 0.4))
            name, point = draw.choice(sorted(victims.jobs)), "at random"
        else:
            point = draw.choice(sorted(points))
            name = trap.catch(points[point], draw.choice(["hold", "lost"]), victims)
            point = point if trap.fault == "hold" else point + ", done but not answered"
        if name and victims.kill(name):
            figures.kills[point] += 1
            victims.start(name)
        proxy.release()


def start_reader(victims: Victims, report: Path) -> BaseProcess:
    """A process that reads the run's output until it is killed, and reports what it saw."""
    reader = victims.context.Process(
        target=ledger_job.read,
        args=(victims.output, IMAGES, victims.environment("reader"), str(report)),
    )
    reader.start()
    return reader


def wait_for_all(victims: Victims) -> None:
    """Until every job ended well."""
    end = time.monotonic() + GIVE_UP_S
    for job in victims.jobs.values():
        job.join(max(0.0, end - time.monotonic()))
        assert not job.is_alive(), "a job found no end"
        assert job.exitcode == 0, f"a job that nobody killed ended with {job.exitcode}"


def count_reads(report: Path, figures: Figures) -> None:
    """Add what a reader reported."""
    if not report.exists():
        return
    for line in report.read_text().splitlines():
        figures.reads += 1
        figures.reads_committed += line != "0 0"
        if line not in ("0 0", f"{IMAGES} {IMAGES}"):
            figures.partial_reads += 1
            figures.problems.append(f"a read saw {line}")


def examine(output: str, figures: Figures) -> None:
    """Count what is missing and what is there twice, and hash every committed byte."""
    store = open_store(output)
    runs = stored_runs(store)
    manifests = runs.committed
    if len(manifests) != 1 or runs.damaged:
        told = f"{len(manifests)} runs are committed, {len(runs.damaged)} damaged in {output}"
        figures.problems.append(told)
        return
    run = open_run(output)
    planned = Counter(make_inputs(IMAGES)["uri"].to_pylist())
    for table in (run.images(["uri"]), run.crops(["uri"])):
        found = Counter(table["uri"].to_pylist())
        figures.lost += (planned - found).total()
        figures.doubled += (found - planned).total()
    figures.problems += verify_run(store, manifests[0].run_id).problems


def campaign(
    upstream: str, bucket: str, runs: int, kills_per_run: int, faults: dict[str, float], seed: int,
    folder: Path,
) -> Figures:  # fmt: skip
    """Many runs, one after the other."""
    total = Figures()
    for number in range(runs):
        total.add(one_run(upstream, bucket, kills_per_run, faults, seed + number, folder))
        print(f"[{number + 1}/{runs}] {total}", flush=True)
    return total
