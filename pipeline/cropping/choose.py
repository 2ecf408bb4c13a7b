"""Choose among the candidates of a shape: by expected agreement with people, or by score.

The highest score is not the best choice: scores have errors, and they ignore what a crop does to
heads and text. `OverlapChooser` takes the crop with the highest value under the fitted rule
(`pipeline.cropping.rule`), of which the network's scores are one part, and then frames it exactly
(`framed`). `ScoreChooser` is the published ranking.

Guards take precedence in both: a crop that breaks none beats every crop that breaks one, and of
two that break guards, the one that breaks them less wins (`pipeline.cropping.guards`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pipeline.boxes import Boxes, FloatArray
from pipeline.cropping.chooser import GuardOf, ShapeSearch, active_guard
from pipeline.cropping.chosen import Chosen, lowered_by_level, pick_distinct, rivals_of
from pipeline.cropping.confidence import (
    ConfidenceFeatures,
    confidence_features,
    packaged_confidence,
)
from pipeline.cropping.crop_value import CropValue
from pipeline.cropping.evidence import Evidence, evidence_of
from pipeline.cropping.features import Preferred
from pipeline.cropping.framed import ValuedBoxes, best_framed
from pipeline.cropping.rule import Rule, packaged_rule
from pipeline.cropping.search import Score, farthest_points
from pipeline.cropping.values import CandidateList, ListValues
from pipeline.detectors import Detections
from pipeline.shapes import Shape

# How many boxes other than candidates `ScoreChooser` scores, far apart.
SCORED_OTHERS = 64


@dataclass(frozen=True, eq=False)
class OverlapChooser:
    """Take the crop that is expected to agree best with people; keep heads and text whole.

    objects: in source pixels, with everything else that their source found.
    size_wh: width and height of the photo in source pixels.
    guard_of: returns the guards of a shape; None for no guards.
    rule: computes the value of a crop.
    """

    objects: Detections
    size_wh: tuple[int, int]
    guard_of: GuardOf | None = None
    rule: Rule = field(default_factory=packaged_rule)
    _plain_lists: dict[tuple[float | None, bytes, bytes], ListValues] = field(
        default_factory=dict, init=False, repr=False
    )

    def values(self, searched: ShapeSearch) -> FloatArray:
        """See `Chooser.values`."""
        return self._of_list(searched).placing.values

    def framing_values(self, searched: ShapeSearch) -> FloatArray:
        """Return the values by which a list's candidates at one place are compared: [N]."""
        return self._of_list(searched).framing.values

    def best(self, searched: Sequence[ShapeSearch], count: int) -> list[Chosen]:
        """See `Chooser.best`. The last of several is not framed: it is only there for a lead."""
        lists = [self._of_list(one) for one in searched]
        valued = [
            self._valued(
                one.shape, one.candidates, known, known.placing.values, known.framing.values
            )
            for one, known in zip(searched, lists, strict=True)
        ]
        return best_framed(valued, self.size_wh, count)

    def best_other(self, searched: ShapeSearch, boxes: Boxes, score: Score, count: int) -> Chosen:
        """See `Chooser.best_other`. The network's preferences are those among the candidates."""
        known, boxes_rel = self._of_list(searched), boxes / self._sides
        values = [one.value_of(boxes_rel) for one in (known.placing, known.framing)]
        valued = self._valued(searched.shape, boxes, known, *values)
        best = best_framed([valued], self.size_wh, count)[0]
        return best._replace(rivals=None)  # those among all candidates are not known

    def confidence(self, searched: ShapeSearch, chosen: Chosen) -> list[float | None]:
        """See `Chooser.confidence`."""
        if self.objects.attention is None:  # maps guessed from objects are overconfident
            return [None] * len(chosen.boxes)
        features = self.confidence_features(searched, chosen)
        return [packaged_confidence()(of_crop) for of_crop in features]

    def confidence_features(
        self, searched: ShapeSearch, chosen: Chosen
    ) -> list[ConfidenceFeatures]:
        """Return the confidence features of crops chosen among or instead of these candidates."""
        rivals = chosen.rivals
        if rivals is None:
            rivals = rivals_of(chosen.boxes, searched.candidates, self.values(searched))
        return confidence_features(
            chosen.boxes / self._sides,
            self._plain(searched).gaze_possible,
            self._evidence,
            self._ratio_rel(searched.shape),
            chosen.choice - rivals,
            searched.shape.is_circle,
        )

    @cached_property
    def _evidence(self) -> Evidence:
        return evidence_of(self.objects, self.size_wh)

    @property
    def _sides(self) -> FloatArray:
        return np.array([*self.size_wh, *self.size_wh], np.float64)

    def _of_list(self, searched: ShapeSearch) -> ListValues:
        plain = self._plain(searched)
        if not searched.shape.is_circle:
            return plain
        return plain.in_circle(CandidateList.of(searched.candidates, self.size_wh))

    def _valued(
        self,
        shape: Shape,
        boxes: Boxes,
        known: ListValues,
        values: FloatArray,
        framing: FloatArray,
    ) -> ValuedBoxes:
        """Hold boxes with their values [M] of placing and framing. known: of the shape's list."""
        guard = active_guard(self.guard_of, shape)
        value_of, framing_of = known.placing.value_of, known.framing.value_of
        return ValuedBoxes(boxes, values, framing, value_of, framing_of, guard)

    def _plain(self, searched: ShapeSearch) -> ListValues:
        """Return the values of candidates, treating circles as squares; cached for each list."""
        ratio, posterior_mean = self._ratio_rel(searched.shape), searched.found.posterior_mean
        key = ratio, searched.candidates.tobytes(), posterior_mean.tobytes()
        if key not in self._plain_lists:
            known = CandidateList.of(searched.candidates, self.size_wh)
            preferred = Preferred.of(known.boxes_rel, posterior_mean)
            value_of = CropValue.of(self.rule, self._evidence, preferred, ratio)
            self._plain_lists[key] = ListValues.of(value_of, value_of.framing(self.rule), known)
        return self._plain_lists[key]

    def _ratio_rel(self, shape: Shape) -> float | None:
        """Return a shape's width / height as shares of the photo's sides."""
        return None if shape.ratio is None else shape.ratio * self.size_wh[1] / self.size_wh[0]


