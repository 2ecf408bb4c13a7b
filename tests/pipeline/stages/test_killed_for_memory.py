"""Workers really killed by the kernel for lack of memory, in their own small control group.

`test_worker_deaths` tests the rules by notes; here Linux kills the workers, and its report is read.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.stages import worker_deaths
from pipeline.stages.memory import kernel_kills

ROOT = Path(__file__).resolve().parents[3]
GROUPS = Path("/sys/fs/cgroup")
LIMIT = 256 << 20  # bytes; what the worker takes beside is a third of it
WORKER = """
import json, os, signal, sys, tempfile
from pathlib import Path
from pipeline.stages import worker_deaths
from pipeline.stages.task import PhotoRow, Task
tempfile.tempdir, end, group = sys.argv[1:]
task = Task(7, [PhotoRow(image_id=str(n), uri=str(n)) for n in range(3)])
for row in worker_deaths.one_by_one(task, "score", "run", 60):
    if row.image_id == "1" and end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if row.image_id == "1" and end == "out of memory":
        Path(group, "cgroup.procs").write_text(str(os.getpid()))
        held = [bytearray(b"x" * (1 << 20)) for _ in range(1000)]
print(json.dumps([row.status for row in task.rows]))
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group, of version 1 or 2, whose processes may hold LIMIT bytes together."""
    old = GROUPS / "memory"
    made = (old if old.is_dir() else GROUPS) / f"s2cnet-test-{os.getpid()}"
    limit = "memory.limit_in_bytes" if old.is_dir() else "memory.max"
    try:
        made.mkdir()
        (made / limit).write_text(str(LIMIT))
    except OSError as error:
        if made.is_dir():
            made.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    yield made
    for _ in range(50):  # the kernel lets go of the dead a moment later
        try:
            made.rmdir()
            return
        except OSError:
            time.sleep(0.1)


def work(notes: Path, end: str, group: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WORKER, str(notes), end, str(group)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


def test_no_death_for_want_of_memory_counts_for_the_photo(tmp_path: Path, group: Path) -> None:
    before = kernel_kills()
    for _ in range(worker_deaths.DEATHS + 1):
        assert work(tmp_path, "out of memory", group).returncode == -signal.SIGKILL
    assert kernel_kills() == before + worker_deaths.DEATHS + 1
    done = work(tmp_path, "well", group)
    assert json.loads(done.stdout) == ["ok", "ok", "ok"], done.stderr


def test_the_same_deaths_without_want_of_memory_count(tmp_path: Path, group: Path) -> None:
    for _ in range(worker_deaths.DEATHS):
        assert work(tmp_path, "killed", group).returncode == -signal.SIGKILL
    done = work(tmp_path, "well", group)
    assert json.loads(done.stdout) == ["ok", "worker_died", "ok"], done.stderr
