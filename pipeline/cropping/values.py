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

# Number of cached lists: about 10 MB for eight sizes of photos with five ratios. For lists longer
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


class ListValues(NamedTuple):
    """The values of a list of candidates."""

    value_of: CropValue  # gives comparable values of other boxes
    framing_of: CropValue  # gives the values that compare boxes at one place
    agreement: FloatArray  # [N] before penalties
    values: FloatArray  # [N]
    framing_agreement: FloatArray  # [N] of `framing_of`, before penalties
    framing: FloatArray  # [N] of `framing_of`
    gaze_possible: float  # the largest share of the gaze map inside any of them

    @classmethod
    def of(
        cls, value_of: CropValue, framing_of: CropValue, candidates: CandidateList
    ) -> ListValues:
        """Value candidates. value_of: prefers some of them; not of a circle, see `in_circle`."""
        boxes, extents, _ = candidates
        terms = value_of.terms
        overlap = candidates.overlap(terms.preferred)
        features = terms.features(value_of.evidence, boxes, extents, overlap)
        possible = float(features[FEATURES.index("gaze_inside")].max())
        agreement, framing = terms.agreement(features), framing_of.terms.agreement(features)
        return cls(
            value_of, framing_of, agreement, agreement - terms.penalty(extents),
            framing, framing - framing_of.terms.penalty(extents), possible,
        )  # fmt: skip

    def in_circle(self, candidates: CandidateList) -> ListValues:
        """Return the values for a shape of which people see the inscribed circle."""
        value_of = self.value_of.in_circle()
        framing_of = self.framing_of.in_circle()
        values = self.agreement - value_of.terms.penalty(candidates.extents)
        framing = self.framing_agreement - framing_of.terms.penalty(candidates.extents)
        return self._replace(
            value_of=value_of, framing_of=framing_of, values=values, framing=framing
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
            np.stack([one.largest for one in terms]),
            np.stack([one.seen for one in terms]),
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
