"""Step `scoring`: S2CNet's definition, its fast path and CUDA graphs, with their quality."""

from functools import partial
from pathlib import Path

import torch

from s2cnet import FastS2CNet, load_model
from tests.bench.bench_score import PHOTOS, photo_inputs, rank_correlation
from tests.gpu_proof.timing import Row, milliseconds, report_row, write

CANDIDATES = (90, 2000)
OBJECTS = 10


def run(device: str, photos: Path, document: Path) -> None:
    """Write milliseconds a photo and the quality of each way against the definition."""
    torch.backends.cudnn.allow_tf32 = False  # as in the product
    network, rows, folder = load_model("starter", device=device).eval(), [], document.parent
    graphs = {"cache": folder} if device == "cuda" else {}
    ways = {
        "definition": network,
        "fast path": FastS2CNet(network).score,
        "as graphs": FastS2CNet(network, **graphs).score,
        "as graphs, bfloat16": FastS2CNet(network, "bfloat16", **graphs).score,
        "as graphs, float16": FastS2CNet(network, "float16", **graphs).score,
    }
    for count in CANDIDATES[: 1 if device == "cpu" else None]:
        images, crops, objects = photo_inputs(PHOTOS[0], count, OBJECTS)
        inputs = images.to(device), crops.to(device), [boxes.to(device) for boxes in objects]
        with torch.inference_mode():
            exact = network(*inputs).cpu()
            first = 0.0
            for name, way in ways.items():
                ms = milliseconds(partial(way, *inputs), 3 if device == "cpu" else 20)
                first = first or ms
                found = way(*inputs).cpu().float()
                row: Row = {"candidates": count, "way": name, "ms": ms}
                row["times_faster"] = round(first / ms, 2)
                row["largest_difference"] = float(f"{float((found - exact).abs().max()):.1e}")
                row["srcc"] = round(rank_correlation(found, exact), 6)
                row["same_best"] = bool(found.argmax() == exact.argmax())
                report_row(row, rows)
    write(document, "scoring", rows)
