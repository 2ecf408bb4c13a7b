"""Penalties for crops that cut heads or text, or whose circle hides objects.

A penalty is taken from a candidate's score when one is chosen, in standard deviations of the scores
of its list. Boxes and objects are in one frame, normally source pixels.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, area, intersection
from pipeline.cropping.search import Scores
from pipeline.detectors import Detections

# A head is a face and this share of its sides more on every side. A crop without the head that the
# photo is about has to be better by LOST_HEAD standard deviations. Both were set by hand.
HEAD_ROOM = 0.2
LOST_HEAD = 3.0
# Where no face is seen, the head is the upper quarter of a body that is taller than wide; a thing
# or a region is an animal often enough to count for this much of a person.
HEAD_SHARE = 0.25
BODY_WEIGHTS = {"person": 1.0, "thing": 0.4, "subject": 0.4}
# A crop through the text that the photo is about has to be better by this much.
CUT_TEXT = 1.0
TINY = np.float32(1e-6)  # square pixels; a body one rounding error high has a head without area


def head_penalty(boxes: Boxes, objects: Detections, size_wh: tuple[int, int]) -> Scores:
    """Penalty of each of boxes [N, 4] for heads outside it, 0 to LOST_HEAD: [N].

    The network weighs objects without knowing what they are, and people do not forgive a head cut
    off. Each head counts by the share of it that lies outside. Large and certain ones count most,
    so that a crowd behind the subject does not move the crop.
    """
    heads, certainty = heads_of(objects, size_wh)
    if not len(heads):
        return np.zeros(len(boxes), np.float32)
    areas = np.maximum(area(heads), TINY)
    weights = certainty * areas
    outside = 1 - intersection(boxes, heads) / areas  # [N, H]
    lost = (outside * (weights / weights.sum())).sum(axis=1)
    penalty: Scores = (LOST_HEAD * certainty.max() * lost).astype(np.float32)
    return penalty


def text_penalty(boxes: Boxes, objects: Detections) -> Scores:
    """Penalty of each of boxes [N, 4] for text that it cuts through, 0 to CUT_TEXT: [N].

    Half a word says nothing, so text is shown whole or left out. A block counts most when half of
    it is inside, and by its detector score.
    """
    is_text = np.array([label == "text" for label in objects.labels], bool)
    if not is_text.any():
        return np.zeros(len(boxes), np.float32)
    text, certainty = objects.boxes[is_text], np.clip(objects.scores[is_text], 1e-6, 1)
    inside = intersection(boxes, text) / np.maximum(area(text), TINY)  # [N, T]
    cut = (4 * inside * (1 - inside)) @ (certainty / certainty.sum())
    penalty: Scores = (CUT_TEXT * certainty.max() * cut).astype(np.float32)
    return penalty


def heads_of(objects: Detections, size_wh: tuple[int, int]) -> tuple[Boxes, Scores]:
    """Boxes [H, 4] of heads inside a photo of size_wh, and their certainty [H], 0 to 1.

    These are faces grown by HEAD_ROOM, and the upper end of tall bodies that hold no face.
    """
    is_face = np.array([label == "face" for label in objects.labels], bool)
    trust = np.array([BODY_WEIGHTS.get(label, 0.0) for label in objects.labels], np.float32)
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    faces = objects.boxes[is_face]
    is_body = (trust > 0) & (sides[:, 1] > sides[:, 0])
    is_body &= ~holds_any(objects.boxes, (faces[:, :2] + faces[:, 2:]) / 2)
    limit = np.array([*size_wh, *size_wh], np.float32)
    room = HEAD_ROOM * np.tile(sides[is_face], 2) * (-1, -1, 1, 1)
    tops = objects.boxes[is_body].copy()
    tops[:, 3] = tops[:, 1] + HEAD_SHARE * sides[is_body, 1]
    heads = np.concatenate([np.clip(faces + room, 0, limit), tops]).astype(np.float32)
    certain = np.clip(objects.scores, 1e-6, 1)
    return heads, np.concatenate([certain[is_face], (certain * trust)[is_body]])


def holds_any(boxes: Boxes, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each of boxes [N, 4] holds any of points [P, 2]: [N]."""
    inside = (points >= boxes[:, None, :2]) & (points <= boxes[:, None, 2:])  # [N, P, 2]
    return np.asarray(np.any(np.all(inside, axis=2), axis=1), np.bool_)


def circle_penalty(boxes: Boxes, objects: Detections) -> Scores:
    """Penalty of squares [N, 4] for what their inscribed circle hides of the objects, 0 to 1: [N].

    The network scores the square, of which a circle shows π/4. Each object counts as an 8 × 8
    lattice of points, weighted by its detector score; the penalty is the share of points that lie
    in the square and not in the circle. So one that hides all objects costs a standard deviation.
    """
    if not len(objects.boxes):
        return np.zeros(len(boxes), np.float32)
    steps = (np.arange(8, dtype=np.float32) + 0.5) / 8
    low, high = objects.boxes[:, None, :2], objects.boxes[:, None, 2:]
    lattice = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(1, 64, 2)
    points = low + lattice * (high - low)  # [D, 64, 2]
    centre = (boxes[:, :2] + boxes[:, 2:])[:, None, None] / 2  # [N, 1, 1, 2]
    half = (boxes[:, 2:] - boxes[:, :2])[:, None, None] / 2
    offset = (points[None] - centre) / half  # [N, D, 64, 2]; inside the square within ±1
    hidden = (np.abs(offset).max(axis=-1) <= 1) & ((offset**2).sum(axis=-1) > 1)
    weights = np.clip(objects.scores, 1e-6, None)
    share: Scores = (hidden.mean(axis=2) @ (weights / weights.sum())).astype(np.float32)
    return share
