"""Choose among the candidates of a shape: by expected agreement with people, or by score.

The highest score is not the best choice: a score has errors, and it does not know what a crop does
to heads and text. `OverlapChooser` takes the crop of the highest value by the fitted rule
(`pipeline.cropping.rule`), in which the network's scores are one part, and moves it to where that
value is highest (`refine`). `ScoreChooser` is the published ranking.

Guards come before both: a crop that breaks none wins over every crop that breaks one, and of those
that do, one that breaks them less wins (`pipeline.cropping.guards`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.boxes import Boxes, FloatArray, to_whole_pixels
from pipeline.cropping.chooser import GuardOf, active_guard
from pipeline.cropping.chosen import Chosen, below, better_of, pick_distinct, rivals_of
from pipeline.cropping.confidence import (
    ConfidenceFeatures,
    confidence_features,
    packaged_confidence,
)
from pipeline.cropping.evidence import Evidence, evidence_of
from pipeline.cropping.features import Preferred
from pipeline.cropping.refine import refine
from pipeline.cropping.rule import CropValue, packaged_rule
from pipeline.cropping.search import Score, SearchResult, farthest_points
from pipeline.detectors import Detections
from pipeline.shapes import Shape

# Of other boxes than the candidates, `ScoreChooser` scores this many, far apart.
SCORED_OTHERS = 64


@dataclass(frozen=True, eq=False)
class OverlapChooser:
    """Take the crop that is expected to agree best with people; keep heads and text whole.

    objects: in source pixels, with whatever else their source told.
    size_wh: width and height of the photo in source pixels.
    guard_of: what no crop may do; None for no guards.
    """

    objects: Detections
    size_wh: tuple[int, int]
    guard_of: GuardOf | None = None

    def values(self, shape: Shape, candidates: Boxes, found: SearchResult) -> FloatArray:
        """See `Chooser.values`."""
        boxes_rel = candidates / self._sides
        return self._value_of(shape, boxes_rel, found)(boxes_rel)

    def best(self, shape: Shape, candidates: Boxes, found: SearchResult, count: int) -> Chosen:
        """See `Chooser.best`. The last of several is not moved: it only tells a lead."""
        candidates_rel = candidates / self._sides
        value_of = self._value_of(shape, candidates_rel, found)
        values = value_of(candidates_rel)
        chosen = self._best(shape, candidates, values, value_of, count)
        return chosen._replace(rivals=rivals_of(chosen.boxes, candidates, values))

    def best_other(
        self,
        shape: Shape,
        boxes: Boxes,
        candidates: Boxes,
        found: SearchResult,
        score: Score,
        count: int,
    ) -> Chosen:
        """See `Chooser.best_other`. The network's view of other boxes is that of the candidates."""
        value_of = self._value_of(shape, candidates / self._sides, found)
        return self._best(shape, boxes, value_of(boxes / self._sides), value_of, count)

    def _best(
        self, shape: Shape, boxes: Boxes, values: FloatArray, value_of: CropValue, count: int
    ) -> Chosen:
        """The best of boxes [M, 4] of these values [M], each moved to where it is best."""
        guard = active_guard(self.guard_of, shape)

        def guarded(boxes_rel: FloatArray) -> FloatArray:
            """The value, guards before all else; both of what is left after rounding to pixels."""
            values = value_of(boxes_rel)
            return values if guard is None else below(values, guard.levels(self._whole(boxes_rel)))

        levels = np.zeros(len(boxes), np.int64) if guard is None else guard.levels(boxes)
        picked = pick_distinct(boxes, below(values, levels), count)
        best = boxes[picked] / self._sides
        chosen = best.copy()
        largest_width = 1.0 if value_of.ratio is None else min(1.0, value_of.ratio)
        moved = range(min(len(best), max(1, count - 1)))
        for rank in moved:
            chosen[rank] = refine(best[rank], value_of, largest_width)
        found = Chosen(boxes[picked], values[picked], levels[picked])
        boxes = self._whole(chosen)
        new_levels = np.zeros(len(boxes), np.int64)
        if guard is not None:
            new_levels = guard.levels(boxes)
            broken = np.flatnonzero(new_levels[: len(moved)]).tolist()
            if broken:  # most crops pass where they are best: only the others need it
                for rank in broken:
                    chosen[rank] = refine(best[rank], guarded, largest_width)
                boxes = self._whole(chosen)
                new_levels = guard.levels(boxes)
        return better_of(found, Chosen(boxes, value_of(boxes / self._sides), new_levels))

    def _whole(self, boxes_rel: FloatArray) -> Boxes:
        return to_whole_pixels((boxes_rel * self._sides).astype(np.float32), *self.size_wh)

    def confidence(
        self, shape: Shape, chosen: Chosen, candidates: Boxes, found: SearchResult
    ) -> list[float | None]:
        """See `Chooser.confidence`."""
        if self.objects.attention is None:  # maps guessed from objects tell too much confidence
            return [None] * len(chosen.boxes)
        features = self.confidence_features(shape, chosen, candidates, found)
        return [packaged_confidence()(of_crop) for of_crop in features]

    def confidence_features(
        self, shape: Shape, chosen: Chosen, candidates: Boxes, found: SearchResult
    ) -> list[ConfidenceFeatures]:
        """What the confidence of crops, chosen among these candidates or instead, is made from."""
        rivals = chosen.rivals
        if rivals is None:
            values = self.values(shape, candidates, found)
            rivals = rivals_of(chosen.boxes, candidates, values)
        return confidence_features(
            chosen.boxes / self._sides,
            candidates / self._sides,
            self._evidence,
            self._ratio_rel(shape),
            chosen.choice - rivals,
        )

    @cached_property
    def _evidence(self) -> Evidence:
        return evidence_of(self.objects, self.size_wh)

    @property
    def _sides(self) -> FloatArray:
        return np.array([*self.size_wh, *self.size_wh], np.float64)

    def _value_of(self, shape: Shape, boxes_rel: FloatArray, found: SearchResult) -> CropValue:
        preferred = Preferred.of(boxes_rel, found.posterior_mean)
        ratio = self._ratio_rel(shape)
        return CropValue(packaged_rule(), self._evidence, preferred, ratio, shape.is_circle)

    def _ratio_rel(self, shape: Shape) -> float | None:
        """Width / height of a shape as shares of the photo's sides."""
        return None if shape.ratio is None else shape.ratio * self.size_wh[1] / self.size_wh[0]


