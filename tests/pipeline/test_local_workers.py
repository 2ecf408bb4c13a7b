"""How many processes of this machine a job has, without starting any."""

import multiprocessing
import os
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.local import WorkerPool, WorkerProcess, local_workers, usable_cores
from pipeline.settings import Settings
from pipeline.stop import Stop


@pytest.mark.parametrize(("waiting", "started"), [([], 0), ([3], 1)])
def test_an_idle_process_that_is_killed_is_replaced_only_for_a_task(
    waiting: list[int], started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[Stop] = []
    monkeypatch.setattr(WorkerPool, "_start", lambda _, stop: starts.append(stop))
    job: Any = SimpleNamespace(settings=Settings.of(input="in", output="out"))
    pool, dead = WorkerPool(2, job, True), SimpleNamespace(join=lambda: None, exitcode=-9)
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    worker = WorkerProcess(dead, ours, is_ready=True)  # type: ignore[arg-type]
    pool.workers.append(worker)
    pool._replace(worker, deque(waiting), Stop())
    assert len(starts) == started
    assert not pool.workers


def test_processes_are_as_many_as_cores_or_tasks(tmp_path: Path) -> None:
    cores = usable_cores()
    assert local_workers(0, 1000).processes == cores
    assert local_workers(0, 1).processes == 1
    assert local_workers(3, 1000).processes == 3
    assert "3 processes" in local_workers(3, 1000).why
    # A folder without a quota: all cores that this process may run on; a quota here leaves fewer.
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0)) >= cores


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_a_container_s_quota_counts(
    tmp_path: Path, files: dict[str, str], cores: int | None
) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == (cores or len(os.sched_getaffinity(0)))
