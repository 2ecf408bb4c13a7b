"""The whole pipeline against the sum of its stages, its limits, and its peers.

A run has a cost per image and a startup cost (processes, imports, weights). Each command is run on
a quarter of the photos and on all of them; the difference is per image, the rest is startup. CPU
seconds include every process that the command starts, so that other load on the machine matters
little; wall seconds are reported too.

    python -m tests.bench.bench_pipeline [--images N] [--json FILE]
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import open_run
from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.worker import end_worker, one_thread
from tests.bench.peers import PEERS, cpu_s
from tests.bench.process_tree import measure
from tests.bench.uploads import write_uploads

Row = dict[str, Any]


def per_image(name: str, command: Callable[[Path, Path], Sequence[str]], work: Path) -> Row:
    """Measure a command's cost per image and startup, on a quarter of the photos and on all."""
    few, many = (sum(1 for _ in (work / size).iterdir()) for size in ("few", "many"))
    small = measure(command(work / "few", work / f"{name}-few"))
    large = measure(command(work / "many", work / f"{name}-many"))
    wall_s = (large.wall_s - small.wall_s) / (many - few)
    cpu_s = (large.cpu_s - small.cpu_s) / (many - few)
    return {
        "what": name,
        "images_per_s": round(1 / wall_s, 2),
        "cpu_s_per_1000": round(1000 * cpu_s, 1),
        "peak_mib": round(large.peak_mib),
        "start_s": round(small.wall_s - few * wall_s, 1),
    }


def stages_alone(photos: Path, output: Path) -> list[Row]:
    """Measure each stage in one thread of this process: a lower bound for the pipeline."""
    settings = Settings.of(
        input=str(photos), output=str(output), weights="untrained", task_images=8
    )
    job, ledger = plan(settings, Log("json", StringIO())).begin()
    tasks, images = ledger.pending(), ledger.rows
    one_thread()
    score = DetectScore(job, "cpu")
    costs: dict[str, float] = {}
    start = cpu_s()
    decoded = [read_decode(pa.table({"task": [task]}), job) for task in tasks]
    end_worker()  # only children that have ended are in the sum
    costs["read and decode"], start = cpu_s() - start, cpu_s()
    scored = [score(block) for block in decoded]
    costs["detect and score"], start = cpu_s() - start, cpu_s()
    for block in scored:
        cut_encode_commit(block, job)
    costs["cut, encode, commit"] = cpu_s() - start
    costs["sum of the stages"] = sum(costs.values())
    return [
        {
            "what": f"  {name}" if name != "sum of the stages" else name,
            "images_per_s": round(images / cost, 2),
            "cpu_s_per_1000": round(1000 * cost / images, 1),
        }
        for name, cost in costs.items()
    ]


def one_at_a_time(photos: list[Path]) -> Row:
    """Measure a peer: full decode, plain forward, Pillow crops, one photo after another."""
    import numpy as np
    from PIL import Image

    from pipeline.detectors import make_detector
    from s2cnet import S2CNet
    from tests.bench.naive_ray_data import best_boxes, encoded

    model, detector = S2CNet.untrained(), make_detector("embedded")

    def crop(path: Path) -> None:
        image = np.array(Image.open(path).convert("RGB"))
        encoded(image, best_boxes(image, model, detector))

    return _alone("plain forward, one photo at a time", crop, photos)


def others(photos: list[Path]) -> Iterator[Row]:
    """Measure the installed peers from `peers`."""
    for name, peer in PEERS.items():
        cost = peer(photos)
        if cost is not None:
            yield _row(name, cost)


def _alone(name: str, crop: Callable[[Path], None], photos: list[Path]) -> Row:
    crop(photos[0])
    start = cpu_s()
    for path in photos:
        crop(path)
    return _row(name, (cpu_s() - start) / len(photos))


def _row(name: str, cost_s: float) -> Row:
    return {
        "what": name,
        "images_per_s": round(1 / cost_s, 2),
        "cpu_s_per_1000": round(1000 * cost_s, 1),
    }


def ours(photos: Path, output: Path) -> Sequence[str]:
    where = ["--input", str(photos), "--output", str(output)]
    sizes = ["--task-images", "8", "--weights", "untrained"]  # so that few photos fill all workers
    return [sys.executable, "jobs/crop_bucket.py", *where, *sizes]


def naive(photos: Path, output: Path) -> Sequence[str]:
    return [sys.executable, "tests/bench/naive_ray_data.py", str(photos), str(output)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=256, help="photos (default: 256)")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    show({name: name for name in COLUMNS})
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        rows, facts = run(Path(folder), chosen.images)
    for name, value in facts.items():
        print(f"{name}: {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": rows, "facts": facts}, indent=1) + "\n")


def show(row: Row) -> Row:
    """Print one line of the table, as soon as it is known."""
    line = "  ".join(f"{row.get(name, '')!s:>{width}}" for name, width in COLUMNS.items())
    print(line, flush=True)
    return row


COLUMNS = {"what": 38, "images_per_s": 12, "cpu_s_per_1000": 14, "peak_mib": 9, "start_s": 8}


def run(work: Path, images: int) -> tuple[list[Row], Row]:
    """Measure all rows of the table, and derive figures from them."""
    write_uploads(work / "many", images)
    write_uploads(work / "few", images // 4)
    photos = sorted((work / "few").iterdir())
    alone = [show(row) for row in stages_alone(work / "few", work / "alone")]
    pipeline = show(per_image("pipeline on Ray", ours, work))
    peers = [show(per_image("naive Ray Data script", naive, work)), show(one_at_a_time(photos))]
    peers += [show(row) for row in others(photos)]
    cores, needed = os.cpu_count() or 1, alone[-1]["cpu_s_per_1000"]
    manifest = open_run(str(work / "pipeline on Ray-many")).manifest
    requests = sum(n for n in manifest["metrics"]["requests"].values())
    requests += sum(manifest["session"]["driver_requests"].values())
    facts = {
        "cores": cores,
        "images": images,
        "overhead in CPU time": f"{pipeline['cpu_s_per_1000'] / needed - 1:+.1%}",
        "useful share of the machine": f"{needed * pipeline['images_per_s'] / 1000 / cores:.0%}",
        "limit, cores / sum of the stages": f"{1000 * cores / needed:.2f} images/s",
        "storage requests per image": round(requests / images, 2),
        "seconds of work by stage": manifest["metrics"]["seconds"],
    }
    return [*alone, pipeline, *peers], facts


if __name__ == "__main__":
    main()
