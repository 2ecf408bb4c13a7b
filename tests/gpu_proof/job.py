"""Step `job`: the whole job on Ray, with one scoring worker and with the default number.

Photos a second are measured in the middle of a run, from the times of its task records: startup and
the last tasks, when cores become idle, are left out. What the processes used and waited for is
measured over the same time.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from pipeline import open_run
from tests.gpu_proof.processes import Watched, watched
from tests.gpu_proof.timing import Row, report_row, write

ROOT = Path(__file__).parents[2]
RATIOS = "1:1,4:3,16:9,9:16,3:4,circle"
TASK = 16  # photos
JOB = ["jobs/crop_bucket.py"]
SAMPLED = ["-m", "tests.gpu_proof.sampled_job"]
ONE = ["--num-actors", "1"]
# For each way: photos, how the job is started, and its options; the most important ways first.
WAYS: dict[str, tuple[int, list[str], list[str]]] = {
    "one scoring worker": (608, [*SAMPLED, "lowered"], ONE),
    "default": (2400, JOB, []),
    "no GPU used": (1600, JOB, ["--gpus-per-actor", "0"]),
    "one, without priority": (480, [*SAMPLED, "same"], ONE),
    "eight scoring workers": (2400, JOB, ["--num-actors", "8", "--gpus-per-actor", "0.125"]),
}
SMALL = 80  # photos without a GPU: the step is only tested, not measured
MIDDLE = (0.3, 0.8)  # shares of the recorded tasks
TOP = 14  # functions shown
ENOUGH_S = 150.0  # no further way is started after this: the other steps need time too


def run(device: str, photos: Path, document: Path) -> None:
    """Write photos a second, failures, how busy the GPU was, and what processes waited for."""
    found: dict[str, Any] = {"rows": []}
    begin_s = time.monotonic()
    for name, (many, start, options) in WAYS.items():
        if time.monotonic() > begin_s + ENOUGH_S:
            print(f"no time is left for: {name}")
            break
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            write_copies(photos, work / "photos", SMALL if device == "cpu" else many)
            about = one_run(work, start, options)
        report_row({"way": name, **about.pop("row")}, found["rows"])
        for what, rows in about.items():
            found[f"{name}: {what}"] = rows
        write(document, "job", found)


def write_copies(photos: Path, folder: Path, count: int) -> None:
    """Write `count` files that differ, so that none reuses the result of another.

    They differ in bytes after the JPEG's end, which are not part of the picture. Links would not
    work: the plan puts photos with the same etag into one task, which processes only the first.
    """
    folder.mkdir()
    files = [file.read_bytes() for file in sorted(photos.iterdir())]
    for number in range(count):
        data = files[number % len(files)]
        (folder / f"{number:05}.jpg").write_bytes(data + b"copy %d" % number)


def one_run(work: Path, start: list[str], options: list[str]) -> dict[str, Any]:
    """Run a job on the photos in `work`; returns its figures: `row`, and tables by name."""
    output, samples = work / "out", work / "samples"
    samples.mkdir()
    sampler_arguments = [] if start == JOB else [str(samples)]
    command = [sys.executable, *start, *sampler_arguments, "--input", str(work / "photos")]
    command += ["--output", str(output), "--ratios", RATIOS, "--task-images", str(TASK), *options]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "RAY_ADDRESS": "local"}
    log, begin_s = work / "log", time.time()
    with watched_gpu() as busy, log.open("wb") as to:
        job = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=to, stderr=to)
        with watched(job.pid) as seen:
            code = job.wait()
    if code:
        raise SystemExit(f"the job ended with {code}:\n{log.read_text()[-8000:]}")
    first_s, last_s, photos = middle(output)
    row: Row = {"photos_a_second": round(photos / (last_s - first_s), 1)}
    row |= {**run_figures(output), **busy, "wall_s": round(time.time() - begin_s, 1)}
    row |= seen.machine(first_s, last_s)
    tables: dict[str, Any] = {"row": row, "processes": processes(seen, first_s, last_s, photos)}
    if rows := sampled(samples):
        tables["what its thread is at"] = rows
    return tables


def processes(seen: Watched, first_s: float, last_s: float, photos: int) -> list[Row]:
    """Print and return the rows of all roles."""
    rows: list[Row] = []
    for row in seen.rows(first_s, last_s, photos):
        report_row(row, rows)
    return rows


def middle(output: Path) -> tuple[float, float, int]:
    """Return the Unix times of two tasks' records, and the photos of the tasks in between."""
    times = sorted(one.stat().st_mtime for one in output.glob("runs/*/tasks/*.json"))
    first, last = (int(share * (len(times) - 1)) for share in MIDDLE)
    return times[first], times[last], TASK * (last - first)


