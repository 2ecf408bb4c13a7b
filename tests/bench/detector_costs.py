"""Measure what the embedded detector costs for the photos in a folder, with one thread.

Run by `bench_detector` in the trees of several commits, so it uses only names that they share:
PYTHONPATH selects the tree. Prints one JSON document: CPU milliseconds of `detect` a photo, by the
engine that runs the network, for each engine that the tree has.

    PYTHONPATH=TREE python detector_costs.py PHOTOS CACHE
"""

import inspect
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from pipeline.detectors.embedded import EmbeddedDetector

REPEATS, WARM_UP = 3, 4


def detectors(cache: Path) -> dict[str, Any]:
    """Return the tree's detector with each engine. cache: folder of the compiled network."""
    made: dict[str, Any] = {
        "torch": EmbeddedDetector(),
        "torch, compiled": EmbeddedDetector(cache=cache),
    }
    if "runtime" in inspect.signature(EmbeddedDetector).parameters:
        made["ONNX Runtime"] = EmbeddedDetector(runtime="onnxruntime")
    return made


def cost_ms(detector: Any, photos: list[Any]) -> float:
    """Return CPU milliseconds of `detect` a photo, after a warm-up."""
    for photo in photos[:WARM_UP]:
        detector.detect([photo])
    start = time.process_time()
    for photo in photos * REPEATS:
        detector.detect([photo])
    return 1000 * (time.process_time() - start) / (REPEATS * len(photos))


def main() -> None:
    folder, cache = (Path(argument) for argument in sys.argv[1:])
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    made = detectors(cache)
    print(json.dumps({engine: cost_ms(detector, photos) for engine, detector in made.items()}))


if __name__ == "__main__":
    main()
