"""A run on a cluster whose autoscaler, Ray's own, starts machines for it and ends them again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.autoscaling import autoscaling_cluster
from tests.support.fresh import ROOT

pytestmark = pytest.mark.slow
CORES, MOST = 2, 3  # of a machine, and machines
GROWN_S, SHRUNK_S = 120, 90

# Joins the cluster and does tasks that take half a second each; prints the cores that there are.
JOB = """
import sys
from collections import deque
from pathlib import Path
from tests.pipeline.cluster.test_growing import SlowShares
from dataclasses import asdict
from pipeline.cluster import demand, growing
from pipeline.cluster.shares import share_out
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings
from pipeline.stop import Stop
from tests.support.slow_stages import SlowJob, number

demand.MEASURED_S, demand.WORTH_S = 2.0, 5.0
growing.unpack_summaries = lambda block: [number(block)]
growing.share_out = lambda *about: SlowShares(**asdict(share_out(*about)))
notes, tasks, actors = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
notes.touch()
stop = Stop()
workers = growing.start_ray(
    RunningSettings(num_actors=actors), tasks, Log("json", sys.stdout), stop
)
job = SlowJob(notes, score_s=0.5)
for task in workers.work(deque(range(tasks)), job, stop):
    print("cores", workers.machines.cores, flush=True)
"""
LOOK = """
import sys, time
import ray
from pipeline.cluster.joining import join_or_start
from pipeline.cluster.nodes import cluster_nodes, total

join_or_start()
for line in sys.stdin:
    print("cores", total(cluster_nodes()).cpus, flush=True)
"""


@pytest.fixture(params=[1, 2])
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    with autoscaling_cluster(CORES, MOST, request.param) as address:
        yield address


@pytest.fixture
def start(cluster: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a script in a process that joins the cluster."""
    started: list[subprocess.Popen[str]] = []

    def start_script(source: str, *arguments: Any) -> subprocess.Popen[str]:
        plain = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", source, *map(str, arguments)],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**plain, "RAY_ADDRESS": cluster, "RAY_AUTH_MODE": "disabled"},
            )
        )  # fmt: skip
        return started[-1]

    yield start_script
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def cores(start: Callable[..., subprocess.Popen[str]]) -> Callable[[], float]:
    """Tells how many cores the cluster has."""
    looks = start(LOOK)
    assert looks.stdin is not None
    assert looks.stdout is not None
    asks, answers = looks.stdin, looks.stdout

    def look() -> float:
        asks.write("\n")
        asks.flush()
        return next(seen_cores([one])[0] for one in answers if seen_cores([one]))

    return look


def seen_cores(lines: list[str]) -> list[float]:
    """The cores that a job has printed after each task. Ray prints lines of its own."""
    return [float(one.split()[1]) for one in lines if one.startswith("cores ")]


def until(cores: Callable[[], float], wanted: float, most_s: float) -> float:
    """The cores of the cluster, once there are as many, or after some time."""
    ends_s = time.monotonic() + most_s
    while (found := cores()) != wanted and time.monotonic() < ends_s:
        time.sleep(0.5)
    return found


def test_a_cluster_grows_for_a_long_run_and_shrinks_after_it(
    tmp_path: Path, start: Callable[..., Any], cores: Callable[[], float]
) -> None:
    """By hand: 120 tasks of half a second are 60 core seconds, at least 12 cores for 5 s."""
    assert cores() == 0
    job = start(JOB, tmp_path / "notes", 120, 0)
    lines = job.stdout.read().splitlines()
    assert job.wait(60) == 0
    said = [json.loads(one) for one in lines if one.startswith("{")]
    assert [one["event"] for one in said] == ["waiting", "demand"]
    assert "with 2 CPU and 0 GPU, which join if the cluster has an" in said[1]["message"]
    seen = seen_cores(lines)
    assert len(seen) == 120
    assert (seen[0], seen[-1]) == (CORES, CORES * MOST)
    assert until(cores, 0, SHRUNK_S) == 0, "the machines were not given back"


def test_a_run_that_can_use_no_more_asks_for_no_more(
    tmp_path: Path, start: Callable[..., Any], cores: Callable[[], float]
) -> None:
    """By hand: four actors use four cores, two machines of the three that there could be."""
    job = start(JOB, tmp_path / "notes", 120, 4)
    seen = seen_cores(job.stdout.read().splitlines())
    assert job.wait(60) == 0
    assert set(seen) == {CORES, 2 * CORES}


def test_a_job_that_is_killed_asks_for_nothing_any_more(
    tmp_path: Path, start: Callable[..., Any], cores: Callable[[], float]
) -> None:
    job = start(JOB, tmp_path / "notes", 100_000, 0)
    assert until(cores, CORES * MOST, GROWN_S) == CORES * MOST
    job.send_signal(signal.SIGKILL)
    assert until(cores, 0, SHRUNK_S) == 0
