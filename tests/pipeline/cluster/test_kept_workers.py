"""A reader that waits for slow actors is the same process for the next task."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.fresh import ROOT
from tests.support.slow_stages import SlowJob, notes_of

# The actor holds the cores, and takes longer for a task than Ray lets a worker idle by itself.
JOB = """
import sys
from collections import deque
from pathlib import Path
import ray
from pipeline.cluster.capacity import Capacity
from pipeline.cluster.flow import Flow, Stages
from pipeline.cluster.joining import join_or_start
from pipeline.stop import Stop
from tests.support import slow_stages

join_or_start()
cores = ray.cluster_resources()["CPU"]
job = slow_stages.SlowJob(Path(sys.argv[1]), score_s=1.7)
flow = Flow(
    Stages(slow_stages.read, slow_stages.SlowScorer, None),
    Capacity(1, 1), deque(range(6)), job, (job, "cpu"),
    {"num_cpus": cores - 0.1}, {"num_cpus": 0.1},
    Stop(),
)
assert len(list(flow.run())) == 6
"""


def test_a_reader_that_waits_is_not_replaced(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    alone = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", JOB, str(notes)]
    subprocess.run(command, cwd=ROOT, env=alone, check=True, timeout=90)
    found = list(notes_of(SlowJob(notes)))
    assert sum(note.what == "read" for note in found) == 6
    readers = {note.pid for note in found if note.what == "read"}
    assert len(readers) == 1, f"{len(readers)} processes have read for one actor"
