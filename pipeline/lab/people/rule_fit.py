"""Fit the rule of choice on people's labels: ridge regression within lists of candidates.

Only differences between the crops of one list matter for a choice, so features and targets are
centred in each list. Every list counts the same. The ridge is on standardised features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.boxes import FloatArray, iou
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.features import FEATURES, FREE_FEATURES, Preferred, features_of
from pipeline.cropping.rule import distance_of

RIDGE = 0.01  # .001 to .05 give the same overlap within .0005
# People count in lists of ratios near their own: Gaussian weight of this width over ln(w / h).
NEAR_RATIO = 0.15


@dataclass(frozen=True, eq=False)
class LabelledList:
    """Candidates of one shape of one photo, with a target from people's labels for each.

    features: [N, F]; target: [N], overlap with people's crops or share of fixations inside;
    distance: of the shape's ratio from the photo's, see `distance_of`; None for the free shape.
    """

    features: FloatArray
    target: FloatArray
    distance: float | None

    @classmethod
    def of(
        cls,
        boxes: FloatArray,
        evidence: Evidence,
        preferred: Preferred,
        ratio: float | None,
        target: FloatArray,
    ) -> LabelledList:
        """Compute the features of boxes [N, 4]; boxes and ratio are shares of the photo's sides."""
        features = features_of(boxes, evidence, preferred, ratio)
        return cls(features, target, None if ratio is None else distance_of(ratio))


def overlap_target(boxes: FloatArray, crops: FloatArray, ratio: float | None) -> FloatArray:
    """Compute boxes' [N, 4] mean IoU [N] with people's crops [P, 4], weighted by nearness of ratio.

    ratio: the boxes' width / height as shares of the sides; None: all people count the same.
    """
    overlap = iou(boxes[:, None], crops)
    if ratio is None:
        return np.asarray(overlap.mean(axis=1))
    own = (crops[:, 2] - crops[:, 0]) / (crops[:, 3] - crops[:, 1])
    weights = np.exp(-0.5 * (np.log(own / ratio) / NEAR_RATIO) ** 2)
    return np.asarray(overlap @ (weights / weights.sum()))


def fit_linear(lists: Sequence[LabelledList], ridge: float = RIDGE) -> FloatArray:
    """Fit coefficients [2, F] (near, per unit of distance), or [F] for lists of the free shape.

    Raises ValueError where there is no list.
    """
    if not lists:
        raise ValueError("give at least one list to fit")
    products, moments = 0.0, 0.0
    for each in lists:
        x = _with_distance(each)
        x = x - x.mean(axis=0)
        y = each.target - each.target.mean()
        products, moments = products + x.T @ x / len(x), moments + x.T @ y / len(x)
    scale = np.sqrt(np.diag(np.asarray(products)) / len(lists)) + 1e-6
    matrix = products / np.outer(scale, scale) + ridge * len(lists) * np.eye(len(scale))
    fitted = np.linalg.solve(matrix, moments / scale) / scale
    return fitted if lists[0].distance is None else fitted.reshape(2, -1)


def as_rule_json(overlap: FloatArray, gaze: FloatArray, free: FloatArray) -> dict[str, object]:
    """Build the fitted part of `choice.json`, see `Rule.from_json`."""

    def named(row: FloatArray, names: Sequence[str]) -> dict[str, float]:
        return {name: round(float(value), 6) for name, value in zip(names, row, strict=True)}

    both = {
        name: {"near": named(values[0], FEATURES), "far": named(values[1], FEATURES)}
        for name, values in (("overlap", overlap), ("gaze", gaze))
    }
    return {**both, "free": named(free, FREE_FEATURES)}


def _with_distance(each: LabelledList) -> FloatArray:
    if each.distance is None:
        return each.features
    return np.concatenate([each.features, each.features * each.distance], axis=1)
