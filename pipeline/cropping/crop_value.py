"""Compute the value of a crop: its expected agreement with people, less its penalties."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.ends import EndCuts, end_cuts
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.extents import Extents
from pipeline.cropping.features import (
    FEATURES,
    FREE_FEATURES,
    Preferred,
    feature_columns,
)
from pipeline.cropping.penalties import (
    Cuts,
    animal_head_cuts,
    face_cuts,
    head_cuts,
    largest_sides,
    main_object_cuts,
    object_cuts,
    text_cuts,
    thing_cuts,
    weighted_cuts,
    whole_head_cuts,
)
from pipeline.cropping.rule import (
    PenaltyWeights,
    Rule,
    distance_of,
    nearness,
    within_reach,
)

# What a circle should not cut has to be in the concentric square with this share of its sides. Set
# by hand, out of fold: the rim cuts .112 of the heads of crowds at 1, .103 at .93 and .102 at .886,
# the square of the circle's area, where more gaze is lost (OSIE .8987, .8969, .8954 in the circle).
IN_CIRCLE = 0.93


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of the value of a shape's crops; for several shapes, one row per shape.

    preferred: the candidates that the network prefers.
    coefficients: [..., 13], as in MEASURES.
    ratio: width / height as shares of the photo's sides; 1 for any. [..., 1]
    inner_share: share of a crop's sides that must hold what should not be cut: 1, or IN_CIRCLE for
        circles. [..., 1]
    """

    preferred: Preferred
    cuts: Cuts
    ends: EndCuts
    coefficients: FloatArray
    ratio: FloatArray
    inner_share: FloatArray

    @classmethod
    def of(cls, rule: Rule, evidence: Evidence, preferred: Preferred, ratio: float | None) -> Terms:
        """Build the terms of one shape that is not a circle; `ratio` as for `CropValue`."""
        weights = rule.penalties
        return cls(
            preferred,
            _cuts_of(weights, evidence, ratio),
            end_cuts(evidence, ratio, *weights.of_ends),
            _coefficients_of(rule, evidence, weights.sights, ratio),
            np.array([1.0 if ratio is None else ratio]),
            np.ones(1),
        )

    def features(
        self,
        evidence: Evidence,
        boxes: FloatArray,
        extents: Extents,
        overlap: FloatArray | None = None,
    ) -> FloatArray:
        """Measure boxes [..., N, 4] with these extents, N of each shape: [13, ..., N].

        overlap: with the preferred crops, if known.
        """
        if overlap is None:
            overlap = self.preferred.overlap(boxes, extents)
        return feature_columns(boxes, extents, evidence, overlap, self.ratio)

    def agreement(self, features: FloatArray) -> FloatArray:
        """Compute the expected agreement with people [..., N] from boxes' features. No unit."""
        weights = np.moveaxis(self.coefficients, -1, 0)[..., None]  # [13, ..., 1]
        return np.asarray((weights * features).sum(axis=0))

    def penalty(self, extents: Extents) -> FloatArray:
        """Compute the penalty of boxes with these extents, [..., N], in the unit of agreement."""
        if (self.inner_share != 1).any():
            extents = extents.about_centres(self.inner_share)
        return self.cuts.of_extents(extents) + self.ends.of_extents(extents)


