"""Simulated people: how a person crops around a subject, as a distribution to sample from.

A person keeps the subject and removes a share of the gap between it and each edge of the photo.
The shares are fitted to three means over 450 photos with ten human crops each, at each person's own
ratio. Figures in brackets are those of the simulated people, with subjects from `layout_teacher`.
IoU of a person's crop with the largest centred crop: .643 (.637); with nine tenths of it: .650
(.653); with another person's crop: .657 (.656).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.boxes import FloatArray, area, iou

MIN_SIDES = 1.05  # sides of the smallest crop around a subject, in the subject's
TRIM = (1.85, 2.2)  # parameters of the beta distribution of the share of a gap that is removed
KEPT_EDGE = 0.04  # probability that an edge stays at the photo's edge
ONE_TIGHTNESS = 0.4  # probability that an edge has the person's common share, not one of its own
DISAGREEMENT = 0.08  # standard deviation of the subject's edges between people
# Set by hand. For a ratio, people's weights are a Gaussian of this deviation over the logarithm of
# their ratio, plus a floor. Where their mean weight is small compared with the last number, the
# crops that people would make if asked for the ratio count instead.
RATIO_DEVIATION, FLOOR, FEW = 0.3, 0.02, 0.25


@dataclass(frozen=True, eq=False)
class SimulatedCrops:
    """Crops [P, 4] of P simulated people, and the box each takes for the subject [P, 4]."""

    crops: FloatArray
    subjects: FloatArray


def simulate_crops(
    subjects: FloatArray, weights: FloatArray, count: int, random: np.random.Generator
) -> SimulatedCrops:
    """Sample `count` people, each of whom crops around one of `subjects` [S, 4].

    weights [S]: how likely each subject is, up to a factor.
    """
    chosen = random.choice(len(weights), count, p=weights / weights.sum())
    subject = jittered(subjects[chosen], DISAGREEMENT, random)
    own = random.beta(*TRIM, size=(count, 1))
    each = random.beta(*TRIM, size=(count, 4))
    share = np.where(random.random((count, 4)) < ONE_TIGHTNESS, own, each)
    share = np.where(random.random((count, 4)) < KEPT_EDGE, 0, share)
    gaps = np.concatenate([subject[:, :2], 1 - subject[:, 2:]], axis=1) * share
    return SimulatedCrops(np.concatenate([gaps[:, :2], 1 - gaps[:, 2:]], axis=1), subject)


def at_ratio(people: SimulatedCrops, ratio: float) -> FloatArray:
    """Return these people's crops [P, 4] when asked for a ratio (in shares of the sides)."""
    return reshape_crops(people.crops, people.subjects, ratio)


def jittered(boxes: FloatArray, deviation: float, random: np.random.Generator) -> FloatArray:
    """Add Gaussian noise to every edge of boxes; they stay valid boxes inside the photo."""
    moved = boxes + random.normal(0, 1, boxes.shape) * deviation
    low = np.minimum(moved[:, :2], moved[:, 2:] - 0.02)
    high = np.maximum(moved[:, 2:], moved[:, :2] + 0.02)
    return np.asarray(np.clip(np.concatenate([low, high], axis=1), 0, 1))


def expected_iou(
    crops: FloatArray, people: SimulatedCrops, ratio: float | None = None
) -> FloatArray:
    """Compute the mean IoU [N] of crops [N, 4] with the people's crops.

    ratio: width / height of `crops`, in shares of the photo's sides. If given, people are weighted
    by how close their own ratio is, and their crops when asked for the ratio are mixed in.
    """
    overlap = iou(crops[:, None], people.crops)
    if ratio is None:
        return np.asarray(overlap.mean(axis=1))
    sides = people.crops[:, 2:] - people.crops[:, :2]
    close = np.exp(-0.5 * (np.log(sides[:, 0] / sides[:, 1] / ratio) / RATIO_DEVIATION) ** 2)
    weights = close + FLOOR
    many = close.mean() / (close.mean() + FEW)
    asked = iou(crops[:, None], at_ratio(people, ratio)).mean(axis=1)
    return np.asarray(many * (overlap @ weights) / weights.sum() + (1 - many) * asked)


def reshape_crops(crops_rel: FloatArray, subjects_rel: FloatArray, ratio_rel: float) -> FloatArray:
    """Change crops [P, 4] to one ratio, as a person asked for it would: [P, 4].

    They keep their area and centre as far as they fit, and contain the whole subject [P, 4] where
    that fits, else its centre. ratio_rel: width in photo widths by height in photo heights.
    """
    sides = subjects_rel[:, 2:] - subjects_rel[:, :2]
    areas = area(crops_rel)
    least = MIN_SIDES * np.maximum(sides[:, 0], sides[:, 1] * ratio_rel)
    width = np.minimum(np.maximum(np.sqrt(areas * ratio_rel), least), min(1.0, ratio_rel))
    size = np.stack([width, width / ratio_rel], axis=1)
    centre = (crops_rel[:, :2] + crops_rel[:, 2:]) / 2
    low, high = subjects_rel[:, 2:] - size / 2, subjects_rel[:, :2] + size / 2
    of_subject = (subjects_rel[:, :2] + subjects_rel[:, 2:]) / 2
    centre = np.where(low <= high, np.clip(centre, low, high), of_subject)
    centre = np.clip(centre, size / 2, 1 - size / 2)
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)
