"""Compute the values of a shape's candidates, and of crops of several shapes in one pass.

Each move of a crop evaluates 27 neighbours, where the number of calls costs more than their
arithmetic: all shapes together take little longer than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pipeline.boxes import Boxes, FloatArray, iou
from pipeline.cropping.crop_value import CropValue, Terms
from pipeline.cropping.ends import EndCuts
from pipeline.cropping.extents import Extents
from pipeline.cropping.features import FEATURES, Preferred
from pipeline.cropping.penalties import Cuts

# Number of cached lists: 15 to 20 MB for eight sizes of photos with five ratios. For lists longer
# than LONGEST_WITH_OVERLAPS, that is for `free`, the matrix of overlaps is not worth its memory.
CACHED_LISTS, LONGEST_WITH_OVERLAPS = 40, 400


class CandidateList(NamedTuple):
    """What depends only on a list of candidates and the size of the photo."""

    boxes_rel: FloatArray  # [N, 4] shares of the photo's sides
    extents: Extents
    overlaps: FloatArray | None  # [N, N] the IoU of all with all; None for long lists

    @classmethod
    def of(cls, boxes: Boxes, size_wh: tuple[int, int]) -> CandidateList:
        """Return the cached list for boxes [N, 4], in pixels of a photo of that size."""
        return _candidate_list(boxes.tobytes(), size_wh)

    def overlap(self, preferred: Preferred) -> FloatArray:
        """Compute the expected IoU of each candidate with the preferred ones: [N]."""
        if self.overlaps is None or preferred.places is None:
            return preferred.overlap(self.boxes_rel, self.extents)
        probabilities = np.zeros(len(self.boxes_rel))
        probabilities[preferred.places] = preferred.probabilities
        return np.asarray(self.overlaps @ probabilities)


@lru_cache(maxsize=CACHED_LISTS)
def _candidate_list(boxes: bytes, size_wh: tuple[int, int]) -> CandidateList:
    """Compute a list. boxes: the bytes of float32."""
    in_pixels = np.frombuffer(boxes, np.float32).reshape(-1, 4)
    boxes_rel = in_pixels / np.array([*size_wh, *size_wh], np.float64)
    short = len(boxes_rel) <= LONGEST_WITH_OVERLAPS
    overlaps = iou(in_pixels[:, None], in_pixels) if short else None
    return CandidateList(boxes_rel, Extents.of(boxes_rel), overlaps)


class CandidateValues(NamedTuple):
    """The values of N candidates of one shape."""

    value_of: CropValue  # gives comparable values of other boxes
    agreement: FloatArray  # [N] before penalties
    values: FloatArray  # [N]

    @classmethod
    def of(cls, value_of: CropValue, features: FloatArray, extents: Extents) -> CandidateValues:
        """Value candidates with these features, [13, N], and extents."""
        agreement = value_of.terms.agreement(features)
        return cls(value_of, agreement, agreement - value_of.terms.penalty(extents))

    def in_circle(self, extents: Extents) -> CandidateValues:
        """Return the values for a shape of which people see the inscribed circle."""
        value_of = self.value_of.in_circle()
        return self._replace(
            value_of=value_of, values=self.agreement - value_of.terms.penalty(extents)
        )


class ListValues(NamedTuple):
    """The values of a list of candidates: those that choose a place, and those at one place."""

    placing: CandidateValues
    framing: CandidateValues
    gaze_possible: float  # the largest share of the gaze map inside any of them

    @classmethod
    def of(
        cls, value_of: CropValue, framing_of: CropValue, candidates: CandidateList
    ) -> ListValues:
        """Value candidates by `value_of`, and at one place by `framing_of`.

        Both prefer some of them, the same ones; not of a circle, see `in_circle`.
        """
        boxes, extents, _ = candidates
        overlap = candidates.overlap(value_of.terms.preferred)
        features = value_of.terms.features(value_of.evidence, boxes, extents, overlap)
        possible = float(features[FEATURES.index("gaze_inside")].max())
        placing = framing = CandidateValues.of(value_of, features, extents)
        if framing_of is not value_of:
            framing = CandidateValues.of(framing_of, features, extents)
        return cls(placing, framing, possible)

    def in_circle(self, candidates: CandidateList) -> ListValues:
        """Return the values for a shape of which people see the inscribed circle."""
        extents = candidates.extents
        return self._replace(
            placing=self.placing.in_circle(extents), framing=self.framing.in_circle(extents)
        )


class StackedValues:
    """The values of crops of S shapes of one photo."""

    def __init__(self, of_shapes: Sequence[CropValue]) -> None:
        """Stack the terms of the values; all are of the same photo."""
        self._of_shapes = of_shapes
        terms = [one.terms for one in of_shapes]
        self._terms = Terms(
            Preferred(
                _padded([one.preferred.boxes for one in terms]),
                _padded([one.preferred.probabilities for one in terms]),
            ),
            Cuts(
                _padded([one.cuts.boxes for one in terms]),
                _padded([one.cuts.outside for one in terms]),
                _padded([one.cuts.across for one in terms]),
            ),
            EndCuts(
                _padded([one.ends.boxes for one in terms]),
                _padded([one.ends.tops for one in terms]),
                _padded([one.ends.sides for one in terms]),
            ),
            np.stack([one.coefficients for one in terms]),
            np.stack([one.ratio for one in terms]),
            np.stack([one.inner_share for one in terms]),
        )

    def __call__(self, boxes: FloatArray, extents: Extents | None = None) -> FloatArray:
        """Compute the values of boxes [S, N, 4], N of each shape, shares of the sides: [S, N].

        extents: of the boxes, if several boxes share them.
        """
        extents = extents or Extents.ungrouped(boxes)
        features = self._terms.features(self._of_shapes[0].evidence, boxes, extents)
        return self._terms.agreement(features) - self._terms.penalty(extents)


def _padded(lists: Sequence[FloatArray]) -> FloatArray:
    """Pad lists [M_s, ...] with zeros to rows of one array [S, the longest M, ...].

    A box without area and weight changes no sum.
    """
    longest = max(map(len, lists))
    rows = np.zeros((len(lists), longest, *lists[0].shape[1:]))
    for row, values in zip(rows, lists, strict=True):
        row[: len(values)] = values
    return rows
