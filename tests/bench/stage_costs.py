"""Measure the cost of each stage for the photos in a folder, in one process with one thread.

Run by `bench_base` in the trees of several commits, so it imports nothing from this folder, and
only names that have stayed the same or are looked up under both: PYTHONPATH selects the tree.
Prints one JSON document: CPU seconds a photo by stage, the chosen boxes by photo and shape, the
bytes of a photo's thumbnails, and the mean SSIMULACRA2 of the first task's thumbnails without
circles and padded ones (null if the package `ssimulacra2` is not installed).

    PYTHONPATH=TREE python stage_costs.py PHOTOS OUTPUT
"""

import io
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.wire import unpack
from pipeline.stages.worker import one_thread

THUMBNAIL_ROOM = "pipeline.photo.encoding"
THUMBNAIL, OLD_THUMBNAIL = f"{THUMBNAIL_ROOM}.thumbnail", "pipeline.photo.thumbnail"


def cpu_s() -> float:
    """Return CPU seconds of this process and of its running decoding child."""
    children = psutil.Process().children(recursive=True)
    times = [child.cpu_times() for child in children]
    return time.process_time() + sum(each.user + each.system for each in times)


def likeness(photos: dict[str, Any], crops: Iterable[dict[str, Any]]) -> float | None:
    """Compute the mean SSIMULACRA2 of thumbnails against the encoded pixels.

    photos: decoded, by image_id. crops: rows of the table.
    """
    if not find_spec("ssimulacra2"):
        return None
    from ssimulacra2 import compute_ssimulacra2

    thumbnail = import_module(THUMBNAIL if find_spec(THUMBNAIL_ROOM) else OLD_THUMBNAIL)
    found = []
    for crop in crops:
        if crop["image_id"] in photos and crop["ratio"] != "circle" and crop["fit"] == "crop":
            box_px = [crop[edge] for edge in ("x0", "y0", "x1", "y1")]
            size_wh = (crop["width"], crop["height"])
            pixels = thumbnail.cut(photos[crop["image_id"]], box_px, size_wh)
            before = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels)).save(before, "bmp")
            found.append(float(compute_ssimulacra2(before, io.BytesIO(crop["image"]))))
    return sum(found) / len(found) if found else None


def main() -> None:
    photos, output = sys.argv[1:]
    settings = Settings.of(input=photos, output=output, weights="untrained", task_images=8)
    job, ledger = plan(settings, Log("json", StringIO())).begin()
    one_thread()
    score = DetectScore(job, "cpu")
    blocks = [pa.table({"task": [task]}) for task in ledger.pending()]
    score(read_decode(blocks[0], job))  # warm-up: the first photos pay for one-time work
    costs: Counter[str] = Counter()
    first: dict[str, Any] = {}
    crop_bytes = 0
    boxes: dict[str, list[float]] = {}
    for block in blocks:
        start = cpu_s()
        decoded = read_decode(block, job)
        read = cpu_s()
        scored = score(decoded)
        chosen = cpu_s()
        cut_encode_commit(scored, job)
        end = cpu_s()
        costs.update(
            {
                "read and decode": read - start,
                "detect and score": chosen - read,
                "cut, encode, commit": end - chosen,
                "sum of the stages": end - start,
            }
        )
        metrics = ledger.record(block["task"][0].as_py()).metrics
        costs["of these, cut and encode"] += metrics.costs["encode"].cpu_s
        crop_bytes += metrics.crop_bytes
        rows = unpack(scored).rows
        first = first or {row.image_id: row.photo for row in rows if row.photo is not None}
        for row in rows:
            for crop in row.crops:
                boxes[f"{row.uri} {crop.ratio} {crop.rank}"] = list(crop.box_px)
    costs_a_photo = {name: cost / ledger.rows for name, cost in costs.items()}
    files = sorted(Path(output).glob("_data/crops/**/*.parquet"))
    quality = likeness(first, (row for file in files for row in pq.read_table(file).to_pylist()))
    sizes = {"bytes": crop_bytes / ledger.rows, "ssimulacra2": quality}
    print(json.dumps({"costs": costs_a_photo, "boxes": boxes, **sizes}))


if __name__ == "__main__":
    main()
