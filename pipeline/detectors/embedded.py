"""The detector that needs no download: faces, people, things, text, what the photo is about.

One small network in the package (`subject_network`, 3 M parameters) looks at a copy of about
288 × 288 pixels. Its map of middles and reaches gives faces, people, things and text; its map of
what belongs to the subject gives regions, so that a temple or a flower counts although no class
names it. All boxes together are ordered by how much the photo seems to be about them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from pipeline.boxes import iou
from pipeline.detectors.batches import batch_for, in_batches, uploaded
from pipeline.detectors.detection import Detections, Pixels
from pipeline.detectors.subject_network import (
    KINDS,
    MULTIPLE,
    REACH_OF,
    STRIDE,
    SubjectNetwork,
    reach,
)
from s2cnet.aot import DynamicDim, load_or_compile

MAX_OBJECTS = 10
GPU_BATCH = 32
AREA = 288 * 288
"""Pixels of the copy that is looked at: a face of 5 % of a photo's side has 14 there."""
SHORTEST, LONGEST = 64, 640
"""Bounds of its sides: a panorama is squeezed rather than looked at as a line."""
LEAST = {"face": 0.35, "person": 0.3, "thing": 0.3, "text": 0.35}
"""Least likelihood of a middle, by kind."""
SAME_IOU = 0.5
CORE, WIDE = 0.75, 0.5
"""A cell belongs to a subject's core, or to all of it, from this share of the highest value on."""
SECOND_REGION = 0.3
"""Regions count that hold at least this share of what the largest one holds."""
FULL_SHARE = {"face": 0.02, "person": 0.12, "thing": 0.12, "text": 0.12, "subject": 0.12}
"""Share of the photo from which on a larger object is not more important."""

Boxes = NDArray[np.float32]  # [N, 4] xyxy
Map = NDArray[np.float32]  # [h, w]
Look = Callable[[torch.Tensor], torch.Tensor]  # `SubjectNetwork`, perhaps compiled


class EmbeddedDetector:
    """Objects of any photo, those it is most about first. At most 10 a photo."""

    name = "embedded"

    def __init__(self, device: str = "cpu") -> None:
        self.identity, state = _packaged_weights()
        self._network = SubjectNetwork()
        self._network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
        self._network.eval().to(device).to(memory_format=torch.channels_last)
        self._device = device
        self._look: Look = self._network
        self.batch = batch_for(device, GPU_BATCH)

    def compile(self, folder: Path) -> None:
        """See `CompilableDetector.compile`. On a CPU, half the time; logits move by 3e-5."""
        if self.batch != 1:
            return  # on a GPU, where passes have several pictures
        example = torch.zeros(1, 3, 9 * MULTIPLE, 10 * MULTIPLE, device=self._device)
        example = example.contiguous(memory_format=torch.channels_last)
        least, most = SHORTEST // MULTIPLE, LONGEST // MULTIPLE
        names = ((2, "rows"), (3, "columns"))
        dims = {i: DynamicDim(name, MULTIPLE, least, most) for i, name in names}
        self._look = load_or_compile(self._network, example, dims, folder)

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """See `Detector.detect`. Labels are face, person, thing, text and subject (a region)."""

        copies = [uploaded(look_copy(photo), self._device) for photo in photos]
        return self.detect_copies(copies, photos)

    def look_copy(self, photo: Pixels) -> Pixels:
        """See `SharingDetector.look_copy`."""
        return look_copy(photo)

    def detect_copies(
        self, copies: Sequence[torch.Tensor], photos: Sequence[Pixels]
    ) -> list[Detections]:
        """See `SharingDetector.detect_copies`."""
        found: dict[int, Detections] = {}
        for indices in in_batches([copy.shape for copy in copies], self.batch):
            answers = look(self._look, torch.stack([copies[i] for i in indices]))
            for i, answer in zip(indices, torch.split(answers, 1), strict=True):
                found[i] = in_photo(read_answer(answer), copies[i].shape, photos[i])
        return [found[i] for i in range(len(photos))]


def find(network: Look, photo: Pixels, device: str = "cpu") -> Detections:
    """What a network, on `device`, sees in one photo; boxes in the photo's frame."""
    copy = uploaded(look_copy(photo), device)
    return in_photo(read_answer(look(network, copy[None])), copy.shape, photo)


@torch.inference_mode()
def look(network: Look, copies: torch.Tensor) -> torch.Tensor:
    """A network's answers, on the CPU, to uint8 copies [B, h, w, 3] of one size."""
    return network(copies.permute(0, 3, 1, 2).float()).cpu()


def look_copy(photo: Pixels) -> Pixels:
    """The copy of a photo that is looked at."""
    height, width = photo.shape[:2]
    size = look_size(width, height)
    shrinks = size[0] * size[1] < width * height
    copy = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(copy, np.uint8)


def in_photo(found: Detections, copy_shape: Sequence[int], photo: Pixels) -> Detections:
    """Boxes in a copy's frame as boxes in the photo's; copy_shape: (h, w, 3)."""
    (height, width), (copy_h, copy_w) = photo.shape[:2], copy_shape[:2]
    to_photo = np.array([width / copy_w, height / copy_h] * 2, np.float32)
    return Detections(found.boxes * to_photo, found.scores, found.labels)


