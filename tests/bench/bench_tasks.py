"""Throughput of thin tasks through Ray with the job's own loop, and the driver's memory.

The tasks are those of a pinned run; each stage only records its task. The rest is the job's code:
`pipeline.run.work_and_commit`, the flow on a cluster on this machine, the records, the commit.
Memory is a process's private memory (USS), sampled at given numbers of tasks.

    python -m tests.bench.bench_tasks [--tasks N] [--json FILE]
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from pipeline import run
from pipeline.cluster import growing
from pipeline.cluster.flow import Stages
from pipeline.cluster.growing import ClusterWorkers
from pipeline.cluster.shares import ClusterShares, share_out
from pipeline.cropping.weights import choose_weights
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings, Settings
from pipeline.stages.task import TaskSummary
from pipeline.stages.worker import Job
from pipeline.stop import Stop
from pipeline.storage.store import open_store
from tests.bench.bench_ledger import made_up_inputs, spec_of, step
from tests.bench.thin_records import begin
from tests.bench.thin_stages import ThinFinisher, read

Row = dict[str, Any]
AT = (0.01, 0.1, 0.25, 0.5, 0.75, 1.0)  # shares of the tasks at which time and memory are sampled
HEAD = (
    "tasks",
    "wall s",
    "tasks/s",
    "driver CPU s",
    "driver MiB",
    "gcs MiB",
    "raylet MiB",
    "workers",
)
MIB = 1 << 20


def pin(folder: str, tasks: int) -> str:
    """Pin a run with `tasks` tasks of one photo; returns its id."""
    inputs = made_up_inputs(tasks)
    ledger = Ledger.open(open_store(folder), spec_of(inputs), inputs, cut_tasks(inputs, 1))
    begin(folder, ledger.run_id)
    return ledger.run_id


class Samples:
    """Samples time and memory of this process and its children."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.rows: list[Row] = []

    def sample(self, tasks: int) -> None:
        """Take a sample after `tasks` tasks."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        wall_s = time.perf_counter() - self.began
        own = {"gcs": 0.0, "raylet": 0.0, "workers": 0.0}
        for process in psutil.Process().children(recursive=True):
            try:
                name, uss = " ".join(process.cmdline()), process.memory_full_info().uss / MIB
            except psutil.Error:  # it has ended in the meantime
                continue
            kinds = {"gcs_server": "gcs", "raylet/raylet": "raylet", "ray::": "workers"}
            for mark, kind in kinds.items():
                if mark in name.split(" ", 1)[0]:
                    own[kind] += uss
        row = {
            "tasks": tasks,
            "wall_s": round(wall_s, 1),
            "tasks_per_s": round(tasks / wall_s, 1),
            "driver_cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
            "driver_mib": round(psutil.Process().memory_full_info().uss / MIB),
            **{f"{kind}_mib": round(mib) for kind, mib in own.items()},
        }
        self.rows.append(row)
        print("".join(f"{value:>13,}" for value in row.values()), flush=True)


class ThinShares(ClusterShares):
    """The shares of thin stages."""

    @property
    def stages(self) -> Stages:
        """Stand in for `ClusterShares.stages`."""
        return Stages(read, ThinFinisher, None)


class ThinWorkers(ClusterWorkers):
    """Workers that run the thin stages."""

    samples: Samples

    def work(self, pending: deque[int], job: Job, stop: Stop) -> Iterator[TaskSummary]:
        """Work like `ClusterWorkers.work`, and sample memory meanwhile."""
        at = {max(1, int(share * len(pending))) for share in AT}
        self.samples.began = time.perf_counter()
        for done, summary in enumerate(super().work(pending, job, stop), 1):
            yield summary
            if done in at:
                self.samples.sample(done)


def start(settings: RunningSettings, tasks: int, photos: int, log: Log, *_: object) -> ThinWorkers:
    """Stand in for `pipeline.run.start`."""
    growing.join_or_start()
    return ThinWorkers(
        lambda nodes, *_: ThinShares(**asdict(share_out(nodes, tasks, settings.num_actors, None))),
        log,
    )


def measure(tasks: int) -> list[Row]:
    """Do a run of `tasks` thin tasks and commit it."""
    with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as folder:
        pinned = step("pin", tasks, pin, folder, tasks)
        job = Job(
            Settings.of(
                input=folder, output=folder, weights="untrained", promote="manual", num_actors=2
            ),
            choose_weights("untrained"),
            pinned["note"],
        )
        ThinWorkers.samples = samples = Samples()
        ledger = Ledger(open_store(folder), job.run_id)
        print(f"{tasks:,} tasks pinned in {pinned['wall_s']} s, {pinned['peak_mib']} MiB")
        print("".join(f"{name:>13}" for name in HEAD))
        with mock.patch.object(run, "start", start), open(os.devnull, "w") as nowhere:
            run.work_and_commit(job, ledger, Log(stream=nowhere), Stop())
        samples.sample(tasks)
    return samples.rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=100_000)
    options.add_argument("--json", type=Path, help="write the table here as well")
    chosen = options.parse_args()
    rows = measure(chosen.tasks)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
