"""The order in which a chooser takes given crops, against its first choice and by hand."""

import numpy as np

from pipeline.cropping.choose import OverlapChooser, ScoreChooser
from pipeline.cropping.search import CandidateList, SearchResult
from pipeline.detectors import Detections
from pipeline.lab.evaluation.ranking import FREE, order_of

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [])


def found_of(boxes: np.ndarray, scores: list[float]) -> SearchResult:
    own = np.float32(scores)
    standard = (own.astype(float) - own.mean()) / own.std()
    return SearchResult(boxes, own, own, np.arange(len(boxes)), standard)


def test_by_score_the_order_is_that_of_the_scores() -> None:
    boxes = np.float32([[0, 0, 50, 50], [1, 0, 51, 50], [40, 40, 100, 100], [0, 0, 50, 50]])
    found = found_of(boxes, [1, 3, 2, 0])  # the last box is the first one again
    order = order_of(ScoreChooser(NOTHING, (100, 100)), CandidateList(boxes), found)
    assert order.tolist() == [1, 2, 0, 3]


def test_by_overlap_the_crop_between_two_alike_ones_is_first() -> None:
    boxes = np.float32([[0, 0, 60, 60], [8, 0, 68, 60], [16, 0, 76, 60], [40, 40, 100, 100]])
    chooser = OverlapChooser(NOTHING, (100, 100))
    candidates, found = CandidateList(boxes), found_of(boxes, [1.0, 0.99, 1.0, 0.2])
    order = order_of(chooser, candidates, found)
    assert order[0] == 1
    assert order[-1] == 3
    (best,) = chooser.best(FREE, candidates, found, 1)
    assert boxes[order[0]].tolist() == best.tolist()
