"""The fitted rule of choice: a crop's expected agreement with people, less its penalties.

Agreement is the expected overlap (IoU) with the crop that a person would make and, the more the
further a shape's ratio is from the photo's own, the expected share of people's fixations inside.
Both are linear in `pipeline.cropping.features`, and their coefficients are linear in that distance
of ratios. They are in `choice.json`, fitted on people's labels by the laboratory
(`pipeline/lab/cli/learn_from_people.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.extents import Extents
from pipeline.cropping.features import FEATURES, FREE_FEATURES, Preferred, features_of
from pipeline.cropping.penalties import (
    Cuts,
    body_cuts,
    circle_penalty,
    head_cuts,
    object_cuts,
    text_cuts,
    thing_cuts,
    weighted_cuts,
)

NEAR = 2 / 3  # distance of ratios from which on the penalty of cut objects is gone
FARTHEST = 1.0  # distance of ratios (difference of logarithms) from which on nothing changes


@dataclass(frozen=True, eq=False)
class Rule:
    """Coefficients and weights; see `choice.json` for where each comes from.

    overlap, gaze: [2, 9], at the photo's own ratio and what is added per unit of distance.
    free: [11], for the shape without a ratio.
    gaze_weight: of the share of fixations, the overlap's being 1: at the photo's own ratio, and
        what is added per squared unit of distance. People who crop at a near ratio keep more than
        what is looked at; at a far ratio, that is all there is room for.
    gaze_pull: penalty of the squared distance from the mean of gaze, per unit of distance. It
        breaks ties, since the mean moves least when a photo is encoded anew.
    heads, bodies, objects, things, text, circle: weights of the penalties. That of objects is gone
        from the distance NEAR on, where it would cost more of what people look at than it saves.
    thing_fade: share of the weight of things that is gone per unit of distance: what is lost by it
        grows with the distance, since a narrow crop has less room to move.
    head_cut: see `head_cuts`.
    head_fade: share of the heads' weight that is gone per unit of distance: at a far ratio a crop
        that shows what people look at cannot hold all heads.
    """

    overlap: FloatArray
    gaze: FloatArray
    free: FloatArray
    gaze_weight: tuple[float, float]
    gaze_pull: float
    heads: float
    head_cut: float
    head_fade: float
    bodies: float
    objects: float
    things: float
    thing_fade: float
    text: float
    circle: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Rule:
        """Raises KeyError where a feature or weight is missing."""
        near_far = {
            name: np.array([[values[name][part][f] for f in FEATURES] for part in ("near", "far")])
            for name in ("overlap", "gaze")
        }
        free = np.array([values["free"][feature] for feature in FREE_FEATURES])
        near, far = values["gaze_weight"]
        weights = {name: float(value) for name, value in values["penalties"].items()}
        pull = float(values["gaze_pull"])
        return cls(near_far["overlap"], near_far["gaze"], free, (near, far), pull, **weights)


@lru_cache(maxsize=1)
def packaged_rule() -> Rule:
    """The rule in the package."""
    data = files("pipeline.cropping").joinpath("choice.json").read_text()
    return Rule.from_json(json.loads(data))


@dataclass(frozen=True, eq=False)
class CropValue:
    """The value of crops of one shape of one photo: what the rule makes as large as it can.

    preferred: the candidates that the network prefers.
    ratio: width / height of the crops as shares of the photo's sides; None for any.
    """

    rule: Rule
    evidence: Evidence
    preferred: Preferred
    ratio: float | None
    is_circle: bool = False

    def __call__(self, boxes: FloatArray) -> FloatArray:
        """Expected agreement of boxes [N, 4], shares of the sides, less penalties. No unit: [N]."""
        extents = Extents.of(boxes)
        features = features_of(boxes, self.evidence, self.preferred, self.ratio, extents)
        penalty = self._cuts.of_extents(extents)
        if self.is_circle:
            penalty += self.rule.circle * circle_penalty(boxes, self.evidence)
        return np.asarray(features @ self._coefficients - penalty)

    @cached_property
    def _cuts(self) -> Cuts:
        """All penalties but the circle's: one pass over all boxes, since calls are what costs."""
        rule, evidence = self.rule, self.evidence
        distance = 0.0 if self.ratio is None else distance_of(self.ratio)
        heads = rule.heads * (1 - rule.head_fade * distance)
        objects = rule.objects * max(0.0, 1 - distance / NEAR)
        things = rule.things * (1 - rule.thing_fade * distance)
        return weighted_cuts(
            [
                (heads, head_cuts(evidence, rule.head_cut)),
                (rule.bodies, body_cuts(evidence)),
                (objects, object_cuts(evidence, self.ratio)),
                (things, thing_cuts(evidence, self.ratio)),
                (rule.text, text_cuts(evidence)),
            ]
        )

    @cached_property
    def _coefficients(self) -> FloatArray:
        if self.ratio is None:
            return self.rule.free
        rule, distance = self.rule, distance_of(self.ratio)
        weight = rule.gaze_weight[0] + rule.gaze_weight[1] * distance**2
        overlap = rule.overlap[0] + rule.overlap[1] * distance
        gaze = rule.gaze[0] + rule.gaze[1] * distance
        agreement = (overlap + weight * gaze) / (1 + weight)
        agreement[FEATURES.index("off_gaze")] -= rule.gaze_pull * distance
        return np.asarray(agreement)


def distance_of(ratio: float) -> float:
    """How far a ratio (as shares of the photo's sides) is from the photo's own, 0..FARTHEST."""
    return min(abs(float(np.log(ratio))), FARTHEST)
