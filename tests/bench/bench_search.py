"""Finding the best crop of six shapes: the search against scoring every candidate.

Regret is the difference between the found crop's score and the best of all candidates, in standard
deviations of the scores for that photo and shape. Times are CPU seconds of one core, the minimum of
a few, summed over the photos; the time of the backbone is the baseline.

    python -m tests.bench.bench_search [--photos N] [--weights PATH] [--preset NAME] [--json FILE]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from pipeline.boxes import Boxes, iou
from pipeline.cropping.build import assemble, make_source
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.chosen import DISTINCT_IOU
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.scoring import score_function
from pipeline.cropping.search import (
    Scores,
    Search,
    SearchResult,
    coarse_to_fine,
    exhaustive,
)
from pipeline.cropping.sources import SeenPhoto
from pipeline.photo.decode import Photo, decode
from pipeline.shapes import parse_shapes
from s2cnet import FastS2CNet, S2CNet, boxes_to_input, load_model, prepare_image
from s2cnet.fast.folded import fold_backbone
from tests.bench.uploads import write_uploads

SHAPES = parse_shapes("1:1,4:3,16:9,9:16,3:4,circle")
Row = dict[str, Any]
Backbone = Callable[[torch.Tensor], torch.Tensor]


def best_s(work: Callable[[], object], repeats: int = 3) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def photos(count: int) -> list[Photo]:
    with tempfile.TemporaryDirectory() as folder:
        write_uploads(Path(folder), count)
        return [decode(path.read_bytes()) for path in sorted(Path(folder).glob("*.jpg"))]


def candidates_of(seen: SeenPhoto) -> list[Boxes]:
    """Return the candidates of the six shapes."""
    return [for_shape(*seen.size_wh, shape) for shape in SHAPES]


def find(way: Search, engine: CropEngine, seen: SeenPhoto) -> tuple[list[SearchResult], int]:
    """Search the six shapes; returns the results and how many candidates were scored."""
    asked = 0
    score_boxes = score_function(engine.network, seen)

    def score(boxes: Boxes) -> Scores:
        nonlocal asked
        asked += len(boxes)
        return score_boxes(boxes)

    return way(candidates_of(seen), score), asked


def second_best(found: SearchResult) -> float:
    """Return the score of the best crop that is clearly different from the first."""
    best = found.boxes[found.scores.argmax()]
    others = found.scores[iou(best, found.boxes) < DISTINCT_IOU]
    return float(others.max()) if len(others) else float("nan")


def bench(engine: CropEngine, backbone: Backbone, pictures: list[Photo]) -> list[Row]:
    regrets: dict[str, list[float]] = {"best": [], "second": []}
    seconds = {"backbone": 0.0, "exhaustive": 0.0, "search": 0.0}
    asked = {"exhaustive": 0, "search": 0}
    for photo in pictures:
        (seen,) = engine.see([photo])
        image, _ = prepare_image(photo.pixels)
        seconds["backbone"] += best_s(lambda image=image: backbone(image[None]))
        results = {}
        for name, way in (("exhaustive", exhaustive), ("search", coarse_to_fine)):
            work = lambda way=way, seen=seen: find(way, engine, seen)  # noqa: E731
            seconds[name] += best_s(work)
            results[name], count = work()
            asked[name] += count
        for everything, found in zip(results["exhaustive"], results["search"], strict=True):
            unit = float(everything.scores.std()) or 1.0
            regrets["best"].append((everything.scores.max() - found.scores.max()) / unit)
            regrets["second"].append((second_best(everything) - second_best(found)) / unit)
    rows = []
    for name, took in seconds.items():
        row: Row = {"what": name, "ms a photo": took / len(pictures) * 1000}
        row["of the backbone"] = took / seconds["backbone"]
        row["candidates"] = asked.get(name, 0) / len(pictures)
        rows.append(row)
    best, second = np.array(regrets["best"]), np.array(regrets["second"])
    rows[-1] |= {
        "mean regret": float(best.mean()),
        "95 %": float(np.percentile(best, 95)),
        "same crop": float(np.mean(best <= 1e-6)),
        "mean regret of the second": float(np.nanmean(second)),
    }
    return rows


def profile(engine: CropEngine, photo: Photo) -> list[Row]:
    """Profile the search of one photo."""
    (seen,) = engine.see([photo])
    image, scale_xy = prepare_image(photo.pixels)
    boxes = boxes_to_input(seen.objects.boxes, scale_xy)
    encoded = engine.network.encode(image[None], [boxes])
    lists = candidates_of(seen)
    crops = pad(boxes_to_input(lists[0][:30], scale_xy), (1, 0))
    steps: dict[str, Callable[[], object]] = {
        "prepare": lambda: prepare_image(photo.pixels),
        "encode": lambda: engine.network.encode(image[None], [boxes]),
        "propose": lambda: candidates_of(seen),
        "search itself": lambda: coarse_to_fine(lists, lambda some: some[:, 0]),
        "30 candidates": lambda: engine.network.score_crops(encoded, crops),
    }
    return [{"step": name, "ms": best_s(work, 7) * 1000} for name, work in steps.items()]


def show(title: str, rows: list[Row]) -> None:
    print(f"\n{title}")
    for row in rows:
        print(
            "  ".join(f"{k}: {v:.4g}" if isinstance(v, float) else str(v) for k, v in row.items())
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=30, help="how many photos; default 30")
    parser.add_argument("--weights", help="default: the seeded, untrained network")
    parser.add_argument("--preset", default="gaicv1", help="of the untrained network")
    parser.add_argument("--json", type=Path, help="file for the same figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    weights = arguments.weights
    model = load_model(weights) if weights else S2CNet.untrained(arguments.preset, seed=0)
    engine = assemble(FastS2CNet(model), make_source("embedded"))
    pictures = photos(arguments.photos)
    backbone = fold_backbone(model.backbone)
    with torch.inference_mode():
        tables = {
            f"{len(pictures)} photos, six shapes": bench(engine, backbone, pictures),
            "One photo": profile(engine, pictures[0]),
        }
    for title, rows in tables.items():
        show(title, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
