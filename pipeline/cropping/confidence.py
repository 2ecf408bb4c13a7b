"""Compute the confidence of crops: the calibrated probability that a person would accept each.

The model is a logistic regression on a few features of the final crop that are known when it is
chosen. The laboratory fits and tests it on people's crops and fixations
(`pipeline/lab/people/confidence_fit.py`); docs/CONFIDENCE.md and
`pipeline/lab/evaluation/acceptance.py` define "accept". Its coefficients are in `confidence.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from pipeline.boxes import FloatArray, area
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.extents import Extents
from pipeline.cropping.rule import distance_of
from pipeline.cropping.visible import visible_shares
from pipeline.settings.safe_areas import SafeArea

TERMS = (
    "gaze_outside",  # logarithm of the share of the gaze map outside, + GAZE_FLOOR
    "gaze_lost",  # share of the gaze map that the shape could hold and this crop does not
    "kept_overlap",  # IoU with what people keep, as a soft region
    "heads",  # logarithm of 1 + the number of heads, weighted by their likelihood
    "heads_cut",  # logarithm of 1 + 3 times the heads cut, with the same weights
    "heads_beside",  # `heads` where the shape is narrower than the photo, else 0
    "distance",  # of the shape's ratio from the photo's own, see `distance_of`
    "lead",  # in choice, over the best candidate that is clearly different
    "gaze_spread",  # gaze clipped to the value of a uniform map; 1: people look everywhere
)
GAZE_FLOOR = 0.02  # so that a crop of the whole photo has a finite logarithm
# The lead is clipped to these bounds.
LEAD = (-0.1, 0.15)


@dataclass(frozen=True)
class ConfidenceFeatures:
    """The features of a crop and its photo that its confidence depends on. All shares are 0..1.

    gaze_inside: share of the gaze map inside the crop.
    gaze_possible: the largest share inside any candidate of the shape.
    kept_overlap: IoU of the crop with what people keep, as a soft region.
    heads: sum of the heads' weights (`Evidence.head_weights`).
    heads_cut: sum of their weights times 4i(1 - i), i being the share shown: 1 for half a head.
    ratio: of the crop, width / height as shares of the photo's sides; None for the free shape.
    lead: the crop's choice minus that of the shape's best candidate that is clearly different from
        it; negative if a better one was passed over, inf if no candidate is different.
    gaze_spread: sum of the gaze map clipped to the value of a uniform map, 0..1.
    """

    gaze_inside: float
    gaze_possible: float
    kept_overlap: float
    heads: float
    heads_cut: float
    ratio: float | None
    lead: float
    gaze_spread: float

    def terms(self) -> FloatArray:
        """Compute the terms of the regression, as in TERMS: [9]."""
        heads, cut = np.log1p(self.heads), np.log1p(3 * self.heads_cut)
        lost = 1 - min(self.gaze_inside / max(self.gaze_possible, GAZE_FLOOR), 1.0)
        return np.array(
            [
                np.log(GAZE_FLOOR + 1 - min(self.gaze_inside, 1.0)),
                lost,
                self.kept_overlap,
                heads,
                cut,
                heads if self.ratio is not None and self.ratio < 1 else 0.0,
                0.0 if self.ratio is None else distance_of(self.ratio),
                float(np.clip(self.lead, *LEAD)),
                self.gaze_spread,
            ]
        )


@dataclass(frozen=True, eq=False)
class ConfidenceModel:
    """The logistic regression: `weights` [9] as in TERMS, and a bias."""

    weights: FloatArray
    bias: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ConfidenceModel:
        """Read the model. Raises KeyError if a term is missing."""
        return cls(np.array([values["weights"][term] for term in TERMS]), float(values["bias"]))

    def __call__(self, features: ConfidenceFeatures) -> float:
        """Return the probability, 0..1, that a person would accept the crop."""
        return float(self.of_terms(features.terms()))

    def of_terms(self, terms: FloatArray) -> FloatArray:
        """Return the probabilities [N] for terms [N, 9]."""
        return np.asarray(1 / (1 + np.exp(-(terms @ self.weights + self.bias))))


@lru_cache(maxsize=1)
def packaged_confidence() -> ConfidenceModel:
    """Load the packaged model."""
    data = files("pipeline.cropping").joinpath("confidence.json").read_text()
    return ConfidenceModel.from_json(json.loads(data))


def confidence_features(
    boxes: FloatArray,
    gaze_possible: float,
    evidence: Evidence,
    ratio: float | None,
    leads: FloatArray,
    is_circle: bool,
) -> list[ConfidenceFeatures]:
    """Measure crops [K, 4] of a shape, in shares of the sides.

    gaze_possible: see `ConfidenceFeatures`.
    ratio: width / height of the shape as shares of the photo's sides; None for the free shape.
    leads: see `ConfidenceFeatures`, inf if no candidate is clearly different. [K]
    is_circle: people see the crop's inscribed circle, whose rim cuts heads.
    """
    gaze, kept, *_ = evidence.maps.of_extents(Extents.ungrouped(boxes))
    _, all_kept, spread, *_ = evidence.maps.totals
    own = area(boxes)
    inside, _ = visible_shares(boxes, evidence.heads, SafeArea(is_circle))  # [K, H]
    cut = (4 * inside * (1 - inside)) @ evidence.head_weights
    return [
        ConfidenceFeatures(
            gaze_inside=float(gaze[place]),
            gaze_possible=gaze_possible,
            kept_overlap=float(kept[place] / (own[place] + all_kept - kept[place])),
            heads=float(evidence.head_weights.sum()),
            heads_cut=float(cut[place]),
            ratio=ratio,
            lead=float(leads[place]),
            gaze_spread=float(spread),
        )
        for place in range(len(boxes))
    ]