@dataclass(frozen=True, eq=False)
class CropValue:
    """The value of crops of one shape of one photo, which the rule maximises.

    ratio: width / height of the crops as shares of the photo's sides; None for any.
    main_objects: weight of the penalty for main objects that are cut, which only circles have.
    """

    evidence: Evidence
    terms: Terms
    ratio: float | None
    main_objects: float

    @classmethod
    def of(
        cls, rule: Rule, evidence: Evidence, preferred: Preferred, ratio: float | None
    ) -> CropValue:
        """Build it. preferred: the candidates that the network prefers. Circles: `in_circle`."""
        terms = Terms.of(rule, evidence, preferred, ratio)
        return cls(evidence, terms, ratio, rule.penalties.main_objects)

    def framing(self, rule: Rule) -> CropValue:
        """Return the value that compares crops at one place; for `free` this one.

        The edges of a free crop are part of the choice of its place. rule: that of this value.
        """
        if self.ratio is None:
            return self
        weights = rule.framing
        cuts = _cuts_of(weights, self.evidence, self.ratio)
        ends = self.terms.ends
        if weights.of_ends != rule.penalties.of_ends:
            ends = end_cuts(self.evidence, self.ratio, *weights.of_ends)
        coefficients = _coefficients_of(rule, self.evidence, weights.sights, self.ratio)
        terms = replace(self.terms, cuts=cuts, ends=ends, coefficients=coefficients)
        return replace(self, terms=terms, main_objects=weights.main_objects)

    def __call__(self, boxes: FloatArray) -> FloatArray:
        """Compute the agreement of boxes [N, 4], shares of the sides, less penalties: [N]."""
        extents = Extents.of(boxes)
        features = self.terms.features(self.evidence, boxes, extents)
        return self.terms.agreement(features) - self.terms.penalty(extents)

    def in_circle(self) -> CropValue:
        """Return the value for the same shape shown as a circle."""
        cuts = self.terms.cuts
        if self.main_objects:
            main = main_object_cuts(self.evidence, self.ratio)
            cuts = weighted_cuts([(1.0, cuts), (self.main_objects, main)])
        terms = replace(self.terms, cuts=cuts, inner_share=np.array([IN_CIRCLE]))
        return replace(self, terms=terms)

    @property
    def largest_width(self) -> float:
        """Width of the largest crop, as a share of the photo's."""
        return float(largest_sides(self.ratio)[0])


def _cuts_of(weights: PenaltyWeights, evidence: Evidence, ratio: float | None) -> Cuts:
    """Combine all cuts except those of ends, so that one call handles all boxes."""
    distance = 0.0 if ratio is None else distance_of(ratio)
    heads = weights.heads * (1 - weights.head_fade * distance)
    if _is_wide(ratio):
        heads += weights.wide_heads * within_reach(distance)
    objects = weights.objects * nearness(distance)
    return weighted_cuts(
        [
            (heads, head_cuts(evidence, weights.head_cut)),
            (weights.whole_heads, whole_head_cuts(evidence, weights.head_cut, ratio)),
            (weights.whole_heads, face_cuts(evidence, weights.head_cut, ratio)),
            (weights.animals, animal_head_cuts(evidence, weights.head_cut, ratio)),
            (objects, object_cuts(evidence, ratio)),
            (weights.things, thing_cuts(evidence, ratio)),
            (weights.text, text_cuts(evidence)),
        ]
    )


def _is_wide(ratio: float | None) -> bool:
    """Tell whether a shape is wider than the photo, so that its crops move up and down."""
    return ratio is not None and ratio > 1


def _coefficients_of(
    rule: Rule, evidence: Evidence, sights: float, ratio: float | None
) -> FloatArray:
    """Return the coefficients of a shape's measures, [13] as in MEASURES.

    At shapes that are not wide, placement counts the less the surer the surest head of a person is.
    sights: weight of their penalty.
    """
    if ratio is None:
        return np.append(rule.free, [0.0, -sights])
    distance = distance_of(ratio)
    weight = rule.gaze_weight[0] + rule.gaze_weight[1] * distance**2
    overlap = rule.overlap[0] + rule.overlap[1] * distance
    gaze = rule.gaze[0] + rule.gaze[1] * distance
    agreement = (overlap + weight * gaze) / (1 + weight)
    agreement[FEATURES.index("off_gaze")] -= rule.gaze_pull * distance
    agreement = np.append(agreement, np.zeros(len(FREE_FEATURES) - len(FEATURES)))
    placement = rule.placement_weight(distance)
    if not _is_wide(ratio):
        placement *= evidence.headless
    return np.append(agreement, [placement, -sights])
