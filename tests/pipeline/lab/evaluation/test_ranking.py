"""A chooser's order of given crops, against its first choice and by hand."""

import numpy as np

from pipeline.cropping.choose import OverlapChooser, ScoreChooser
from pipeline.cropping.search import SearchResult
from pipeline.detectors import Detections
from pipeline.lab.evaluation.ranking import order_of

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [])


def found_of(boxes: np.ndarray, scores: list[float]) -> SearchResult:
    own = np.float32(scores)
    standard = (own.astype(float) - own.mean()) / own.std()
    return SearchResult(boxes, own, np.arange(len(boxes)), standard)


def test_by_score_the_order_is_that_of_the_scores() -> None:
    boxes = np.float32([[0, 0, 50, 50], [1, 0, 51, 50], [40, 40, 100, 100], [0, 0, 50, 50]])
    found = found_of(boxes, [1, 3, 2, 0])  # the last box is the first one again
    order = order_of(ScoreChooser(NOTHING, (100, 100)), boxes, found)
    assert order.tolist() == [1, 2, 0, 3]


def test_by_overlap_the_crop_that_keeps_the_face_is_first() -> None:
    """The network likes the first box best, which cuts the face, and the last, which loses it."""
    boxes = np.float32([[0, 0, 60, 60], [20, 0, 80, 60], [40, 40, 100, 100]])
    face = Detections(np.float32([[50, 20, 70, 40]]), np.ones(1, np.float32), ["face"])
    order = order_of(OverlapChooser(face, (100, 100)), boxes, found_of(boxes, [1.0, 0.9, 0.95]))
    assert order[0] == 1
    assert sorted(order.tolist()) == [0, 1, 2]
