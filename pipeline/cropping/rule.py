"""Apply the fitted rule of choice: a crop's expected agreement with people, less its penalties.

Agreement combines the expected overlap (IoU) with the crop that a person would make and the
expected share of people's fixations inside, which counts more the further a shape's ratio is from
the photo's own. Both are linear in `pipeline.cropping.features`, and their coefficients are linear
in that distance of ratios. The laboratory fits them on people's labels
(`pipeline/lab/cli/learn_from_people.py`); they are in `choice.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.ends import EndCuts, end_cuts
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.extents import Extents
from pipeline.cropping.features import (
    FEATURES,
    FREE_FEATURES,
    MEASURES,
    Preferred,
    feature_columns,
    largest_area,
)
from pipeline.cropping.penalties import (
    Cuts,
    head_cuts,
    object_cuts,
    text_cuts,
    thing_cuts,
    weighted_cuts,
    whole_head_cuts,
)
from pipeline.errors import UsageError, did_you_mean

NEAR = 2 / 3  # distance of ratios from which on cut objects have no penalty
# What a circle should not cut has to be in the concentric square with this share of its sides. Set
# by hand, out of fold: the rim cuts .112 of the heads of crowds at 1, .103 at .93 and .102 at .886,
# the square of the circle's area, where more gaze is lost (OSIE .8987, .8969, .8954 in the circle).
IN_CIRCLE = 0.93
FARTHEST = 1.0  # distance of ratios (difference of logarithms) from which on nothing changes


@dataclass(frozen=True, eq=False)
class Rule:
    """Coefficients and weights; see `choice.json` for where each comes from.

    overlap, gaze: [2, 9], at the photo's own ratio and what is added per unit of distance.
    free: [11], for the shape without a ratio.
    gaze_weight: of the share of fixations, the overlap's being 1: at the photo's own ratio, and
        what is added per squared unit of distance. People who crop at a near ratio keep more than
        what is looked at; at a far ratio there is no room for more.
    gaze_pull: penalty of the squared distance from the mean of gaze, per unit of distance. It
        breaks ties, since the mean moves least when a photo is encoded again.
    heads, whole_heads, objects, things, tops, sides, head_ends, sights, text: weights of the
        penalties. That of objects is 0 from the distance NEAR on, where it would cost more of
        what people look at than it saves. Those of ends (tops, sides, head_ends) apply only to
        shapes with a ratio.
    head_cut: see `head_cuts`.
    head_fade: share of the heads' weight that is lost per unit of distance: at a far ratio a crop
        that shows what people look at cannot hold all heads.
    """

    overlap: FloatArray
    gaze: FloatArray
    free: FloatArray
    gaze_weight: tuple[float, float]
    gaze_pull: float
    heads: float
    whole_heads: float
    head_cut: float
    head_fade: float
    objects: float
    things: float
    tops: float
    sides: float
    head_ends: float
    sights: float
    text: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Rule:
        """Read it. Raises KeyError for a missing name, UsageError for one more or a weight < 0."""
        parts = ("source", "overlap", "gaze", "free", "gaze_weight", "gaze_pull", "penalties")
        names = [field.name for field in fields(cls) if field.name not in parts]  # of penalties
        _check_names(values, parts, "the rule")
        for part in ("overlap", "gaze"):
            _check_names(values[part], ("near", "far"), part)
            for end in ("near", "far"):
                _check_names(values[part][end], FEATURES, f"{part}.{end}")
        _check_names(values["free"], FREE_FEATURES, "free")
        _check_names(values["penalties"], names, "penalties")
        near_far = {
            name: np.array([[values[name][part][f] for f in FEATURES] for part in ("near", "far")])
            for name in ("overlap", "gaze")
        }
        free = np.array([values["free"][feature] for feature in FREE_FEATURES])
        near, far = values["gaze_weight"]
        weights = {name: float(value) for name, value in values["penalties"].items()}
        pull = float(values["gaze_pull"])
        nonnegative = {"gaze_weight": min(float(near), float(far)), "gaze_pull": pull, **weights}
        if below := [name for name, value in nonnegative.items() if value < 0]:
            raise UsageError(f"{below[0]} is below 0: weights have to be at least 0")
        return cls(near_far["overlap"], near_far["gaze"], free, (near, far), pull, **weights)


def _check_names(values: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raise UsageError if one of the names in a part of the rule is unknown."""
    if unknown := [name for name in values if name not in known]:
        raise UsageError(f"{where} has no {unknown[0]}{did_you_mean(unknown[0], known)}")


