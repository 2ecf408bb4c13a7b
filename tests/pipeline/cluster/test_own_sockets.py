"""A job that starts its own Ray listens only on loopback, and sends nothing to Ray's makers."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.fresh import ROOT
from tests.support.sockets import is_loopback, listening

# A tiny job: tasks through an actor; then it waits, so that its processes can be looked at.
JOB = """
import sys
from collections import deque
from pathlib import Path
from pipeline.cluster.capacity import Capacity
from pipeline.cluster.flow import Flow, Stages
from pipeline.cluster.growing import start_ray
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings
from pipeline.stop import Stop
from tests.support import slow_stages

start_ray(RunningSettings(num_actors=1), 2, Log(), Stop())
job = slow_stages.SlowJob(Path(sys.argv[1]))
stages = Stages(slow_stages.read, slow_stages.SlowScorer, slow_stages.encode)
options = {"num_cpus": 0.25}
flow = Flow(stages, Capacity(1, 1), deque([0, 1, 2]), job, (job, "cpu"), options, options, Stop())
for count, _ in enumerate(flow.run(), 1):
    if count == 2:  # an actor and workers are at work
        print("looks", flush=True)
        sys.stdin.readline()
"""


def test_a_job_with_its_own_ray_keeps_to_itself(tmp_path: Path) -> None:
    alone = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, str(tmp_path / "notes")],
        cwd=ROOT, env=alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert job.stdin is not None
    assert job.stdout is not None
    try:
        assert job.stdout.readline() == "looks\n"
        found = listening(psutil.Process(job.pid), itself=True)
        children = psutil.Process(job.pid).children(recursive=True)
        commands = [" ".join(child.cmdline()) for child in children]
        job.communicate("\n", timeout=60)
    finally:
        job.kill()
    names = set(found.values())
    assert {"gcs_server", "raylet"} <= names, names
    assert any(name.startswith("ray::") for name in names), "workers listen too"
    assert [at for at in found.items() if not is_loopback(at[0][0])] == []
    # The one that sends statistics of use, the autoscaler, the one that collects what is printed.
    for unused in ("UsageStatsHead", "dashboard.py", "monitor.py"):
        assert not any(unused in command for command in commands), commands
    assert job.returncode == 0
