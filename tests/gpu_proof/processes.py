"""Watch the processes of a job through /proc: each role's CPU use and waiting.

Only /proc is read, and values that a kernel does not report (gVisor has no `schedstat`) are left
out. A process's role is found from its command line, which Ray sets to `ray::` and its current
task; a Ray worker that first reads and later encodes counts for one role and then for the other.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

from tests.gpu_proof.timing import Row

PROC = Path("/proc")
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.5
# A part of the command line, and the role; the first match counts.
ROLES = (
    ("pipeline.photo.sandbox.child", "decoding child"),
    ("Scorer", "scoring worker"),
    ("ray::Finisher", "scoring worker"),
    ("ray::read", "reader"),
    ("ray::commit", "encoder"),
    ("ray::cut_encode", "encoder"),
    ("ray::", "idle worker"),
    ("raylet/raylet", "raylet"),
    ("gcs/gcs_server", "GCS server"),
    ("--output", "driver"),
)
CPU_STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True)
class Reading:
    """A process's totals so far, seconds. `waited_s`: all threads' waits for a core.

    Context switches are those of the first thread.
    """

    role: str
    parent: int
    user_s: float
    system_s: float
    nice: int
    threads: int
    waited_s: float | None
    voluntary: int
    forced: int


@dataclass
class Sample:
    """A sample of all processes of the job, by id, and the ticks of all cores."""

    at_s: float
    readings: dict[int, Reading]
    machine: list[int]


@dataclass
class Watched:
    """All samples of a job."""

    samples: list[Sample] = field(default_factory=list)

    def rows(self, begin_s: float, end_s: float, photos: int) -> list[Row]:
        """Return a row for each role, between two Unix times in which `photos` photos were done."""
        samples = [one for one in self.samples if begin_s <= one.at_s <= end_s]
        if len(samples) < 2 or not photos:
            return []
        found: dict[str, dict[str, float]] = {}
        ids: dict[str, set[int]] = {}
        for before, after in pairwise(samples):
            for pid, now in after.readings.items():
                one = found.setdefault(now.role, dict.fromkeys(("user", "system", "switches"), 0.0))
                ids.setdefault(now.role, set()).add(pid)
                one["nice"], one["threads"] = now.nice, max(now.threads, one.get("threads", 0))
                if then := before.readings.get(pid):
                    one["user"] += now.user_s - then.user_s
                    one["system"] += now.system_s - then.system_s
                    one["switches"] += now.voluntary - then.voluntary
                    one["forced"] = one.get("forced", 0.0) + now.forced - then.forced
                    if now.waited_s is not None and then.waited_s is not None:
                        waited = max(0.0, now.waited_s - then.waited_s)
                        one["waited"] = one.get("waited", 0.0) + waited
        wall_s = samples[-1].at_s - samples[0].at_s
        photos_here = photos * wall_s / (end_s - begin_s)
        return [
            _row(role, len(ids[role]), one, wall_s, photos_here)
            for role, one in sorted(found.items(), key=lambda one: -one[1]["user"])
        ]

    def machine(self, begin_s: float, end_s: float) -> Row:
        """Return percent of the cores' time, by the kernel's categories."""
        samples = [one for one in self.samples if begin_s <= one.at_s <= end_s and one.machine]
        if len(samples) < 2:
            return {}
        first, last = samples[0].machine, samples[-1].machine
        spent = [b - a for a, b in zip(first, last, strict=True)]
        shares = zip(CPU_STATES, spent, strict=False)
        return {f"{name}_percent": round(100 * n / (sum(spent) or 1), 1) for name, n in shares}


def _row(role: str, count: int, one: dict[str, float], wall_s: float, photos: float) -> Row:
    row: Row = {"role": role, "processes": count, "threads": int(one["threads"])}
    row |= {
        "nice": int(one["nice"]),
        "cores_busy": round((one["user"] + one["system"]) / wall_s, 2),
    }
    row["user_ms_a_photo"] = round(1000 * one["user"] / photos, 2)
    row["system_ms_a_photo"] = round(1000 * one["system"] / photos, 2)
    if "waited" in one:
        row["waited_for_a_core_ms_a_photo"] = round(1000 * one["waited"] / photos, 2)
    row["switches_a_photo"] = round(one["switches"] / photos, 1)
    row["forced_switches_a_photo"] = round(one.get("forced", 0.0) / photos, 1)
    return row


@contextmanager
def watched(root: int) -> Iterator[Watched]:
    """Sample a process and its descendants every SAMPLE_S until the block ends."""
    found, ended = Watched(), Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            found.samples.append(take_sample(root))

    thread = Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def take_sample(root: int) -> Sample:
    """Sample a process and its descendants."""
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    readings = {pid: one for pid in pids if (one := reading(pid)) is not None}
    own = {root}
    while more := {pid for pid, one in readings.items() if one.parent in own} - own:
        own |= more
    machine: list[int] = []
    with suppress(OSError, ValueError):
        machine = [int(n) for n in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return Sample(time.time(), {pid: readings[pid] for pid in own if pid in readings}, machine)


def reading(pid: int) -> Reading | None:
    """Read one process's totals; None if it has ended."""
    folder = PROC / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        status = dict(
            part.partition(":")[::2] for part in (folder / "status").read_text().splitlines()
        )
    except OSError:
        return None
    waited_s: float | None = None
    with suppress(OSError, ValueError, IndexError):
        times = [one.read_text().split() for one in folder.glob("task/*/schedstat")]
        waited_s = sum(int(one[1]) for one in times) / 1e9 if times else None
    role = next((role for text, role in ROLES if text in line), "other")
    return Reading(
        role=role,
        parent=int(fields[1]),
        user_s=int(fields[11]) * TICKS_S,
        system_s=int(fields[12]) * TICKS_S,
        nice=int(fields[16]),
        threads=int(fields[17]),
        waited_s=waited_s,
        voluntary=int(status.get("voluntary_ctxt_switches", "0")),
        forced=int(status.get("nonvoluntary_ctxt_switches", "0")),
    )
