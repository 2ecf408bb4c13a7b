"""How people crop around a subject, as a distribution to draw from.

A person keeps the subject and takes away a share of the gap between it and each edge of the photo.
Four numbers that are known of real people, 450 photos with ten human crops each, fix the shares
(at each person's own ratio; the drawn people's in brackets, subjects as people's scores imply them,
see `layout_teacher`): mean IoU of a person's crop with the largest centre crop .643 (.637), with
nine tenths of it .650 (.653), with another person's crop .657 (.656).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import iou
from pipeline.cropping.human_crops import reshape_crops

Boxes = NDArray[np.float64]  # [N, 4] xyxy, as shares of the photo's sides
Values = NDArray[np.float64]

REMOVED = (1.85, 2.2)  # Beta distribution of the share of a gap that is taken away
NOT_AT_ALL = 0.04  # probability that an edge stays where the photo ends
TOGETHER = 0.4  # probability that an edge follows the person's own tightness, not its own
DISAGREEMENT = 0.08  # deviation of the subject's edges from person to person
# People count for a ratio by how close theirs is; all a little. Where few are close, it counts
# more what the others would do if they were asked for that ratio.
SHARPNESS, EVERYONE, FEW = 0.3, 0.02, 0.25


@dataclass(frozen=True, eq=False)
class People:
    """Some people: their crops [P, 4] and what each takes for the subject [P, 4]."""

    crops: Boxes
    subjects: Boxes


def draw_people(
    subjects: Boxes, weights: Values, count: int, random: np.random.Generator
) -> People:
    """`count` people, whose subject is one of `subjects` [S, 4] with `weights` [S]."""
    chosen = random.choice(len(weights), count, p=weights / weights.sum())
    subject = shaken(subjects[chosen], DISAGREEMENT, random)
    own = random.beta(*REMOVED, size=(count, 1))
    each = random.beta(*REMOVED, size=(count, 4))
    share = np.where(random.random((count, 4)) < TOGETHER, own, each)
    share = np.where(random.random((count, 4)) < NOT_AT_ALL, 0, share)
    gaps = np.concatenate([subject[:, :2], 1 - subject[:, 2:]], axis=1) * share
    return People(np.concatenate([gaps[:, :2], 1 - gaps[:, 2:]], axis=1), subject)


def asked_for(people: People, ratio: float) -> Boxes:
    """What these people crop [P, 4] who are asked for a ratio (in shares of the sides)."""
    return reshape_crops(people.crops, people.subjects, ratio)


def shaken(boxes: Boxes, deviation: float, random: np.random.Generator) -> Boxes:
    """Boxes whose edges are moved at random; they stay boxes inside the photo."""
    moved = boxes + random.normal(0, 1, boxes.shape) * deviation
    low = np.minimum(moved[:, :2], moved[:, 2:] - 0.02)
    high = np.maximum(moved[:, 2:], moved[:, :2] + 0.02)
    return np.asarray(np.clip(np.concatenate([low, high], axis=1), 0, 1))


def expected_iou(crops: Boxes, people: People, ratio: float | None = None) -> Values:
    """Mean IoU of each of crops [N, 4] with the people's crops, [N].

    ratio: width / height, in shares of the photo's sides, of the crops: then with the crops of
    people whose own ratio is close to it, and with what people would crop who are asked for it.
    """
    overlap = iou(crops[:, None], people.crops)
    if ratio is None:
        return np.asarray(overlap.mean(axis=1))
    sides = people.crops[:, 2:] - people.crops[:, :2]
    close = np.exp(-0.5 * (np.log(sides[:, 0] / sides[:, 1] / ratio) / SHARPNESS) ** 2)
    weights = close + EVERYONE
    many = close.mean() / (close.mean() + FEW)
    asked = iou(crops[:, None], asked_for(people, ratio)).mean(axis=1)
    return np.asarray(many * (overlap @ weights) / weights.sum() + (1 - many) * asked)
