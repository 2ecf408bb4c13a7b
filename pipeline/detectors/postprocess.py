"""Turn the embedded network's output into objects: peaks to boxes, the subject map to regions.

Boxes are in cells of the output (`_cells`) inside this module and are returned in pixels of the
network's input (`_input`). All boxes are ordered by how much the photo seems to be about them.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes import Boxes, hull
from pipeline.detectors.detection import Detections
from pipeline.detectors.feature_head import features_in
from pipeline.detectors.peaks import HeatMaps, Map
from pipeline.detectors.read_attention import read_attention
from pipeline.detectors.subject_network import KINDS, OFFSETS_OF, STRIDE, SUBJECT

MAX_OBJECTS = 10
LEAST = {"face": 0.35, "person": 0.3, "thing": 0.3, "text": 0.35}
"""Least likelihood of an object's centre, by kind."""
CORE, WIDE = 0.75, 0.5
"""Least shares of the highest value for a cell of the subject's core, and of the whole subject."""
SECOND_REGION = 0.3
"""A region counts if it holds at least this share of what the largest one holds."""
FULL_SHARE = {"face": 0.02, "person": 0.12, "thing": 0.12, "text": 0.12, "subject": 0.12}
"""Share of the photo beyond which a larger object is not more important, by kind."""
CENTRE_DEVIATION = 0.32
"""Deviation, in the photo's sides, of the Gaussian around its middle that rates objects by place.

Set by hand, as the next three.
"""
OFF_CENTRE, OFF_SUBJECT = 0.4, 0.25
"""Shares of its importance that an object keeps far from the middle; where the subject map is 0."""
STANDS_OUT = 1.1
"""A subject map whose highest value is less than this many times its mean has no regions."""


def postprocess(output: torch.Tensor) -> Detections:
    """Return objects in the network's output [1, C, h, w], `boxes_input`, most important first.

    The result also has the `Attention` and, from a `SharedTrunk`, S2CNet's feature map.
    """
    subject = output[0, SUBJECT].sigmoid().numpy()
    boxes, scores, labels = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)], []
    heat = HeatMaps(output)
    for channel, kind in enumerate(KINDS):
        found, certainty = heat.objects(channel, OFFSETS_OF[kind], LEAST[kind])
        if not len(found):
            continue
        boxes.append(found)
        scores.append(certainty * _importance(found, subject, kind))
        labels += [kind] * len(found)
    regions = _regions(subject)
    boxes.append(regions)
    scores.append(_importance(regions, subject, "subject"))
    labels += ["subject"] * len(regions)
    weights = np.concatenate(scores)
    order = np.argsort(-weights, kind="stable")[:MAX_OBJECTS]
    boxes_input = np.concatenate(boxes)[order] * STRIDE
    kept_labels = [labels[i] for i in order]
    attention = read_attention(output, heat)
    weights = weights[order].astype(np.float32)
    return Detections(boxes_input, weights, kept_labels, attention, features_in(output))


def _regions(subject: Map) -> Boxes:
    """Return boxes in cells: the main subject's core, all of it, the second subject, all's hull."""
    if float(subject.max()) < STANDS_OUT * float(subject.mean()):
        return np.zeros((0, 4), np.float32)
    wide = _connected_regions(subject, WIDE)
    core = _connected_regions(subject, CORE)[:1]
    boxes = np.concatenate([core, wide[:2], hull(wide)[None]])
    return np.array(list(dict.fromkeys(map(tuple, boxes.tolist()))), np.float32)


def _connected_regions(subject: Map, share: float) -> Boxes:
    """Return boxes [R, 4] of the connected cells from `share` of the highest value on, R >= 1.

    The first holds most; the others hold at least SECOND_REGION of what it holds.
    """
    mask = (subject >= share * subject.max()).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    mass = np.bincount(labels.ravel(), subject.ravel(), count)[1:]
    order = np.argsort(-mass, kind="stable")
    order = order[mass[order] >= SECOND_REGION * mass[order[0]]]
    xywh = stats[1:, :4][order].astype(np.float32)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _importance(boxes: Boxes, subject: Map, kind: str) -> Map:
    """Rate how much the photo is about boxes [N, 4] in cells by size, place, subject map: 0..1."""
    height, width = subject.shape
    inside = np.array([_upper_mean(subject, box) for box in boxes], np.float32)
    sides = (boxes[:, 2:] - boxes[:, :2]) / (width, height)
    size = np.minimum(1, np.sqrt(sides.prod(axis=1) / FULL_SHARE[kind]))
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 / (width, height) - 0.5
    central = np.exp(-(offset**2).sum(axis=1) / (2 * CENTRE_DEVIATION**2))
    highest = max(float(subject.max()), 1e-6)
    on_subject = 1.0 if kind == "face" else OFF_SUBJECT + (1 - OFF_SUBJECT) * inside / highest
    return np.asarray(size * (OFF_CENTRE + (1 - OFF_CENTRE) * central) * on_subject, np.float32)


def _upper_mean(subject: Map, box: NDArray[np.float32]) -> float:
    """Average the upper half of the values in a box, since objects do not fill their boxes."""
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.maximum(np.ceil(box[2:]).astype(int), (x0 + 1, y0 + 1))
    values = np.sort(subject[y0:y1, x0:x1], axis=None)
    return float(values[len(values) // 2 :].mean()) if len(values) else 0.0
