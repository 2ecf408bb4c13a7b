"""Promoters that are killed again and again while another rolls back and a reader reads.

Every run has the same three photos and one of its own, so that what is live can be told by
counting: three rows and one more for each live run. A promoter notes a run after its promotion
returned.
"""

import multiprocessing
import os
import random
import time
import uuid
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pipeline.errors import LedgerError
from pipeline.ledger.channels.channel import ChannelVersion, channel_name, history, read_channel
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.reader import open_run
from pipeline.storage.store import Store, open_store
from tests.chaos.campaign import Trap, Victims, wait_for_all
from tests.chaos.ledger_job import IMPATIENT
from tests.support.faultproxy import FaultProxy
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all

CHANNEL = channel_name(SPEC.settings)
SHARED = 3  # photos that all runs have
MANUAL = {"promote": "manual", "trial": False}
POINT = ("PUT", f"/channels/{CHANNEL}/0")  # a version, done or not when its writer dies


def work(output: str, run_ids: list[str], environment: dict[str, str], notes: str) -> None:
    """Promote the runs that are not noted yet, one after the other."""
    os.environ.update(environment)
    store = open_store(output, IMPATIENT)
    path = Path(notes)
    noted = path.read_text().split() if path.exists() else []
    with path.open("a", buffering=1) as file:
        for run_id in run_ids:
            if run_id not in noted:
                promote(store, run_id, Request(who=f"pid {os.getpid()}"))
                file.write(f"{run_id}\n")


def roll(output: str, environment: dict[str, str], seed: int) -> None:
    """Roll back now and then, for ever."""
    os.environ.update(environment)
    store, draw = open_store(output, IMPATIENT), random.Random(seed)
    while os.getppid() > 1:
        time.sleep(draw.uniform(0.1, 0.4))
        try:
            rollback(store, CHANNEL, who="roller")
        except LedgerError as error:
            if "nothing" not in str(error):
                raise


def read(output: str, environment: dict[str, str], report: str) -> None:
    """Read for ever; a line for each read: rows, live runs, version before and after."""
    os.environ.update(environment)
    store = open_store(output, IMPATIENT)
    with open(report, "a", buffering=1) as file:
        while os.getppid() > 1:
            before = read_channel(store, CHANNEL).number
            try:
                run = open_run(store.uri)
                rows, runs = run.images(["uri"]).num_rows, len(run.manifests)
            except LedgerError as error:
                if "no run is" not in str(error):
                    file.write(f"error {error}\n")
                    raise
                rows, runs = 0, 0
            file.write(f"{rows} {runs} {before} {read_channel(store, CHANNEL).number}\n")


