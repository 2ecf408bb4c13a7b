"""Whole jobs that run out of disk, of Ray's object store or of memory; and killed drivers.

Each job either completes or ends by itself with one line that says what is missing; the same
command finishes the run once there is room. Full disks are small file systems in memory, which only
root may mount.
"""

import contextlib
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline import open_run
from pipeline.cli.local_services import ray_head
from pipeline.ledger.audit import verify_run
from pipeline.storage.store import open_store
from tests.support.crop_jobs import finish, start, tree, write_scenes
from tests.support.drawn_pictures import lens

__all__ = ["tree"]  # a fixture
pytestmark = pytest.mark.chaos
Record = Callable[[str, object], None]
WORKERS = {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
PATIENT = ("--decode-timeout-s=60", "--image-timeout-s=300")
NO_SPACE = "No space left on device"
DRIVER_KILLS = 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 1 MB; `resize` makes it larger."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)],
        check=False, capture_output=True,
    )  # fmt: skip
    if not mounted or mounted.returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def resize(place: Path, size: str) -> None:
    command = ["mount", "-o", f"remount,size={size}", str(place)]
    subprocess.run(command, check=True, capture_output=True)


def fill(place: Path) -> None:
    """Leave no room at all."""
    with (place / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
        while rest.write(bytes(4096)):
            pass


def workers_seen(driver: subprocess.Popen[str], seconds: float) -> tuple[int | None, int]:
    """The driver's exit code within this time, else None; and how many workers came and went."""
    end = time.monotonic() + seconds
    ever: set[int] = set()
    while driver.poll() is None and time.monotonic() < end:
        now = set()
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::"):
                    now.add(process.pid)
        ever |= now
        time.sleep(0.2)
    return driver.poll(), len(ever - now)


def check_whole(output: Path, photos: Path, allowed: frozenset[str] = frozenset({"ok"})) -> str:
    """Each photo has one row, each that is ok its crops. Returns the rows by status in words."""
    run = open_run(str(output))
    rows = run.images().to_pylist()
    assert sorted(row["uri"] for row in rows) == sorted(str(photo) for photo in photos.iterdir())
    statuses = Counter(row["status"] for row in rows)
    assert set(statuses) <= allowed
    assert run.crops().num_rows == 2 * statuses["ok"]
    assert verify_run(open_store(str(output)), run.manifest["run_id"]).problems == []
    return ", ".join(f"{count} {status}" for status, count in statuses.items())


def test_the_disk_of_the_output_is_full(
    tree: Path, tmp_path: Path, small_disk: Path, record_property: Record
) -> None:
    write_scenes(tmp_path / "in", 30)
    resize(small_disk, "256k")  # room for the plan and a few tasks
    arguments = ["--input", str(tmp_path / "in"), "--output", str(small_disk / "out")]
    arguments += ["--task-images=2", *PATIENT]
    with ray_head(tmp_path, WORKERS, cpus=2) as head:
        code, told = finish(start(tree, head, *arguments))
        assert code == 1
        assert NO_SPACE in told[-1]["message"], told[-1]
        assert not list((small_disk / "out").glob("runs/*/_MANIFEST.json"))
        on_record = len(list((small_disk / "out").glob("runs/*/tasks/*.json")))
        resize(small_disk, "64m")
        code, again = finish(start(tree, head, *arguments))
    assert code == 0, again
    rows = check_whole(small_disk / "out", tmp_path / "in")
    message = str(told[-1]["message"]).replace(f"{tmp_path}/", "")
    record_property(
        "figures", f"ended with 1 and '{message}', {on_record} of 15 tasks on record; "
        f"with room the same command finished: {rows}",
    )  # fmt: skip


def test_the_folder_of_temporary_files_is_full(
    tree: Path, tmp_path: Path, small_disk: Path, record_property: Record
) -> None:
    """Workers keep notes there, on which photo they are at: they find another folder."""
    write_scenes(tmp_path / "in", 6)
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *PATIENT]
    fill(small_disk)
    with ray_head(tmp_path, {**WORKERS, "TMPDIR": str(small_disk)}, cpus=2) as head:
        code, told = finish(start(tree, head, *arguments))
    assert code == 0, told[-3:]
    assert [*small_disk.iterdir()] == [small_disk / "rest"]
    rows = check_whole(tmp_path / "out", tmp_path / "in")
    record_property("figures", f"TMPDIR has no byte left: the job finished: {rows}")


def test_a_task_is_larger_than_the_object_store(
    tree: Path, tmp_path: Path, record_property: Record
) -> None:
    (tmp_path / "in").mkdir()
    picture = lens(1000, 800)
    for number in range(80):
        Image.fromarray(np.roll(picture, 11 * number, axis=1)).save(
            tmp_path / "in" / f"{number:02}.jpg"
        )
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    arguments += ["--task-images=40", *PATIENT]  # 40 x 2.4 MB of pixels
    with ray_head(tmp_path, WORKERS, cpus=2, object_store_bytes=80 << 20) as head:
        began = time.monotonic()
        code, told = finish(start(tree, head, *arguments))
    assert code == 0, told[-3:]
    rows = check_whole(tmp_path / "out", tmp_path / "in")
    record_property(
        "figures", f"2 tasks of 96 MB of pixels each, a store of 80 MB: {rows}; "
        f"{time.monotonic() - began:.0f} s",
    )  # fmt: skip


def test_workers_are_killed_for_lack_of_memory(
    tree: Path, tmp_path: Path, record_property: Record
) -> None:
    """Ray's own monitor kills workers while little memory is left; then there is enough again."""
    write_scenes(tmp_path / "in", 24)
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    arguments += ["--task-images=4", *PATIENT]
    memory = psutil.virtual_memory()
    spare = 1 << 30  # less than what the job's workers need together
    limit = 1 - (memory.available - spare) / memory.total
    scarce = {"RAY_memory_monitor_refresh_ms": "100", "RAY_memory_usage_threshold": f"{limit:.4f}"}
    with ray_head(tmp_path, {**WORKERS, **scarce}, cpus=2) as head:
        driver = start(tree, head, *arguments)
        code, gone = workers_seen(driver, 90)
        driver.kill()
        _, told = finish(driver)
    with ray_head(tmp_path, WORKERS, cpus=2) as head:
        again, later = finish(start(tree, head, *arguments))
    assert again == 0, later[-3:]
    rows = check_whole(tmp_path / "out", tmp_path / "in")
    ended = "was still trying after 90 s" if code is None else f"ended with {code}"
    last = told[-1].get("message", "") if told else ""
    record_property(
        "figures", f"1 GB free below the limit: {gone} workers ended, the job {ended} ('{last}'); "
        f"with enough memory the same command finished: {rows}",
    )  # fmt: skip


def test_drivers_are_killed(tree: Path, tmp_path: Path, record_property: Record) -> None:
    write_scenes(tmp_path / "in", 60)
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    arguments += ["--task-images=2", *PATIENT]
    draw = random.Random(6)
    kills = 0
    with ray_head(tmp_path, WORKERS, cpus=2) as head:
        while True:
            driver = start(tree, head, *arguments)
            if kills < DRIVER_KILLS:
                try:
                    driver.wait(draw.uniform(2, 10))
                except subprocess.TimeoutExpired:
                    os.kill(driver.pid, 9)
                    kills += 1
            code, told = finish(driver)
            if code != -9:
                break
    assert kills, "none was at work long enough"
    assert code == 0, told[-3:]
    rows = check_whole(tmp_path / "out", tmp_path / "in")
    record_property("figures", f"{kills} drivers killed, the next finished: {rows}")