@dataclass(frozen=True, eq=False)
class ScoreChooser:
    """Take the crop of the network's highest score, as the published code does.

    Its arguments are those of `OverlapChooser`; of the objects, only the guards know.
    """

    objects: Detections
    size_wh: tuple[int, int]
    guard_of: GuardOf | None = None

    def values(self, shape: Shape, candidates: Boxes, found: SearchResult) -> FloatArray:
        """See `Chooser.values`. What was not scored is not taken."""
        values = np.full(len(candidates), -np.inf)
        values[found.indices] = found.scores
        return values

    def best(self, shape: Shape, candidates: Boxes, found: SearchResult, count: int) -> Chosen:
        """See `Chooser.best`."""
        return self._best(shape, candidates, self.values(shape, candidates, found), count)

    def best_other(
        self,
        shape: Shape,
        boxes: Boxes,
        candidates: Boxes,
        found: SearchResult,
        score: Score,
        count: int,
    ) -> Chosen:
        """See `Chooser.best_other`. At most SCORED_OTHERS are scored, those that pass first."""
        guard = active_guard(self.guard_of, shape)
        levels = np.zeros(len(boxes)) if guard is None else guard.levels(boxes)
        least = boxes[levels == levels.min()]
        far_apart = farthest_points(least / np.tile(self.size_wh, 2), SCORED_OTHERS)
        some = least[far_apart]
        return self._best(shape, some, score(some).astype(np.float64), count)

    def _best(self, shape: Shape, boxes: Boxes, values: FloatArray, count: int) -> Chosen:
        guard = active_guard(self.guard_of, shape)
        levels = None if guard is None else guard.levels(boxes)
        guarded = values if levels is None else below(values, levels)
        order = pick_distinct(boxes, guarded, count)
        return Chosen(boxes[order], values[order], None if levels is None else levels[order])

    def confidence(
        self, shape: Shape, chosen: Chosen, candidates: Boxes, found: SearchResult
    ) -> list[float | None]:
        """See `Chooser.confidence`. It was not fitted on choices by score."""
        return [None] * len(chosen.boxes)
