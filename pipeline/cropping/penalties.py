"""Penalties for crops that cut heads, objects or text, or whose circle hides objects.

All boxes are shares of the photo's sides. A penalty has no unit and is 0 for a crop that cuts
nothing; the rule weighs it (`pipeline.cropping.rule`).
"""

from __future__ import annotations

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.evidence import Evidence

TINY = 1e-9  # share of the photo: least area of a box that is divided by


def head_penalty(boxes: FloatArray, evidence: Evidence, cut: float, crowd: float) -> FloatArray:
    """Penalty for heads left out or cut: 1 for the only, certain head of a photo left out: [N].

    A head left out counts 1, half a head 0.5 + `cut`. The sum is divided by the number of heads to
    the power of `crowd`: at 1 a crowd counts as much as one head.
    """
    return _penalty(boxes, evidence.heads, evidence.head_weights, cut, 1.0, crowd)


def object_penalty(boxes: FloatArray, evidence: Evidence) -> FloatArray:
    """Penalty for people, things and regions cut: 1 for half of the only, certain one: [N]."""
    return _penalty(boxes, evidence.objects, evidence.object_weights, 1.0, 0.0, 1.0)


def text_penalty(boxes: FloatArray, evidence: Evidence) -> FloatArray:
    """Penalty for text cut: 1 for half of the only block; 0 where whole or left out: [N]."""
    return _penalty(boxes, evidence.text, evidence.text_weights, 1.0, 0.0, 1.0)


def circle_penalty(boxes: FloatArray, evidence: Evidence) -> FloatArray:
    """Share of heads and objects that a square shows and its inscribed circle hides: [N].

    Each counts as a 6 × 6 lattice of points. boxes: squares in pixels, so ellipses here.
    """
    others = np.concatenate([evidence.heads, evidence.objects])
    weights = np.concatenate([evidence.head_weights, evidence.object_weights])
    if not weights.sum() > 0:
        return np.zeros(len(boxes))
    steps = (np.arange(6) + 0.5) / 6
    lattice = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(1, 36, 2)
    points = others[:, None, :2] + lattice * (others[:, None, 2:] - others[:, None, :2])
    centre = (boxes[:, :2] + boxes[:, 2:])[:, None, None] / 2
    half = (boxes[:, 2:] - boxes[:, :2])[:, None, None] / 2
    offset = (points[None] - centre) / half  # [N, D, 36, 2]; inside the square within ±1
    hidden = (np.abs(offset).max(axis=-1) <= 1) & ((offset**2).sum(axis=-1) > 1)
    return np.asarray(hidden.mean(axis=2) @ (weights / max(weights.sum(), 1.0)))


def shares_of(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Share of the area of each of others [M, 4] inside each of boxes [N, 4]: [N, M]."""
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    sides = np.clip(high - np.maximum(boxes[:, None, :2], others[:, :2]), 0, None)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(sides[..., 0] * sides[..., 1] / np.maximum(areas, TINY))


def _penalty(
    boxes: FloatArray,
    others: FloatArray,
    weights: FloatArray,
    cut: float,
    lost: float,
    power: float,
) -> FloatArray:
    """Penalty of boxes [N, 4] for what they do to others [M, 4] of weights [M]: [N].

    cut: of half a box inside, beside the half that is lost; lost: of a box left out; power: of the
    number of others, by which the sum is divided.
    """
    if not weights.sum() > 0:
        return np.zeros(len(boxes))
    inside = shares_of(boxes, others)
    penalty = (lost + 4 * cut * inside) * (1 - inside)
    return np.asarray(penalty @ weights / max(float(weights.sum()), 1.0) ** power)
