"""How people crop around a subject, as a distribution to draw from.

A person keeps the subject and takes away a share of the gap between it and each edge of the photo.
Four numbers that are known of real people, 450 photos with ten human crops each, fix the shares
(at each person's own ratio; the drawn people's in brackets, subjects as people's scores imply them,
see `layout_teacher`): mean IoU of a person's crop with the largest centre crop .643 (.637), with
nine tenths of it .650 (.653), with another person's crop .657 (.656).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # [N, 4] xyxy, as shares of the photo's sides
Values = NDArray[np.float64]

REMOVED = (1.85, 2.2)  # Beta distribution of the share of a gap that is taken away
NOT_AT_ALL = 0.04  # probability that an edge stays where the photo ends
TOGETHER = 0.4  # probability that an edge follows the person's own tightness, not its own
DISAGREEMENT = 0.08  # deviation of the subject's edges from person to person
SHARPNESS, EVERYONE = 0.3, 0.1  # people count for a ratio by how close theirs is; all a little


def draw_people(subjects: Boxes, weights: Values, count: int, random: np.random.Generator) -> Boxes:
    """Crops of `count` people, whose subject is one of `subjects` [S, 4] with `weights` [S]."""
    chosen = random.choice(len(weights), count, p=weights / weights.sum())
    subject = shaken(subjects[chosen], DISAGREEMENT, random)
    own = random.beta(*REMOVED, size=(count, 1))
    each = random.beta(*REMOVED, size=(count, 4))
    share = np.where(random.random((count, 4)) < TOGETHER, own, each)
    share = np.where(random.random((count, 4)) < NOT_AT_ALL, 0, share)
    gaps = np.concatenate([subject[:, :2], 1 - subject[:, 2:]], axis=1) * share
    return np.asarray(np.concatenate([gaps[:, :2], 1 - gaps[:, 2:]], axis=1))


def shaken(boxes: Boxes, deviation: float, random: np.random.Generator) -> Boxes:
    """Boxes whose edges are moved at random; they stay boxes inside the photo."""
    moved = boxes + random.normal(0, 1, boxes.shape) * deviation
    low = np.minimum(moved[:, :2], moved[:, 2:] - 0.02)
    high = np.maximum(moved[:, 2:], moved[:, :2] + 0.02)
    return np.asarray(np.clip(np.concatenate([low, high], axis=1), 0, 1))


def expected_iou(crops: Boxes, people: Boxes, ratio: float | None = None) -> Values:
    """Mean IoU of each of crops [N, 4] with the people's crops, [N].

    ratio: width / height, in shares of the photo's sides, of the crops; then people whose own ratio
    is close to it count most.
    """
    low = np.maximum(crops[:, None, :2], people[:, :2])
    high = np.minimum(crops[:, None, 2:], people[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (crops, people)]
    overlap: Values = shared / (areas[0][:, None] + areas[1] - shared)
    if ratio is None:
        return np.asarray(overlap.mean(axis=1))
    own = (people[:, 2] - people[:, 0]) / (people[:, 3] - people[:, 1])
    weights = np.exp(-0.5 * (np.log(own / ratio) / SHARPNESS) ** 2) + EVERYONE
    return np.asarray(overlap @ weights / weights.sum())