def run_figures(output: Path) -> Row:
    """Return the run's recorded figures: failures, formats, and milliseconds a photo by stage."""
    run = open_run(str(output))
    images, manifest = run.images(), run.manifest
    photos = images.num_rows
    row: Row = {"photos": photos}
    row["copied"] = sum(other is not None for other in images["same_as"].to_pylist())
    row["failed"] = sum(status != "ok" for status in images["status"].to_pylist())
    formats = Counter(run.crops(["format"])["format"].to_pylist())
    row["formats"] = ", ".join(f"{count} {name}" for name, count in formats.most_common())
    for stage in ("decode", "detect", "score", "encode"):
        seconds = [value or 0.0 for value in images[f"{stage}_s"].to_pylist()]
        row[f"{stage}_ms"] = round(1000 * sum(seconds) / photos, 1)
    for stage, cost in manifest["metrics"].get("costs", {}).items():
        row[f"{stage}_cpu_ms"] = round(1000 * cost.get("cpu_s", 0.0) / photos, 1)
    session = manifest.get("session", {})
    row |= {"start_s": session.get("start_s"), "limits": session.get("limits", "")}
    return row


def sampled(folder: Path) -> list[Row]:
    """Return where the scoring worker's thread was, ms a photo; the first row is the total."""
    rows: list[Row] = []
    for file in sorted(folder.glob("*.json")):
        found = json.loads(file.read_text())
        photos, samples = found["tasks"] * TASK, sum(count for *_, count in found["samples"])
        each = 1000 / photos
        report_row(
            {
                "function": "all",
                "ms": round(each * found["wall_s"], 2),
                "on_a_core_ms": round(each * found["cpu_s"], 2),
                "waits_for_a_core_ms": round(each * found["waited_for_a_core_s"], 2),
            },
            rows,
        )
        places: Counter[str] = Counter()
        waits: Counter[str] = Counter()
        for place, state, count in found["samples"]:
            places[place] += count
            waits[place] += count * (state != "R")
        one = each * found["wall_s"] / max(samples, 1)
        for place, count in places.most_common(TOP):
            row = {"function": place, "ms": round(one * count, 2)}
            report_row({**row, "waits_for_something_ms": round(one * waits[place], 2)}, rows)
    return rows


@contextmanager
def watched_gpu() -> Iterator[Row]:
    """Sample the GPU's utilization in percent and its memory in GB, once a second."""
    busy: Row = {}
    samples: list[tuple[float, float, float]] = []
    ended = Event()
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used,clocks.sm"]
    query.append("--format=csv,noheader,nounits")

    def sample() -> None:
        while not ended.wait(1.0):
            fields = subprocess.run(query, capture_output=True, text=True).stdout.split(",")
            samples.append((float(fields[0]), float(fields[1]), float(fields[2])))

    watcher = Thread(target=sample, daemon=True)
    if shutil.which("nvidia-smi"):
        watcher.start()
    yield busy
    ended.set()
    at_work = [one for one in samples if one[0]]
    if at_work:
        busy["gpu_use_percent"] = round(sum(use for use, _, _ in at_work) / len(at_work))
        busy["gpu_memory_gb"] = round(max(memory for _, memory, _ in samples) / 1024, 1)
        busy["gpu_mhz"] = round(sum(mhz for *_, mhz in at_work) / len(at_work))
