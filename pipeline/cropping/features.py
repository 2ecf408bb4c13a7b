"""Measure candidate crops: the inputs of the fitted rule (`pipeline.cropping.rule`).

Boxes are shares of the photo's sides. All measures change smoothly with a crop's edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray, area
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.extents import Extents

FEATURES = (
    "size",  # a side, as a share of the largest crop's of this ratio
    "size_squared",
    "off_centre_x",  # squared distance of the crop's centre from the photo's
    "off_centre_y",
    "off_gaze",  # squared distance of the crop's centre from the mean of gaze
    "gaze_inside",  # share of the gaze map inside
    "gaze_overlap",  # IoU with what people look at, as a soft region
    "kept_overlap",  # IoU with what people keep, as a soft region
    "network_overlap",  # expected IoU with the crops that the crop network prefers
)
FREE_FEATURES = (*FEATURES, "ratio", "ratio_squared")  # |ln|, ln² of width / height, as shares
MEASURES = (  # the last two have weights set by hand
    *FREE_FEATURES,
    "placement",  # how good the place is that the detector predicts
    # Sum over sights: 4 · share inside · share outside, 1 for half of the only sight. A crop in the
    # gap between two sights shows half of each, and as much gaze as one that shows one of them.
    "sights_split",
)
# A person takes a candidate with a probability of softmax(score / TEMPERATURE), scores in standard
# deviations of the list; .2 to .4 give the same overlap within .004. Candidates that are less than
# UNLIKELY times as likely as the most likely one are left out.
TEMPERATURE, UNLIKELY = 0.3, 0.01
FLAT = 0.05  # added to a list's deviation, which on a uniform photo is only rounding


@dataclass(frozen=True, eq=False)
class Preferred:
    """The crops [P, 4] that the crop network prefers, and how likely each is [P].

    Both may have the same leading dimensions: one row per shape.
    places: indices of these crops in the list of candidates, if they come from one. [P]
    """

    boxes: FloatArray
    probabilities: FloatArray
    places: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, boxes: FloatArray, scores: FloatArray) -> Preferred:
        """Select from a shape's boxes [N, 4]; scores [N] in standard deviations of all lists."""
        below_best = (scores - scores.max()) / (scores.std() + FLAT)
        likely = np.exp(below_best / TEMPERATURE)
        kept = np.flatnonzero(likely > UNLIKELY)
        return cls(boxes[kept], likely[kept] / likely[kept].sum(), kept)

    def overlap(self, boxes: FloatArray, extents: Extents) -> FloatArray:
        """Compute the expected IoU of boxes [..., N, 4], area > 0, with the preferred: [..., N].

        extents: of the boxes.
        """
        wide, high = extents.shared_with(self.boxes)
        shared = wide.take(extents.columns, axis=-2)
        shared *= high.take(extents.rows, axis=-2)
        together = area(boxes)[..., None] + self._own_areas[..., None, :]
        together -= shared
        shared /= together
        return np.asarray((shared @ self.probabilities[..., None])[..., 0])

    @cached_property
    def _own_areas(self) -> FloatArray:
        return area(self.boxes)


def features_of(
    boxes: FloatArray,
    evidence: Evidence,
    preferred: Preferred,
    ratio: float | None,
) -> FloatArray:
    """Compute the features of boxes [N, 4]: [N, 9] as in FEATURES.

    ratio: width / height of the crops, both as shares of the photo's sides. None for any: the
        features are [N, 11] as in FREE_FEATURES.
    """
    extents = Extents.of(boxes)
    overlap = preferred.overlap(boxes, extents)
    columns = feature_columns(boxes, extents, evidence, overlap, 1.0 if ratio is None else ratio)
    return columns[: len(FEATURES if ratio is not None else FREE_FEATURES)].T


def feature_columns(
    boxes: FloatArray,
    extents: Extents,
    evidence: Evidence,
    overlap: FloatArray,
    ratio: float | FloatArray,
) -> FloatArray:
    """Measure boxes [..., N, 4], perhaps of several shapes: [13, ..., N] as in MEASURES.

    extents: of the boxes. overlap: `Preferred.overlap` of them, [..., N]. ratio: width / height of
    each shape as shares of the photo's sides, 1 for any. [..., 1]
    """
    x0, y0, x1, y1 = (boxes[..., edge] for edge in range(4))
    wide, high = x1 - x0, y1 - y0
    own = wide * high
    size = np.sqrt(own / np.minimum(ratio, 1 / np.asarray(ratio)))
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    gaze_x, gaze_y = evidence.gaze_mean
    gaze, kept, out, *sights = evidence.maps.of_extents(extents)
    _, all_kept, all_out, *_ = evidence.maps.totals
    logarithm = np.log(wide / high)
    return np.array(
        [
            size,
            size**2,
            (x - 0.5) ** 2,
            (y - 0.5) ** 2,
            (x - gaze_x) ** 2 + (y - gaze_y) ** 2,
            gaze,
            out / (own + all_out - out),
            kept / (own + all_kept - kept),
            overlap,
            np.abs(logarithm),
            logarithm**2,
            np.zeros_like(gaze) if evidence.placement is None else evidence.placement(boxes, ratio),
            _split(sights, evidence.sight_weights, gaze),
        ]
    )


def _split(inside: Sequence[FloatArray], weights: FloatArray, like: FloatArray) -> FloatArray:
    """Sum 4 · weight · inside · outside over K sights; the result has the shape of `like`."""
    split = np.zeros_like(like)
    for share, weight in zip(inside, weights, strict=True):
        split += 4 * weight * share * (1 - share)
    return split
