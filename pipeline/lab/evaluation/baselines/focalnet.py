"""The baseline `focalnet`: a FocalNet crop ranker that the user provides as an ONNX file.

FocalNet (github.com/appwrite/focalnet, MIT; weights are not distributed with it) takes a photo
fitted into 256 × 256 and returns an importance map and a preference for each of 128 boxes. As
documented there, it chooses among 5 positions and 5 sizes of a ratio. Among the crops that keep
almost as much importance as the best one does, it takes the preferred one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.boxes import Box, Boxes, FloatArray
from pipeline.cropping.candidates import largest
from pipeline.errors import UsageError
from pipeline.photo.decode import Photo
from s2cnet.onnx import import_onnxruntime

INPUT_SIDE, MAP_SIDE, BOXES = 256, 64, 128
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet, on pixels in 0..1
STD = np.array([0.229, 0.224, 0.225], np.float32)
POSITIONS, SIZES = 5, (1.0, 0.9, 0.8, 0.7, 0.65)
KEPT_MARGIN = 0.05  # share of importance that a crop may keep less than the best one
INPUTS, OUTPUTS = {"image", "boxes", "content"}, {"importance", "crop_scores"}


class FocalNet:
    """FocalNet by its ONNX contract, format version 2."""

    def __init__(self, path: str | Path) -> None:
        """Load the model. Raises UsageError for another file, or without onnxruntime."""
        try:
            onnxruntime = import_onnxruntime()
            from onnxruntime.capi import onnxruntime_pybind11_state as faults
        except ImportError:
            raise UsageError("FocalNet needs onnxruntime: pip install onnxruntime") from None
        unusable = (
            faults.Fail,
            faults.InvalidArgument,  # an empty file
            faults.InvalidGraph,
            faults.InvalidProtobuf,
            faults.NoSuchFile,
            faults.NotImplemented,  # an operator that this build lacks
        )
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UsageError(f"ONNX Runtime opens no {path}: rename it, it is not UTF-8") from None
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        except unusable as error:
            raise UsageError(f"{path} is no ONNX model: {error}") from None
        if {given.name for given in self._session.get_inputs()} != INPUTS:
            raise UsageError(f"{path} has not the inputs {', '.join(sorted(INPUTS))} of FocalNet")
        if OUTPUTS - {made.name for made in self._session.get_outputs()}:
            raise UsageError(f"{path} has not the outputs {', '.join(sorted(OUTPUTS))} of FocalNet")

    def crops(self, photo: Photo, ratios: Sequence[float]) -> list[Box]:
        return [self._crop(photo, ratio) for ratio in ratios]

    def score(self, photo: Photo, boxes_px: Boxes) -> FloatArray:
        image, content = letterboxed(photo.pixels)
        size = np.array([photo.width_px, photo.height_px] * 2)
        boxes = boxes_px / size
        parts = [boxes[first : first + BOXES] for first in range(0, len(boxes), BOXES)]
        return np.concatenate([self._run(image, content, part)[1] for part in parts])

    def _crop(self, photo: Photo, ratio: float) -> Box:
        image, content = letterboxed(photo.pixels)
        boxes = candidates(photo.width_px, photo.height_px, ratio)
        importance, scores = self._run(image, content, boxes)
        kept = kept_importance(importance, content, boxes)
        scores[kept < kept.max() - KEPT_MARGIN] = -np.inf
        size = np.array([photo.width_px, photo.height_px] * 2)
        return np.asarray(boxes[int(scores.argmax())] * size, np.float32)

    def _run(
        self, image: NDArray[np.float32], content: FloatArray, boxes: FloatArray
    ) -> tuple[FloatArray, ...]:
        """Compute the map [64, 64] and the scores [N] of boxes [N, 4], N at most 128."""
        padded = np.zeros((1, BOXES, 4), np.float32)
        padded[0, : len(boxes)] = boxes
        given = {"image": image, "boxes": padded, "content": content[None].astype(np.float32)}
        importance, scores = self._session.run(["importance", "crop_scores"], given)
        return importance[0, 0].astype(np.float64), scores[0, : len(boxes)].astype(np.float64)


def letterboxed(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], FloatArray]:
    """Make the input [1, 3, 256, 256], 0 around the photo, and the photo's box in it [4], 0..1."""
    height, width = pixels.shape[:2]
    scale = INPUT_SIDE / max(width, height)
    size = [max(1, int(side * scale + 0.5)) for side in (width, height)]
    copy = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), np.float32)
    left, top = (INPUT_SIDE - size[0]) // 2, (INPUT_SIDE - size[1]) // 2
    image = np.zeros((1, 3, INPUT_SIDE, INPUT_SIDE), np.float32)
    inside = (copy / 255 - MEAN) / STD
    image[0, :, top : top + size[1], left : left + size[0]] = inside.transpose(2, 0, 1)
    return image, np.array([left, top, left + size[0], top + size[1]]) / INPUT_SIDE


def candidates(width: int, height: int, ratio: float) -> FloatArray:
    """List FocalNet's own candidates of a ratio [N, 4], shares of the photo's sides, N ≤ 125."""
    full = np.array(largest(width, height, ratio)) / [width, height]
    found = []
    for side in SIZES:
        sides = full * side
        xs, ys = (
            np.linspace(0, 1 - length, POSITIONS if length < 1 - 1e-7 else 1) for length in sides
        )
        found += [[x, y, x + sides[0], y + sides[1]] for y in ys for x in xs]
    return np.array(found)


def kept_importance(importance: FloatArray, content: FloatArray, boxes: FloatArray) -> FloatArray:
    """Return the share [N] of the photo's importance in boxes [N, 4], shares of its sides."""
    low, sides = np.tile(content[:2], 2), np.tile(content[2:] - content[:2], 2)
    whole = np.array([[0.0, 0, 1, 1]])
    inside = importance_in(importance, low + np.concatenate([boxes, whole]) * sides)
    return np.asarray(inside[:-1] / max(float(inside[-1]), 1e-9))


def importance_in(importance: FloatArray, boxes: FloatArray) -> FloatArray:
    """Sum a map [64, 64] inside boxes [N, 4] in 0..1, cells on an edge in proportion: [N]."""
    edges = np.linspace(0, 1, MAP_SIDE + 1)

    def covered(low: FloatArray, high: FloatArray) -> FloatArray:
        shared = np.minimum(edges[1:], high[:, None]) - np.maximum(edges[:-1], low[:, None])
        return np.asarray(np.clip(shared, 0, None) * MAP_SIDE)  # [N, 64]

    rows, columns = covered(boxes[:, 1], boxes[:, 3]), covered(boxes[:, 0], boxes[:, 2])
    return np.asarray(((rows @ importance) * columns).sum(axis=1))
