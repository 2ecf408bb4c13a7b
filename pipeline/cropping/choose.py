"""Choose among the candidates of a shape: by expected agreement with people, or by score.

The highest score is not the best choice: a score has errors, and it does not know what a crop does
to heads and text. `OverlapChooser` takes the crop of the highest value by the fitted rule
(`pipeline.cropping.rule`), in which the network's scores are one part, and moves it to where that
value is highest (`refine`). `ScoreChooser` is the published ranking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, FloatArray, iou, to_whole_pixels
from pipeline.cropping.confidence import (
    ConfidenceFeatures,
    confidence_features,
    packaged_confidence,
)
from pipeline.cropping.evidence import Evidence, evidence_of
from pipeline.cropping.features import Preferred
from pipeline.cropping.refine import refine
from pipeline.cropping.rule import CropValue, packaged_rule
from pipeline.cropping.search import SearchResult
from pipeline.detectors import Detections
from pipeline.shapes import Shape

# Two crops of one shape are "clearly different" where they overlap by less than this IoU. The grid
# of candidates is fine, so neighbours of the best crop overlap it by .8 to .95 and show the same.
DISTINCT_IOU = 0.7


class Chosen(NamedTuple):
    """Crops that are clearly different, best first, in whole source pixels inside the photo.

    choice: the number that decided, higher is better; comparable within one shape of one photo.
    """

    boxes: Boxes  # [K, 4]
    choice: FloatArray  # [K]


class Chooser(Protocol):
    """What decides among candidates, for one photo. Boxes are in source pixels."""

    def values(self, shape: Shape, candidates: Boxes, found: SearchResult) -> FloatArray:
        """The number that decides, of each of candidates [N, 4]; -inf: not to be taken: [N]."""
        ...

    def best(self, shape: Shape, candidates: Boxes, found: SearchResult, count: int) -> Chosen:
        """The `count` best crops that are clearly different, 1 <= K <= count.

        They are candidates [N, 4], or near one where a chooser moves its choice; the engine has
        those scored that were not yet.
        """
        ...

    def confidence(
        self, shape: Shape, boxes: Boxes, candidates: Boxes, found: SearchResult
    ) -> list[float | None]:
        """The probability that a person would accept each of boxes [K, 4], whole pixels: K.

        None where no one can tell: the confidence is fitted on crops that the fitted rule chose by
        maps of attention.
        """
        ...


ChooserFor = Callable[[Detections, tuple[int, int]], Chooser]
"""Makes the chooser for a photo from its objects, in source pixels with whatever else their source
told, and the photo's (width, height) in source pixels."""


@dataclass(frozen=True, eq=False)
class OverlapChooser:
    """Take the crop that is expected to agree best with people; keep heads and text whole."""

    objects: Detections
    size_wh: tuple[int, int]

    def values(self, shape: Shape, candidates: Boxes, found: SearchResult) -> FloatArray:
        """See `Chooser.values`."""
        boxes_rel = candidates / self._sides
        return self._value_of(shape, boxes_rel, found)(boxes_rel)

    def best(self, shape: Shape, candidates: Boxes, found: SearchResult, count: int) -> Chosen:
        """See `Chooser.best`. The last of several is not moved: it only tells a lead."""
        boxes_rel = candidates / self._sides
        value_of = self._value_of(shape, boxes_rel, found)
        order = pick_distinct(boxes_rel, value_of(boxes_rel), count)
        chosen = boxes_rel[order]
        largest_width = 1.0 if value_of.ratio is None else min(1.0, value_of.ratio)
        for rank in range(max(1, count - 1)):
            if rank < len(chosen):
                chosen[rank] = refine(chosen[rank], value_of, largest_width)
        boxes = to_whole_pixels((chosen * self._sides).astype(np.float32), *self.size_wh)
        return Chosen(boxes, value_of(boxes / self._sides))

    def confidence(
        self, shape: Shape, boxes: Boxes, candidates: Boxes, found: SearchResult
    ) -> list[float | None]:
        """See `Chooser.confidence`."""
        if self.objects.attention is None:  # maps guessed from objects tell too much confidence
            return [None] * len(boxes)
        features = self.confidence_features(shape, boxes, candidates, found)
        return [packaged_confidence()(of_crop) for of_crop in features]

    def confidence_features(
        self, shape: Shape, boxes: Boxes, candidates: Boxes, found: SearchResult
    ) -> list[ConfidenceFeatures]:
        """What the confidence of boxes [K, 4], made for a shape with these candidates, is from."""
        boxes_rel, others_rel = boxes / self._sides, candidates / self._sides
        value_of = self._value_of(shape, others_rel, found)
        choice, values = value_of(boxes_rel), value_of(others_rel)
        features = []
        for box, own in zip(boxes_rel, choice, strict=True):
            rivals = values[iou(box, others_rel) < DISTINCT_IOU]
            lead = float(own - rivals.max()) if len(rivals) else None
            measured = confidence_features(box, others_rel, self._evidence, value_of.ratio, lead)
            features.append(measured)
        return features

    @cached_property
    def _evidence(self) -> Evidence:
        return evidence_of(self.objects, self.size_wh)

    @property
    def _sides(self) -> FloatArray:
        return np.array([*self.size_wh, *self.size_wh], np.float64)

    def _value_of(self, shape: Shape, boxes_rel: FloatArray, found: SearchResult) -> CropValue:
        width, height = self.size_wh
        ratio_rel = None if shape.ratio is None else shape.ratio * height / width
        preferred = Preferred.of(boxes_rel, found.posterior_mean)
        return CropValue(packaged_rule(), self._evidence, preferred, ratio_rel, shape.is_circle)


@dataclass(frozen=True, eq=False)
class ScoreChooser:
    """Take the crop of the network's highest score, as the published code does."""

    objects: Detections
    size_wh: tuple[int, int]

    def values(self, shape: Shape, candidates: Boxes, found: SearchResult) -> FloatArray:
        """See `Chooser.values`. What was not scored is not taken."""
        values = np.full(len(candidates), -np.inf)
        values[found.indices] = found.scores
        return values

    def best(self, shape: Shape, candidates: Boxes, found: SearchResult, count: int) -> Chosen:
        """See `Chooser.best`."""
        values = self.values(shape, candidates, found)
        order = pick_distinct(candidates, values, count)
        return Chosen(candidates[order], values[order])

    def confidence(
        self, shape: Shape, boxes: Boxes, candidates: Boxes, found: SearchResult
    ) -> list[float | None]:
        """See `Chooser.confidence`. It was not fitted on choices by score."""
        return [None] * len(boxes)


def pick_distinct(boxes: NDArray[np.floating], values: FloatArray, count: int) -> list[int]:
    """Places of the highest value, then of the highest clearly different from all before it, ….

    boxes [N, 4], values [N]; -inf is not taken. At most `count` places. Equal values: the first.
    """
    left = np.flatnonzero(values > -np.inf)
    order: list[int] = []
    while len(left) and len(order) < count:
        order.append(int(left[values[left].argmax()]))
        left = left[iou(boxes[order[-1]], boxes[left]) < DISTINCT_IOU]
    return order