@dataclass(frozen=True, eq=False)
class ScoreChooser:
    """Take the crop with the network's highest score, as the published code does.

    Its arguments are those of `OverlapChooser`; only the guards use the objects.
    """

    objects: Detections
    size_wh: tuple[int, int]
    guard_of: GuardOf | None = None

    def values(self, searched: ShapeSearch) -> FloatArray:
        """See `Chooser.values`. Candidates without a score are not taken."""
        values = np.full(len(searched.candidates), -np.inf)
        values[searched.found.indices] = searched.found.scores
        return values

    def best(self, searched: Sequence[ShapeSearch], count: int) -> list[Chosen]:
        """See `Chooser.best`."""
        return [self._best(one.shape, one.candidates, self.values(one), count) for one in searched]

    def best_other(self, searched: ShapeSearch, boxes: Boxes, score: Score, count: int) -> Chosen:
        """See `Chooser.best_other`. At most SCORED_OTHERS are scored."""
        far_apart = farthest_points(boxes / np.tile(self.size_wh, 2), SCORED_OTHERS)
        some = boxes[far_apart]
        return self._best(searched.shape, some, score(some).astype(np.float64), count)

    def _best(self, shape: Shape, boxes: Boxes, values: FloatArray, count: int) -> Chosen:
        guard = active_guard(self.guard_of, shape)
        levels = None if guard is None else guard.levels(boxes)
        guarded = values if levels is None else lowered_by_level(values, levels)
        order = pick_distinct(boxes, guarded, count)
        return Chosen(boxes[order], values[order], None if levels is None else levels[order])

    def confidence(self, searched: ShapeSearch, chosen: Chosen) -> list[float | None]:
        """See `Chooser.confidence`. The model was not fitted on choices by score."""
        return [None] * len(chosen.boxes)
