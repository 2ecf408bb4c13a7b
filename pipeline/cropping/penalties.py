"""Penalties for crops that cut heads, objects or text, or whose circle hides objects.

All boxes are shares of the photo's sides. A penalty has no unit and is 0 for a crop that cuts
nothing; the rule weighs it (`pipeline.cropping.rule`).
"""

from __future__ import annotations

import numpy as np

from pipeline.boxes import FloatArray, shared_lengths
from pipeline.cropping.evidence import Evidence
from pipeline.detectors.attention import ramp

# An object counts fully that is this much smaller than the largest crop of the shape, and not at
# all where it is as much larger: in between smoothly, or a copy's box would count that its photo's
# does not.
FITS = (0.9, 1.1)
TINY = 1e-9  # share of the photo: least area of a box that is divided by


def head_penalty(boxes: FloatArray, evidence: Evidence, cut: float) -> FloatArray:
    """How many heads boxes [N, 4] leave out or cut: [N]. Half a head counts 0.5 + `cut`."""
    heads = evidence.head_votes
    inside = shares_of(boxes, heads.boxes_rel)
    missing = 1 - inside
    inside *= 4 * cut
    inside += 1
    inside *= missing
    return np.asarray(inside @ heads.counts)


def body_penalty(boxes: FloatArray, evidence: Evidence) -> FloatArray:
    """Penalty for people and things cut: 1 for half of the only, certain one: [N]."""
    return _cut(boxes, evidence.body_votes.boxes_rel, evidence.body_votes.counts)


def object_penalty(boxes: FloatArray, evidence: Evidence, ratio: float | None) -> FloatArray:
    """Penalty for cut people, things and regions that a crop of the shape can hold: [N].

    1 for half of the only, certain one. Regions are what the photo is about where no class names
    it: a tower, a pair of pinwheels. ratio: of boxes [N, 4], as shares; None for any.
    """
    sides = evidence.objects[:, 2:] - evidence.objects[:, :2]
    largest = np.ones(2) if ratio is None else np.array([min(1, ratio), min(1, 1 / ratio)])
    fits = ramp(np.asarray((largest / np.maximum(sides, TINY)).min(axis=1)), *FITS)
    return _cut(boxes, evidence.objects, evidence.object_weights * fits)


def text_penalty(boxes: FloatArray, evidence: Evidence) -> FloatArray:
    """Penalty for text cut: 1 for half of the only block; 0 where whole or left out: [N]."""
    return _cut(boxes, evidence.text, evidence.text_weights)


def circle_penalty(boxes: FloatArray, evidence: Evidence) -> FloatArray:
    """Share of heads and objects that a square shows and its inscribed circle hides: [N].

    Each counts as a 6 × 6 lattice of points. boxes: squares in pixels, so ellipses here.
    """
    others = np.concatenate([evidence.heads, evidence.objects])
    weights = np.concatenate([evidence.head_weights, evidence.object_weights])
    if not weights.sum() > 0:
        return np.zeros(len(boxes))
    steps = (np.arange(6) + 0.5) / 6
    places = others[:, None, :2] + steps[:, None] * (others[:, None, 2:] - others[:, None, :2])
    centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    # Squared offsets of the lattice's columns and rows from a square's centre: inside it up to 1.
    offsets = ((places - centres[:, None, None]) / halves[:, None, None]) ** 2  # [N, D, 6, 2]
    offsets[offsets > 1] = -np.inf  # outside the square
    x, y = np.ascontiguousarray(offsets[..., 0]), np.ascontiguousarray(offsets[..., 1])
    hidden = x[:, :, None, :] + y[:, :, :, None] > 1  # [N, D, 6, 6]
    shares = np.count_nonzero(hidden.reshape(len(boxes), len(others), 36), axis=2) / 36
    return np.asarray(shares @ (weights / max(weights.sum(), 1.0)))


def shares_of(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Share of the area of each of others [M, 4] inside each of boxes [N, 4]: [N, M]."""
    x0, y0, x1, y1 = others.T
    shares = shared_lengths(boxes[:, 0], boxes[:, 2], x0, x1)
    shares *= shared_lengths(boxes[:, 1], boxes[:, 3], y0, y1)
    shares /= np.maximum((x1 - x0) * (y1 - y0), TINY)
    return shares


def _cut(boxes: FloatArray, others: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over others [M, 4] of 4 · share inside · share outside each of boxes [N, 4]: [N].

    Weighted by weights [M]. Where they sum to less than 1, the rest counts as not cut.
    """
    if not weights.sum() > 0:
        return np.zeros(len(boxes))
    inside = shares_of(boxes, others)
    missing = 1 - inside
    inside *= 4
    inside *= missing
    return np.asarray(inside @ (weights / max(float(weights.sum()), 1.0)))