class Promoters(Victims):
    """Processes that promote, each its own runs."""

    def __init__(self, output: str, address: str, runs: dict[str, list[str]], folder: Path) -> None:
        super().__init__(output, address, 0, random.Random(0))
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.chaos.promoters", "pipeline.storage.s3"])
        self.runs, self.folder = runs, folder

    def notes(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    def start(self, name: str) -> None:
        arguments = (self.output, self.runs[name], self.environment(name), str(self.notes(name)))
        self.jobs[name] = self.context.Process(target=work, args=arguments)
        self.jobs[name].start()


@dataclass
class Tally:
    """What a round did and found. Lost updates, wrong reads and problems must be 0."""

    rounds: int = 0
    promotions: int = 0
    rollbacks: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    reads_of_live: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in ("rounds", "promotions", "rollbacks", "reads", "reads_of_live"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kills += other.kills
        self.problems += other.problems

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {point}" for point, count in sorted(self.kills.items()))
        return (
            f"{self.rounds} rounds, {self.promotions} promotions, {self.rollbacks} rollbacks, "
            f"{self.kills.total()} kills ({kills}), {self.reads} reads, {self.reads_of_live} of "
            f"live rows, {len(self.problems)} problems"
        )


def one_round(
    output: str, folder: Path, each: int, kills: int, seed: int, upstream: str = "",
    faults: dict[str, float] | None = None, rolls: bool = False,
) -> Tally:  # fmt: skip
    """Two promoters of `each` runs with so many kills. upstream: an S3 server, behind the proxy."""
    draw, tally = random.Random(seed), Tally(rounds=1)
    folder.mkdir()
    store = open_store(output, IMPATIENT)
    ids = [commit(store, number) for number in range(2 * each)]
    runs = {"job-0": ids[:each], "job-1": ids[each:]}
    trap = Trap(faults or {}, seed)
    with FaultProxy(upstream, trap, delay_s=0.05) if upstream else nullcontext() as proxy:
        victims = Promoters(output, proxy.address if proxy else "", runs, folder)
        report = folder / "reads.txt"
        quiet = victims.environment("reader")
        others = [victims.context.Process(target=read, args=(output, quiet, str(report)))]
        if rolls:
            others.append(victims.context.Process(target=roll, args=(output, quiet, seed)))
        for process in others:
            process.start()
        try:
            for name in runs:
                victims.start(name)
            while tally.kills.total() < kills and victims.alive():
                _kill_one(victims, trap if proxy else None, draw, tally)
                if proxy:
                    proxy.release()
            wait_for_all(victims)
            time.sleep(0.3)  # for one more read
        finally:
            victims.stop()
            for process in others:
                if process.exitcode not in (None, 0):
                    tally.problems.append(f"{process.name} ended with {process.exitcode}")
                process.kill()
                process.join()
    _examine(store, victims, rolls, tally)
    _count_reads(report, tally)
    return tally


def commit(store: Store, number: int) -> str:
    """A run of the shared photos and one of its own."""
    inputs = pa.concat_tables(
        [make_inputs(SHARED, etag=f"v{number}"), make_inputs(1, start=SHARED + number)]
    )
    return run_all(open_ledger(store, inputs, task_images=9), mark=f" {number}", **MANUAL).run_id


def _kill_one(victims: Promoters, trap: Trap | None, draw: random.Random, tally: Tally) -> None:
    if trap is None or draw.random() < 0.4:
        time.sleep(draw.uniform(0.02, 0.3))
        name, point = draw.choice(sorted(victims.jobs)), "at random"
    else:
        fault = draw.choice(["hold", "lost"])
        name = trap.catch(POINT, fault, victims)
        point = "before a version" if fault == "hold" else "after a version, not answered"
    if name and victims.kill(name):
        tally.kills[point] += 1
        victims.start(name)


def _examine(store: Store, victims: Promoters, rolls: bool, tally: Tally) -> None:
    """Go through the versions: each must be the one before with its own change, and none lost."""
    ids = {run for runs in victims.runs.values() for run in runs}
    live: dict[int | None, tuple[str, ...]] = {None: ()}
    before: tuple[str, ...] = ()
    added: set[str] = set()
    for number, version in enumerate(history(store, CHANNEL), start=1):
        if not isinstance(version, ChannelVersion) or version.number != number:
            tally.problems.append(f"version {number} is {version}")
            continue
        now = version.recent
        if version.action == "promote":
            tally.promotions += 1
            added |= set(version.added)
            front = now[0]
            if now != (front, *(run for run in before if run != front)):
                tally.problems.append(f"version {number} lost what was live: {before} {now}")
        else:
            tally.rollbacks += 1
            if now not in live.values():
                tally.problems.append(f"version {number} is no state that there was")
        live[number] = before = now
    noted = {run for name in victims.runs for run in victims.notes(name).read_text().split()}
    if noted != ids or not noted <= added:
        tally.problems.append(f"{len(ids - noted)} not noted, {len(noted - added)} noted and lost")
    if not rolls and sorted(before) != sorted(ids):
        tally.problems.append(f"{len(before)} runs are live, not {len(ids)}")
    rows = open_run(store.uri).images(["uri"]).num_rows if before else 0
    if before and rows != SHARED + len(before):
        tally.problems.append(f"{rows} rows of {len(before)} runs")


def _count_reads(report: Path, tally: Tally) -> None:
    last = 0
    for line in report.read_text().splitlines():
        if line.startswith("error"):
            tally.problems.append(line)
            continue
        rows, runs, before, after = map(int, line.split())
        tally.reads += 1
        tally.reads_of_live += runs > 0
        if rows != (SHARED + runs if runs else 0):
            tally.problems.append(f"a read saw {rows} rows of {runs} runs")
        if not last <= before <= after:
            tally.problems.append(f"a read saw version {before} after {last}")
        last = after


def place(bucket_or_folder: str) -> str:
    """A fresh place for one round."""
    return f"{bucket_or_folder}/round-{uuid.uuid4().hex[:8]}"
