"""What each stage costs for the photos of a folder, in one process of one thread.

Run by `bench_base` in trees of several commits, so it imports nothing of this folder and only what
has kept its name: PYTHONPATH names the tree. Prints one JSON document: CPU seconds a photo by
stage, and the boxes chosen, by photo and shape.

    PYTHONPATH=TREE python stage_costs.py PHOTOS OUTPUT
"""

import json
import sys
import time
from collections import Counter
from io import StringIO

import psutil
import pyarrow as pa

from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.wire import unpack
from pipeline.stages.worker import one_thread


def cpu_s() -> float:
    """CPU seconds of this process and of the decoding child that lives beside it."""
    children = psutil.Process().children(recursive=True)
    times = [child.cpu_times() for child in children]
    return time.process_time() + sum(each.user + each.system for each in times)


def main() -> None:
    photos, output = sys.argv[1:]
    settings = Settings.of(input=photos, output=output, weights="untrained", task_images=8)
    job, ledger = plan(settings, Log("json", StringIO())).begin()
    one_thread()
    score = DetectScore(job, "cpu")
    blocks = [pa.table({"task": [task]}) for task in ledger.pending()]
    score(read_decode(blocks[0], job))  # the first photos pay for what is made once
    costs: Counter[str] = Counter()
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
        for row in unpack(scored).rows:
            for crop in row.crops:
                boxes[f"{row.uri} {crop.ratio} {crop.rank}"] = list(crop.box_px)
    costs_a_photo = {name: cost / ledger.rows for name, cost in costs.items()}
    print(json.dumps({"costs": costs_a_photo, "boxes": boxes}))


if __name__ == "__main__":
    main()
