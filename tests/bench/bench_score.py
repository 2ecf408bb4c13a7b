"""`FastS2CNet` against `S2CNet.forward`: time, multiply-adds, and whether the choice is the same.

One image with 10 (gaicv1) or 5 (gaicv2) objects, backbone included. Every round runs each way once,
so that other load slows all of them; the fastest round of each counts. Quality compares the
candidates' scores on the stored photos with those of `forward` in float32.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from s2cnet import PRESETS, FastS2CNet, S2CNet, prepare_image
from tests.support.drawn import draw_boxes, drawn_network
from tests.support.multiply_adds import multiply_adds_per_candidate

PHOTOS = sorted(Path(__file__).parents[1].glob("golden/photo*.png"))
Inputs = tuple[Tensor, Tensor, list[Tensor]]
Way = Callable[..., Tensor]  # of images, crops, detections


def ways_of(network: S2CNet) -> dict[str, Way]:
    return {
        "forward": network,
        "score": FastS2CNet(network).score,
        "score, onnxruntime": FastS2CNet(network, runtime="onnxruntime").score,
        "score, bfloat16": FastS2CNet(network, "bfloat16").score,
        "score, float16": FastS2CNet(network, "float16").score,
        "weights copied in every call": network.score,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the table as JSON")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {processor()}")
    rows = [
        row
        for preset in PRESETS
        for candidates in (90, 2000)
        for row in measure(preset, candidates, options.rounds)
    ]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


@torch.no_grad()
def measure(preset: str, candidates: int, rounds: int) -> list[dict[str, object]]:
    """Measure and print one row for each way."""
    network = drawn_network(preset)
    inputs = [photo_inputs(path, candidates, network.config.detections) for path in PHOTOS]
    ways = ways_of(network)
    times = best_times(ways, inputs[0], rounds)
    exact = [network(*one) for one in inputs]
    rows: list[dict[str, object]] = []
    for name, way in ways.items():
        found = [way(*one) for one in inputs]
        pairs = list(zip(found, exact, strict=True))
        row = {
            "preset": preset,
            "candidates": candidates,
            "way": name,
            "ms": round(1000 * times[name], 1),
            "times faster": round(times["forward"] / times[name], 2),
            "M multiply-adds a candidate": round(
                multiply_adds_per_candidate(way, network.config.detections) / 1e6, 1
            ),
            "largest difference": float(f"{max(float((a - b).abs().max()) for a, b in pairs):.1e}"),
            "least SRCC": round(min(rank_correlation(a, b) for a, b in pairs), 5),
            "same best": f"{sum(bool(a.argmax() == b.argmax()) for a, b in pairs)}/{len(pairs)}",
        }
        if not rows:
            print("\n" + " | ".join(row))
        print(" | ".join(str(value) for value in row.values()), flush=True)
        rows.append(row)
    return rows


def photo_inputs(path: Path, candidates: int, objects: int) -> Inputs:
    """Return a photo with random boxes as candidates and objects."""
    image, _ = prepare_image(np.array(Image.open(path).convert("RGB")))
    height, width = image.shape[1:]
    crops = functional.pad(draw_boxes(candidates, width, height, seed=1), (1, 0))
    return image[None], crops, [draw_boxes(objects, width, height, seed=2)]


def best_times(ways: dict[str, Way], inputs: Inputs, rounds: int) -> dict[str, float]:
    """Measure seconds of one call of each way, the minimum of several rounds after a warm-up."""
    best = dict.fromkeys(ways, float("inf"))
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way(*inputs)
            if number:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def rank_correlation(a: Tensor, b: Tensor) -> float:
    ranks = torch.stack([scores.argsort().argsort().double() for scores in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


def processor() -> str:
    capabilities = torch.cpu.get_capabilities()
    amx = "with AMX" if capabilities.get("amx_tile") else "without AMX"
    return f"{capabilities.get('cpu_name', 'CPU')} {amx}"


if __name__ == "__main__":
    main()
