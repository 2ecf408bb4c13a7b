"""Time and memory that planning takes in the driver, with the job's own code on a made-up listing.

    first   nothing is committed: list, compare, keep the same bytes together, cut, pin
    again   all but a hundredth are covered by one run, whose index is read
    boxes   the same with `--detector boxes`, three boxes for each photo, of which some changed
    names   the first night with a template that names crops, so that every name is compared

anonymous: memory beyond the program's own, which the kernel cannot reclaim; resident: including the
pages of files, which the kernel reclaims when it needs them; in all: anonymous plus the program's
own.

The listing has what S3 would return for that many photos, without requests. One photo in 50 has the
ETag of another. Each step runs in its own process.
"""

import argparse
import hashlib
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from unittest import mock

import pyarrow as pa

from pipeline.inputs import listing
from pipeline.inputs.listing import Listing, list_all
from pipeline.job import PlannedRun, plan
from pipeline.report.progress import Log
from pipeline.schema import INPUT_BOXES
from pipeline.settings import Settings
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.spool import numbered_pieces, spooled
from pipeline.storage.store import open_store
from tests.bench import bench_ledger, bench_nights
from tests.bench.bench_ledger import Row
from tests.bench.bench_nights import commit_small

INPUT = "s3://b/2026/"
SAMPLED_S = 0.02


def photos_of(count: int, changed: bool) -> Iterator[tuple[str, ObjectInfo]]:
    """Make objects like `bench_nights.inputs_of`; changed: every hundredth has another ETag."""
    for number in range(count):
        twin = number - 1000 if number % 50 == 49 else number
        etag = f"{twin:032x}" if not changed or number % 100 else f"f{twin:031x}"
        key = f"2026/11/21/{number:012d}.jpg"
        yield f"s3://b/{key}", ObjectInfo(key, 3 << 20, etag, 0.0)


def with_boxes(found: Listing, changed: bool) -> Listing:
    """Add boxes to a list; changed: every hundredth photo has other ones."""

    def part(start: int, rows: pa.Table) -> pa.Table:
        boxes = [
            [[k, number % 999, k + 50, 1000 + (changed and number % 100 == 0)] for k in range(3)]
            for number in range(start, start + rows.num_rows)
        ]
        return rows.append_column(INPUT_BOXES, pa.array(boxes, INPUT_BOXES.type))

    rows = spooled(part(start, piece) for start, piece in numbered_pieces(found.table))
    return replace(found, table=rows)


def planned_job(folder: str, count: int, changed: bool, what: str) -> PlannedRun:
    boxes = what == "boxes"
    settings = Settings.of(
        input=INPUT, output=folder, ratios="1:1", task_images=64,
        crop_files="{stem}" if what == "names" else False,
        detector="boxes" if boxes else "embedded",
    )  # fmt: skip
    found = photos_of(count, changed and not boxes)

    def listed(*about: object) -> Listing:
        whole = list_all(*about)  # type: ignore[arg-type]
        return with_boxes(whole, changed) if boxes else whole

    with (
        mock.patch.object(listing, "_objects", return_value=found),
        mock.patch("pipeline.job.planning.list_all", listed),
        mock.patch("pipeline.job.planning.check_reachable"),
        mock.patch("pipeline.job.planning.code_version", return_value="bench"),
        mock.patch("os.fsync"),
    ):
        planned = plan(settings, Log(stream=StringIO()))
        planned.begin()
        return planned


def commit_without_work(folder: str, count: int, what: str) -> None:
    """Commit the first night's run without its tasks, and write its index."""
    spec = planned_job(folder, count, False, what).todo.spec
    commit_small(open_store(folder), spec, bench_nights.inputs_of(1))
    bench_nights.index_large(folder)


def plan_job(folder: str, count: int, changed: bool, what: str) -> str:
    planned = planned_job(folder, count, changed, what)
    run_id = planned.todo.spec.run_id
    lists = Path(folder, "runs", run_id, "input")
    digest = hashlib.sha256(b"".join(sorted(p.name.encode() for p in lists.iterdir())))
    todo = planned.todo
    return (
        f"run {run_id}, {todo.inputs.num_rows:,} photos in {planned.tasks.task_count:,} tasks, "
        f"{todo.covered:,} covered, lists {digest.hexdigest()[:12]}"
    )


def measured(connection: object, *arguments: object) -> None:
    """Run `plan_job`; sends its time, and its memory beyond that of a plan of few photos."""
    with tempfile.TemporaryDirectory() as folder:
        plan_job(folder, 100, False, "boxes")
    peaks = {"RssAnon": 0, "VmRSS": 0}
    begun, done = memory(), threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLED_S):
            for name, value in memory().items():
                peaks[name] = max(peaks[name], value)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    note = plan_job(*arguments)  # type: ignore[arg-type]
    figures = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "note": note,
    }
    done.set()
    watcher.join()
    figures |= {name: (peaks[name] - begun[name]) >> 10 for name in peaks}
    figures["all"] = peaks["RssAnon"] >> 10
    connection.send(figures)  # type: ignore[attr-defined]


def memory() -> dict[str, int]:
    """Return KiB of this process: anonymous pages, and all resident pages."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) for name in ("RssAnon", "VmRSS")}


def step(*arguments: object) -> Row:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=measured, args=(theirs, *arguments)
    )
    process.start()
    theirs.close()
    row: Row = ours.recv()
    process.join()
    return row


def steps(count: int, wanted: list[str]) -> Iterator[tuple[str, Row]]:
    for name in wanted:
        with tempfile.TemporaryDirectory() as folder:
            later = name in ("again", "boxes")
            if later:
                bench_ledger.step("commit", count, commit_without_work, folder, count, name)
            yield name, step(folder, count, later, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--steps", nargs="+", default=["first", "again", "boxes", "names"])
    arguments = parser.parse_args()
    print(
        f"{'step':8}{'photos':>12}{'wall s':>8}{'CPU s':>8}{'anonymous':>11}{'resident':>10}"
        f"{'in all':>8}  what (memory in MiB)"
    )
    for count in arguments.photos:
        for name, row in steps(count, arguments.steps):
            print(
                f"{name:8}{count:>12,}{row['wall_s']:>8.1f}{row['cpu_s']:>8.1f}"
                f"{row['RssAnon']:>11,}{row['VmRSS']:>10,}"
                f"{row['all']:>8,}  {row['note']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
