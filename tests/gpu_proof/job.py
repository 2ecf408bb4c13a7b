"""Step `job`: the whole job on Ray, with one scoring worker and with the default number.

A run has a cost of starting and a cost a photo: each way runs on a part of the photos and on all of
them, and the difference is that of the photos.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from pipeline import open_run
from tests.gpu_proof.timing import Row, told, write

ROOT = Path(__file__).parents[2]
RATIOS = "1:1,4:3,16:9,9:16,3:4,circle"
# Photos of a short and of a long run, and what a run is told, for each way.
WAYS = {
    "one scoring worker": (120, 600, ["--num-actors", "1"]),
    "default": (480, 2400, []),
}
SMALL = (4, 12)  # photos, where there is no GPU: the step is tried, not measured


def run(device: str, photos: Path, document: Path) -> None:
    """Write photos a second, the start, failures, and how busy the GPU was."""
    rows: list[Row] = []
    for name, (few, many, options) in WAYS.items():
        if device == "cpu":
            few, many = SMALL
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            copies(photos, work / "few", few)
            copies(photos, work / "many", many)
            short_s, _, _ = one_run(work / "few", work / "out-few", options)
            long_s, busy, failed = one_run(work / "many", work / "out-many", options)
        each = (long_s - short_s) / (many - few)
        row: Row = {"way": name, "photos": many, "photos_a_second": round(1 / each, 1)}
        row |= {"start_s": round(short_s - few * each, 1), "failed": failed, **busy}
        told(row, rows)
        write(document, "job", rows)


def copies(photos: Path, folder: Path, count: int) -> None:
    """`count` files that differ, made of the photos: bytes behind a JPEG's end are no picture."""
    folder.mkdir()
    files = sorted(photos.iterdir())
    for number in range(count):
        data = files[number % len(files)].read_bytes()
        (folder / f"{number:05}.jpg").write_bytes(data + b"copy %d" % number)


def one_run(photos: Path, output: Path, options: list[str]) -> tuple[float, Row, int]:
    """Seconds, how busy the GPU was, and photos that failed."""
    command = [sys.executable, "jobs/crop_bucket.py", "--input", str(photos)]
    command += ["--output", str(output), "--ratios", RATIOS, "--task-images", "16", *options]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "RAY_ADDRESS": "local"}
    with watched_gpu() as busy:
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        wall_s = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"the job ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    statuses = open_run(str(output)).images()["status"].to_pylist()
    return wall_s, busy, sum(status != "ok" for status in statuses)


@contextmanager
def watched_gpu() -> Iterator[Row]:
    """The GPU's use in percent and its memory in GB, looked at twice a second."""
    busy: Row = {}
    looks: list[tuple[float, float]] = []
    ended = Event()
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used"]
    query.append("--format=csv,noheader,nounits")

    def look() -> None:
        while not ended.wait(0.5):
            told = subprocess.run(query, capture_output=True, text=True).stdout.split(",")
            looks.append((float(told[0]), float(told[1])))

    watcher = Thread(target=look, daemon=True)
    if shutil.which("nvidia-smi"):
        watcher.start()
    yield busy
    ended.set()
    at_work = [use for use, _ in looks if use]
    if at_work:
        busy["gpu_use_percent"] = round(sum(at_work) / len(at_work))
        busy["gpu_memory_gb"] = round(max(memory for _, memory in looks) / 1024, 1)