@lru_cache(maxsize=1)
def _packaged_weights() -> tuple[str, dict[str, torch.Tensor]]:
    """The sha256 and the tensors of the file in the package, half precision."""
    data = files("pipeline.detectors").joinpath("weights/subjects.safetensors").read_bytes()
    return f"embedded-{hashlib.sha256(data).hexdigest()}", safetensors.torch.load(data)


def look_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the copy that is looked at, multiples of 32 of about the photo's shape."""
    scale = (AREA / (width * height)) ** 0.5
    sides = (round(side * scale / MULTIPLE) * MULTIPLE for side in (width, height))
    look_w, look_h = (min(max(side, SHORTEST), LONGEST) for side in sides)
    return look_w, look_h


def read_answer(answer: torch.Tensor) -> Detections:
    """The network's map [1, 17, h, w] as boxes in pixels of the copy, most important first."""
    likelihood = answer[:, : len(KINDS)].sigmoid()
    subject = answer[0, -1].sigmoid().numpy()
    reaches = {first: reach(answer, first)[0].numpy() for first in set(REACH_OF.values())}
    highest = torch.nn.functional.max_pool2d(likelihood, 3, stride=1, padding=1)
    peaks = torch.where(likelihood == highest, likelihood, 0.0)[0].numpy()
    boxes, scores, labels = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)], []
    for kind, peak in zip(KINDS, peaks, strict=True):
        found, likely = _objects(peak, reaches[REACH_OF[kind]], LEAST[kind])
        boxes.append(found)
        scores.append(likely * _importance(found, subject, kind))
        labels += [kind] * len(found)
    regions = _regions(subject)
    boxes.append(regions)
    scores.append(_importance(regions, subject, "subject"))
    labels += ["subject"] * len(regions)
    weights = np.concatenate(scores)
    order = np.argsort(-weights, kind="stable")[:MAX_OBJECTS]
    kept = np.concatenate(boxes)[order] * STRIDE
    return Detections(kept, weights[order].astype(np.float32), [labels[i] for i in order])


def _objects(peak: Map, reaches: NDArray[np.float32], least: float) -> tuple[Boxes, Map]:
    """Objects of one kind as boxes in cells, inside the map, and their likelihoods, best first."""
    rows, columns = np.nonzero(peak >= least)
    order = np.argsort(-peak[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    left, up, right, down = reaches[:, rows, columns]
    x, y = columns + 0.5, rows + 0.5
    boxes = np.stack([x - left, y - up, x + right, y + down], axis=1)
    limit = np.array([peak.shape[1], peak.shape[0]] * 2)
    boxes = np.clip(boxes, 0, limit).astype(np.float32)
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if (box[2:] > box[:2]).all() and not (iou(box, boxes[kept]) > SAME_IOU).any():
            kept.append(index)
    return boxes[kept], peak[rows, columns][kept]


def _regions(subject: Map) -> Boxes:
    """Boxes in cells: the main subject's core, all of it, the second subject, the hull of all."""
    if float(subject.max()) < 1.1 * float(subject.mean()):  # even everywhere: nothing stands out
        return np.zeros((0, 4), np.float32)
    wide = _main_regions(subject, WIDE)
    hull = np.concatenate([wide[:, :2].min(axis=0), wide[:, 2:].max(axis=0)])
    boxes = np.concatenate([_main_regions(subject, CORE)[:1], wide[:2], hull[None]])
    _, first = np.unique(boxes, axis=0, return_index=True)
    return np.asarray(boxes[np.sort(first)], np.float32)


def _main_regions(subject: Map, share: float) -> Boxes:
    """Boxes [R, 4] of the connected cells from `share` of the highest value on, R >= 1.

    Those that hold at least SECOND_REGION of what the first one holds; it holds most.
    """
    mask = (subject >= share * subject.max()).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    mass = np.bincount(labels.ravel(), subject.ravel(), count)[1:]
    order = np.argsort(-mass, kind="stable")
    order = order[mass[order] >= SECOND_REGION * mass[order[0]]]
    xywh = stats[1:, :4][order].astype(np.float32)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _importance(boxes: Boxes, subject: Map, kind: str) -> Map:
    """How much the photo is about each box [N], in 0..1: its size, its place, the subject map."""
    height, width = subject.shape
    inside = np.array([_upper_mean(subject, box) for box in boxes], np.float32)
    sides = (boxes[:, 2:] - boxes[:, :2]) / (width, height)
    size = np.minimum(1, np.sqrt(sides.prod(axis=1) / FULL_SHARE[kind]))
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 / (width, height) - 0.5
    central = np.exp(-(offset**2).sum(axis=1) / (2 * 0.32**2))
    told = 1.0 if kind == "face" else 0.25 + 0.75 * inside / max(float(subject.max()), 1e-6)
    return np.asarray(size * (0.4 + 0.6 * central) * told, np.float32)


def _upper_mean(subject: Map, box: NDArray[np.float32]) -> float:
    """Mean of the upper half of the cells in a box: objects do not fill their boxes."""
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.maximum(np.ceil(box[2:]).astype(int), (x0 + 1, y0 + 1))
    cells = np.sort(subject[y0:y1, x0:x1], axis=None)
    return float(cells[len(cells) // 2 :].mean()) if len(cells) else 0.0
