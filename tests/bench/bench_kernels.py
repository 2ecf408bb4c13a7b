"""The compiled CPU kernels of RoIAlign and RoDAlign against the definition, alone and in S2CNet.

CPU seconds of one thread, the minimum of several rounds in which all ways take turns. For
comparison: torch.compile of the definition, and torchvision's roi_align, which computes something
else (and nothing like RoDAlign) but as many samples.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from cuda_ops import operators, reference, rod_align, roi_align
from s2cnet import FastS2CNet
from tests.bench.bench_score import PHOTOS, photo_inputs
from tests.support.drawn import draw_boxes, drawn_network

SIZE, SCALE = 9, 1 / 16  # gaicv1
CELLS_HW = (16, 24)  # of a 3:2 photo
Way = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the table as JSON")
    parser.add_argument("--rounds", type=int, default=7, help="the best of so many (default: 7)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "cpu" not in operators.COMPILED:
        print("no compiled CPU kernel here (python -m cuda_ops makes it): nothing to compare")
        return
    rows = alone(options.rounds) + inside(options.rounds)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def alone(rounds: int) -> list[dict[str, object]]:
    """Measure both operators, forward and backward, and both at once as the network calls them."""
    features = torch.randn(1, 8, *CELLS_HW)
    rows = []
    for boxes in (100, 2000):
        rois = functional.pad(draw_boxes(boxes, 16 * CELLS_HW[1], 16 * CELLS_HW[0], 3), (1, 0))
        for name, kernel in (("roi_align", roi_align), ("rod_align", rod_align)):
            given = (features, rois, SIZE, SCALE)
            plain = getattr(reference, name)
            ways: dict[str, Way] = {
                "definition": partial(plain, *given),
                "torch.compile": partial(torch.compile(plain, dynamic=False), *given),
                "kernel": partial(kernel, *given),
            }
            if name == "roi_align":
                ways["torchvision"] = partial(ops.roi_align, *given, sampling_ratio=1)
            rows += compared(f"{name}, {boxes} boxes", ways, rounds)
            grad = torch.randn(boxes, 8, SIZE, SIZE)
            back = (grad, rois, list(features.shape), SIZE, SCALE)
            ways = {
                "definition": partial(getattr(reference, f"{name}_backward"), *back),
                "kernel": partial(getattr(torch.ops.s2cnet, f"{name}_backward"), *back),
            }
            rows += compared(f"{name} backward, {boxes} boxes", ways, rounds)
    return rows


def inside(rounds: int) -> list[dict[str, object]]:
    """Measure `forward`, which samples every candidate, and `score`, which samples only objects."""
    network = drawn_network("gaicv1")
    rows = []
    for candidates in (90, 2000):
        inputs = photo_inputs(PHOTOS[0], candidates, 10)
        calls = {"S2CNet.forward": network, "FastS2CNet.score": FastS2CNet(network).score}
        for name, call in calls.items():
            ways: dict[str, Way] = {
                "definition": partial(defined, call, inputs),
                "kernel": partial(torch.no_grad()(call), *inputs),
            }
            rows += compared(f"{name}, {candidates} candidates", ways, rounds)
    return rows


@torch.no_grad()
def defined(call: Callable[..., Tensor], inputs: tuple[Tensor, Tensor, list[Tensor]]) -> Tensor:
    """Call a network with the definition in place of the operators."""
    with (
        patch("s2cnet.network.nodes.roi_align", reference.roi_align),
        patch("s2cnet.network.nodes.rod_align", reference.rod_align),
    ):
        return call(*inputs)


def compared(what: str, ways: dict[str, Way], rounds: int) -> list[dict[str, object]]:
    """Measure and print a row for each way. Quality: the largest difference to the first."""
    best, found = dict.fromkeys(ways, float("inf")), {}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            found[name] = way()
            if number:
                best[name] = min(best[name], time.process_time() - start)
    first = next(iter(ways))
    rows: list[dict[str, object]] = []
    for name in ways:
        difference = (torch.as_tensor(found[name]) - torch.as_tensor(found[first])).abs().max()
        row: dict[str, object] = {
            "what": what,
            "way": name,
            "ms": round(1000 * best[name], 3),
            "times faster": round(best[first] / best[name], 2),
            "largest difference": float(f"{float(difference):.1e}"),
        }
        print(" | ".join(str(value) for value in row.values()), flush=True)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
