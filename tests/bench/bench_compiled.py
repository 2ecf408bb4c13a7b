"""The cost of a job's networks, plain and compiled, and how each form affects the choice.

CPU seconds of one thread, the minimum of several rounds in which the forms take turns. A GPU's half
precision is emulated on the CPU, so its quality is meaningful but its time is not. Quality is
measured on 500 candidates a photo and the embedded detector's objects, against plain float32:
photos with the same best candidate, the loss by a different one, and rank correlations.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.embedded import EmbeddedDetector
from s2cnet import FastS2CNet, S2CNet, boxes_to_input, load_model, prepare_image
from s2cnet.aot import cache_folder
from s2cnet.fast.cuda_graphs import CudaGraphs
from s2cnet.fast.folded import HalfPrecision, Precision, fold, fold_backbone
from s2cnet.fast.image import EncodedImage, encode_images
from s2cnet.fast.score import score_boxes
from tests.bench.bench_score import PHOTOS, rank_correlation
from tests.support.drawn import draw_boxes

Inputs = tuple[Tensor, Tensor, list[Tensor]]
CANDIDATES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the table as JSON")
    parser.add_argument("--rounds", type=int, default=9, help="the best of so many (default: 9)")
    parser.add_argument("--photos", type=Path, help="folder of photos; default: four small ones")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(options.photos.glob("*.jpg")) if options.photos else PHOTOS
    pictures = [np.array(Image.open(file).convert("RGB")) for file in files]
    rows = backbones(options.rounds) + detectors(pictures, options.rounds) + scores(pictures)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


@torch.no_grad()
def backbones(rounds: int) -> list[dict[str, object]]:
    """Measure one image of 256 x 384 pixels; quality: the largest difference of a feature."""
    network = load_model("starter")
    image = torch.randn(1, 3, 256, 384).contiguous(memory_format=torch.channels_last)
    folded = fold_backbone(network.backbone)
    ways: dict[str, Callable[[], Tensor]] = {
        "as defined": partial(network.backbone, image.contiguous()),
        "norms folded, channels last": partial(folded, image),
        "the same, bfloat16": partial(
            HalfPrecision(fold_backbone(network.backbone), torch.bfloat16), image
        ),
        "compiled": partial(fold(network, cache=cache_folder()).backbone, image),
        "onnxruntime": partial(fold(network, runtime="onnxruntime").backbone, image),
    }
    expected = network.backbone(image)
    times = least_times(ways, rounds)
    return [
        print_row(
            {
                "what": "backbone",
                "way": name,
                "ms": times[name],
                "times faster": round(times["as defined"] / times[name], 2),
                "largest difference": float(f"{float((way() - expected).abs().max()):.1e}"),
            }
        )
        for name, way in ways.items()
    ]


def detectors(pictures: Sequence[np.ndarray], rounds: int) -> list[dict[str, object]]:
    """Measure the embedded detector; quality: the largest box difference, pixels of the photo."""
    forms = {
        "as it is": EmbeddedDetector(),
        "compiled": EmbeddedDetector(cache=cache_folder()),
        "onnxruntime": EmbeddedDetector(runtime="onnxruntime"),
    }
    ways = {name: partial(form.detect, [pictures[0]]) for name, form in forms.items()}
    times = least_times(ways, rounds)
    expected = forms["as it is"].detect(pictures)
    rows = []
    for name, form in forms.items():
        pairs = list(zip(expected, form.detect(pictures), strict=True))
        same = [a for a in pairs if len(a[0]) == len(a[1]) and a[0].labels == a[1].labels]
        most = max(float(np.abs(a.boxes - b.boxes).max(initial=0)) for a, b in same)
        row: dict[str, object] = {
            "what": "embedded detector",
            "way": name,
            "ms": times[name],
            "times faster": round(times["as it is"] / times[name], 2),
            "largest difference": round(most, 4),
            "same objects": f"{len(same)}/{len(pairs)}",
        }
        rows.append(print_row(row))
    return rows


def scores(pictures: Sequence[np.ndarray]) -> list[dict[str, object]]:
    """Measure every form of the network against the plain one."""
    network, detector = load_model("starter"), EmbeddedDetector()
    inputs = [inputs_of(picture, detector) for picture in pictures]
    plain = FastS2CNet(network)
    exact = [plain.score(*one) for one in inputs]
    graphs = CudaGraphs(fold(network))
    forms: dict[str, Callable[..., Tensor]] = {
        "compiled": FastS2CNet(network, cache=cache_folder()).score,
        "onnxruntime": FastS2CNet(network, runtime="onnxruntime").score,
        "as for CUDA graphs": lambda *one: score_one(graphs.encode, graphs.score_boxes, *one),
        "bfloat16 feed-forwards": FastS2CNet(network, "bfloat16").score,
        "float16 feed-forwards": FastS2CNet(network, "float16").score,
        "bfloat16, backbone too": as_on_gpu(network, "bfloat16"),
        "float16, backbone too": as_on_gpu(network, "float16"),
    }
    rows = []
    for name, form in forms.items():
        pairs = [(form(*one), b) for one, b in zip(inputs, exact, strict=True)]
        ranks = [rank_correlation(a, b) for a, b in pairs]
        regret = [float((b.max() - b[a.argmax()]) / b.std()) for a, b in pairs]
        row: dict[str, object] = {
            "what": "scores",
            "way": name,
            "largest difference": f"{max(float((a - b).abs().max()) for a, b in pairs):.1e}",
            "same best": f"{sum(bool(a.argmax() == b.argmax()) for a, b in pairs)}/{len(pairs)}",
            "mean regret": f"{np.mean(regret):.1e}",
            "least SRCC": round(min(ranks), 5),
            "mean SRCC": round(float(np.mean(ranks)), 5),
        }
        rows.append(print_row(row))
    return rows


@torch.no_grad()
def score_one(
    encode: Callable[[Tensor, list[Tensor]], list[EncodedImage]],
    score: Callable[[EncodedImage, Tensor], Tensor],
    images: Tensor,
    crops: Tensor,
    detections: list[Tensor],
) -> Tensor:
    """Do `FastS2CNet.score` for one image with the given steps."""
    (encoded,) = encode(images, detections)
    return score(encoded, crops[:, 1:])


def as_on_gpu(network: S2CNet, precision: Precision) -> Callable[..., Tensor]:
    """Compute on the CPU what a GPU computes in this precision."""
    folded = fold(network, precision)
    backbone = HalfPrecision(fold_backbone(network.backbone), getattr(torch, precision))
    folded = replace(folded, backbone=backbone)
    return partial(score_one, partial(encode_images, folded), partial(score_boxes, folded))


def inputs_of(picture: np.ndarray, detector: EmbeddedDetector) -> Inputs:
    """Return a photo with random candidates of at least a tenth of its area, and its objects."""
    image, scale_xy = prepare_image(picture)
    (objects,) = detector.detect([picture])
    height, width = image.shape[1:]
    boxes = draw_boxes(20 * CANDIDATES, width, height, seed=1)
    sides = boxes[:, 2:] - boxes[:, :2]
    boxes = boxes[sides.prod(dim=1) > 0.1 * width * height][:CANDIDATES]
    crops = functional.pad(boxes, (1, 0))
    return image[None], crops, [boxes_to_input(objects.boxes, scale_xy)]


def least_times(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Measure CPU milliseconds of a call of each way, the minimum of several rounds, warmed up."""
    best = dict.fromkeys(ways, float("inf"))
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if number:
                best[name] = min(best[name], round(1000 * (time.process_time() - start), 2))
    return best


def print_row(row: dict[str, object]) -> dict[str, object]:
    print(" | ".join(str(value) for value in row.values()), flush=True)
    return row


if __name__ == "__main__":
    main()