@lru_cache(maxsize=1)
def packaged_rule() -> Rule:
    """Load the packaged rule."""
    data = files("pipeline.cropping").joinpath("choice.json").read_text()
    return Rule.from_json(json.loads(data))


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of the value of a shape's crops; for several shapes, one row per shape.

    preferred: the candidates that the network prefers.
    coefficients: [..., 12], as in MEASURES. largest: see `largest_area`, [..., 1].
    seen: share of a crop's sides that must hold what should not be cut: see IN_CIRCLE, [..., 1].
    """

    preferred: Preferred
    cuts: Cuts
    ends: EndCuts
    coefficients: FloatArray
    largest: FloatArray
    seen: FloatArray

    @classmethod
    def of(cls, rule: Rule, evidence: Evidence, preferred: Preferred, ratio: float | None) -> Terms:
        """Build the terms of one shape that is not a circle; `ratio` as for `CropValue`."""
        return cls(
            preferred,
            _cuts_of(rule, evidence, ratio),
            end_cuts(evidence, ratio, rule.tops, rule.sides, rule.head_ends),
            _coefficients_of(rule, ratio),
            np.array([largest_area(ratio)]),
            np.ones(1),
        )

    def features(
        self,
        evidence: Evidence,
        boxes: FloatArray,
        extents: Extents,
        overlap: FloatArray | None = None,
    ) -> FloatArray:
        """Measure boxes [..., N, 4] with these extents, N of each shape: [12, ..., N].

        overlap: with the preferred crops, if known.
        """
        if overlap is None:
            overlap = self.preferred.overlap(boxes, extents)
        return feature_columns(boxes, extents, evidence, overlap, self.largest)

    def agreement(self, features: FloatArray) -> FloatArray:
        """Compute the expected agreement with people [..., N] from boxes' features. No unit."""
        weights = np.moveaxis(self.coefficients, -1, 0)[..., None]  # [12, ..., 1]
        return np.asarray((weights * features).sum(axis=0))

    def penalty(self, extents: Extents) -> FloatArray:
        """Compute the penalty of boxes with these extents, [..., N], in the unit of agreement."""
        if (self.seen != 1).any():
            extents = extents.about_centres(self.seen)
        return self.cuts.of_extents(extents) + self.ends.of_extents(extents)


@dataclass(frozen=True, eq=False)
class CropValue:
    """The value of crops of one shape of one photo, which the rule maximises.

    ratio: width / height of the crops as shares of the photo's sides; None for any.
    """

    evidence: Evidence
    terms: Terms
    ratio: float | None

    @classmethod
    def of(
        cls, rule: Rule, evidence: Evidence, preferred: Preferred, ratio: float | None
    ) -> CropValue:
        """Build it. preferred: the candidates that the network prefers. Circles: `in_circle`."""
        return cls(evidence, Terms.of(rule, evidence, preferred, ratio), ratio)

    def __call__(self, boxes: FloatArray) -> FloatArray:
        """Compute the agreement of boxes [N, 4], shares of the sides, less penalties: [N]."""
        extents = Extents.of(boxes)
        features = self.terms.features(self.evidence, boxes, extents)
        return self.terms.agreement(features) - self.terms.penalty(extents)

    def in_circle(self) -> CropValue:
        """Return the value for the same shape shown as a circle."""
        return replace(self, terms=replace(self.terms, seen=np.array([IN_CIRCLE])))

    @property
    def largest_width(self) -> float:
        """Width of the largest crop, as a share of the photo's."""
        return 1.0 if self.ratio is None else min(1.0, self.ratio)


def _cuts_of(rule: Rule, evidence: Evidence, ratio: float | None) -> Cuts:
    """Combine all cuts except those of ends, so that one call handles all boxes."""
    distance = 0.0 if ratio is None else distance_of(ratio)
    heads = rule.heads * (1 - rule.head_fade * distance)
    objects = rule.objects * max(0.0, 1 - distance / NEAR)
    return weighted_cuts(
        [
            (heads, head_cuts(evidence, rule.head_cut)),
            (rule.whole_heads, whole_head_cuts(evidence, ratio)),
            (objects, object_cuts(evidence, ratio)),
            (rule.things, thing_cuts(evidence, ratio)),
            (rule.text, text_cuts(evidence)),
        ]
    )


def _coefficients_of(rule: Rule, ratio: float | None) -> FloatArray:
    """Return the coefficients of a shape's measures, [12] as in MEASURES."""
    if ratio is None:
        return np.append(rule.free, -rule.sights)
    distance = distance_of(ratio)
    weight = rule.gaze_weight[0] + rule.gaze_weight[1] * distance**2
    overlap = rule.overlap[0] + rule.overlap[1] * distance
    gaze = rule.gaze[0] + rule.gaze[1] * distance
    agreement = (overlap + weight * gaze) / (1 + weight)
    agreement[FEATURES.index("off_gaze")] -= rule.gaze_pull * distance
    return np.concatenate([agreement, np.zeros(len(MEASURES) - len(FEATURES) - 1), [-rule.sights]])


def distance_of(ratio: float) -> float:
    """Return a ratio's (as shares of the sides) distance from the photo's own, 0..FARTHEST."""
    return min(abs(float(np.log(ratio))), FARTHEST)
