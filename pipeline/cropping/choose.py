"""Choose among the candidates of a shape: by expected overlap with people's crops, or by score.

The highest score is not the best choice: scores have errors, people differ, and a crop between
several good ones is right more often than the very best. So `OverlapChooser` takes the candidate of
least expected loss, the loss being one minus the overlap (IoU) with the crop that a person would
make. Two sources tell where that crop is: the network's scores, as if a person took a candidate
with a probability of softmax(score / TEMPERATURE); and the detected objects (`human_crops`), which
weigh more the further a shape's ratio is from the photo's. What a crop does to heads and text is
held against it (`penalties`). `ScoreChooser` is the published ranking.

The constants are from 150 photos that no network was trained on, with simulated people. At people's
own ratios any temperature from .2 to .4 and any weight of the objects comes within .004 of the best
mean overlap; at ratios far from a photo's own the objects tell most: .632 without them, .655 with
half the weight, .69 as here, .01 less for heads that are kept in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, iou
from pipeline.cropping.human_crops import expected_human_overlap
from pipeline.cropping.penalties import circle_penalty, head_penalty, text_penalty
from pipeline.cropping.search import CandidateList, Scores, SearchResult
from pipeline.detectors import Detections
from pipeline.shapes import Shape

Values = NDArray[np.float64]
Places = NDArray[np.int64]
Value = Callable[[Places, Places], Values]  # (left, asked) -> [A], see `expected_overlap`

# Two crops of one shape are "clearly different" where they overlap by less than this IoU. The grid
# of candidates is fine, so neighbours of the best crop overlap it by .8 to .95 and show the same.
DISTINCT_IOU = 0.7
TEMPERATURE = 0.3  # in standard deviations of a list's scores
# Weight of the objects beside the scores: at a photo's own ratio, and from FAR on, a difference of
# the ratios' logarithms, where the scores hardly tell one place from another.
OBJECTS_WEIGHT, FAR = (0.5, 0.9), 0.7
# What a penalty of one standard deviation of the scores costs in overlap. Scores were taught as
# ten times an overlap and have a standard deviation of 1.6 in the lists of one shape, which makes
# .16; a quarter more keeps another hundredth of all faces whole.
OVERLAP_PER_DEVIATION = 0.2


class Chooser(Protocol):
    """What decides among candidates, for one photo. Boxes are in source pixels."""

    def penalty(self, shape: Shape, boxes: Boxes) -> Scores | None:
        """What is held against each of boxes [N, 4] during the search: [N].

        In standard deviations of the list's scores; None for nothing.
        """
        ...

    def best(
        self, shape: Shape, candidates: CandidateList, found: SearchResult, count: int
    ) -> Boxes:
        """The `count` best crops that are clearly different, best first: [K, 4], K from 1 to count.

        In whole pixels inside the photo. They are candidates, or near one where a chooser moves
        its choice; the engine has those scored that were not yet.
        """
        ...


ChooserFor = Callable[[Detections, tuple[int, int]], Chooser]
"""Makes the chooser for a photo from its objects, in source pixels with whatever else their source
told, and the photo's (width, height) in source pixels."""


@dataclass(frozen=True, eq=False)
class OverlapChooser:
    """Take the crop that people's are expected to overlap most; keep heads and text whole."""

    objects: Detections
    size_wh: tuple[int, int]

    def penalty(self, shape: Shape, boxes: Boxes) -> Scores:
        """See `Chooser.penalty`."""
        penalty = head_penalty(boxes, self.objects, self.size_wh)
        penalty = penalty + text_penalty(boxes, self.objects)
        return penalty + circle_penalty(boxes, self.objects) if shape.is_circle else penalty

    def best(
        self, shape: Shape, candidates: CandidateList, found: SearchResult, count: int
    ) -> Boxes:
        """See `Chooser.best`."""
        boxes = candidates.boxes
        penalty = np.zeros(len(boxes)) if candidates.penalty is None else candidates.penalty
        scores = CandidateScores(
            boxes,
            found.posterior_mean,
            expected_human_overlap(boxes, self.objects, self.size_wh, shape.ratio),
            penalty.astype(np.float64),
            objects_weight(shape.ratio, self.size_wh),
        )
        return pick_distinct(boxes, found, partial(expected_overlap, scores), count)


@dataclass(frozen=True, eq=False)
class ScoreChooser:
    """Take the crop of the network's highest score, as the published code does."""

    objects: Detections
    size_wh: tuple[int, int]

    def penalty(self, shape: Shape, boxes: Boxes) -> None:
        """Nothing is held against a crop."""

    def best(
        self, shape: Shape, candidates: CandidateList, found: SearchResult, count: int
    ) -> Boxes:
        """See `Chooser.best`."""

        def score(left: Places, asked: Places) -> Values:
            return found.posterior_mean[asked]

        return pick_distinct(candidates.boxes, found, score, count)


@dataclass(frozen=True)
class CandidateScores:
    """What is known of a shape's candidates [N, 4].

    posterior_mean: as in `SearchResult`. [N]
    human_overlap: expected overlap with people's crops around the objects (`human_crops`). [N]
    penalty: what is held against each, in standard deviations of the scores. [N]
    objects_weight: weight of `human_overlap`; the overlap that the scores tell has the rest.
    """

    boxes: Boxes
    posterior_mean: Values
    human_overlap: Values
    penalty: Values
    objects_weight: float = OBJECTS_WEIGHT[0]


def expected_overlap(scores: CandidateScores, left: Places, asked: Places) -> Values:
    """Expected overlap of the candidates `asked` with a person's crop, less their penalties: [A].

    left: those among which people choose: all, or those that differ from the crops already taken.
    """
    posterior = scores.posterior_mean[left]
    likelihood = np.exp((posterior - posterior.max()) / TEMPERATURE)
    probability = likelihood / likelihood.sum()
    overlap = iou(scores.boxes[asked][:, None], scores.boxes[left]) @ probability
    weight = scores.objects_weight
    expected = (1 - weight) * overlap + weight * scores.human_overlap[asked]
    return np.asarray(expected - OVERLAP_PER_DEVIATION * scores.penalty[asked])


def objects_weight(ratio: float | None, size_wh: tuple[int, int]) -> float:
    """Weight of the objects for a shape, width / height, of a photo of size_wh; None: any ratio."""
    near, far = OBJECTS_WEIGHT
    if ratio is None:
        return near
    distance = abs(np.log(ratio * size_wh[1] / size_wh[0]))
    return float(near + (far - near) * min(1.0, distance / FAR))


def pick_distinct(boxes: Boxes, found: SearchResult, value: Value, count: int) -> Boxes:
    """Pick the scored candidate of the highest value, then again among those clearly different.

    boxes [N, 4]: the whole list; found: its scored part. value(left, asked) is the value of the
    places `asked` when people choose among the places `left`, both of the list: after the first
    crop, only those that differ from all crops taken before. Equal values: the first in order.

    Returns at most `count` boxes, at least one where any is scored.
    """
    left, scored = np.arange(len(boxes)), np.arange(len(found.boxes))
    order: list[int] = []
    while len(scored) and len(order) < count:
        order.append(int(scored[value(left, found.indices[scored]).argmax()]))
        best = found.boxes[order[-1]]
        left = left[iou(best, boxes[left]) < DISTINCT_IOU]
        scored = scored[iou(best, found.boxes[scored]) < DISTINCT_IOU]
    return found.boxes[order]
