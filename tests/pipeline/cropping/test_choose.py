"""The rule that chooses, worked by hand."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from pipeline.boxes import iou
from pipeline.cropping.choose import (
    FAR,
    OBJECTS_WEIGHT,
    OVERLAP_PER_DEVIATION,
    TEMPERATURE,
    CandidateScores,
    OverlapChooser,
    ScoreChooser,
    expected_overlap,
    objects_weight,
    pick_distinct,
)
from pipeline.cropping.search import CandidateList, SearchResult
from pipeline.detectors import Detections
from pipeline.shapes import parse_shape


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_iou_of_every_pair() -> None:
    # 10×10 boxes: shifted by 5 they share 50 of 150; the small one is a quarter of the first.
    some, others = boxes((0, 0, 10, 10), (5, 0, 15, 10)), boxes((0, 0, 5, 5), (0, 0, 10, 10))
    got = iou(some[:, None], others)
    np.testing.assert_allclose(got, [[0.25, 1], [0, 1 / 3]])


def test_expected_overlap_by_hand() -> None:
    # Neighbours share 70 of 130. One temperature less is 1 / e as likely, and a penalty counts
    # beside what it has taken from the score already.
    row = boxes((0, 0, 10, 10), (3, 0, 13, 10))
    scores = CandidateScores(
        row, np.array([TEMPERATURE, 0.0]), np.array([0.2, 0.6]), np.array([0.0, 0.5]), 0.7
    )
    first = np.e / (np.e + 1)
    near = 70 / 130
    everywhere = np.arange(2)
    expected = [
        0.3 * (first + (1 - first) * near) + 0.7 * 0.2,
        0.3 * (first * near + 1 - first) + 0.7 * 0.6 - OVERLAP_PER_DEVIATION * 0.5,
    ]
    np.testing.assert_allclose(expected_overlap(scores, everywhere, everywhere), expected)


def test_only_what_is_left_counts() -> None:
    row = boxes((0, 0, 10, 10), (3, 0, 13, 10), (20, 0, 30, 10))
    scores = CandidateScores(row, np.array([9.0, 0, 0]), np.zeros(3), np.zeros(3), 0.4)
    got = expected_overlap(scores, np.array([2]), np.array([1, 2]))
    np.testing.assert_allclose(got, [0, 0.6])


def test_the_further_a_ratio_is_from_the_photo_s_the_more_objects_count() -> None:
    near, far = OBJECTS_WEIGHT
    assert objects_weight(None, (300, 200)) == near
    assert objects_weight(1.5, (300, 200)) == near
    assert objects_weight(9 / 16, (300, 200)) == far
    for ratio in (np.exp(FAR / 2), np.exp(-FAR / 2)):
        assert objects_weight(ratio, (100, 100)) == pytest.approx((near + far) / 2)


def scored(found: np.ndarray, scores: Sequence[float]) -> SearchResult:
    """A list that was scored whole."""
    values = np.array(scores, np.float32)
    return SearchResult(found, values, values, np.arange(len(values)), values.astype(np.float64))


def order(found: np.ndarray, scores: Sequence[float], count: int) -> list[int]:
    """Places of candidates without objects and penalties, best first by expected overlap."""
    nothing = np.zeros(len(found))
    known = CandidateScores(found, np.array(scores, np.float64), nothing, nothing)
    picked = pick_distinct(found, scored(found, scores), partial(expected_overlap, known), count)
    return [found.tolist().index(box) for box in picked.tolist()]


def test_the_best_crop_wins_and_the_next_is_clearly_different() -> None:
    # 1 overlaps 0 by 90/110, 2 by 50/150: 2 is the runner-up although 1 has the higher score.
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10), (5, 0, 15, 10))
    assert order(found, (9, 6, 3), 4) == [0, 2]
    assert order(found, (9, 6, 3), 1) == [0]


def test_a_crop_between_good_ones_wins() -> None:
    # Equally good, the middle one overlaps by (.54 + 1 + .54) / 3, the others by less; then the
    # outer ones are left, which do not overlap enough to be the same.
    found = boxes((0, 0, 10, 10), (3, 0, 13, 10), (6, 0, 16, 10))
    assert order(found, (0, 0, 0), 3) == [1, 0, 2]


def test_what_was_not_scored_counts_but_is_not_taken() -> None:
    # The third box is thought best; of those that were scored the second one overlaps it most.
    found = boxes((0, 0, 10, 10), (4, 0, 14, 10), (6, 0, 16, 10))
    nothing, mean = np.zeros(3), np.array([0.0, 0, 9])
    own = np.array([0.3, 0.2], np.float32)
    part = SearchResult(found[:2], own, own, np.arange(2), mean)
    known = CandidateScores(found, mean, nothing, nothing)
    (best,) = pick_distinct(found, part, partial(expected_overlap, known), 1)
    assert best.tolist() == found[1].tolist()


def test_equal_values_take_the_first_candidate() -> None:
    found = boxes((0, 0, 4, 4), (6, 0, 10, 4), (0, 6, 4, 10))
    assert order(found, (0, 0, 0), 1) == [0]


def test_choosers_differ_where_a_face_is_cut() -> None:
    """Of two squares the network prefers the left one, which cuts the face on the right."""
    face = Detections(boxes((110, 40, 150, 80)), np.ones(1, np.float32), ["face"])
    shape = parse_shape("1:1")
    squares = boxes((0, 0, 100, 100), (80, 0, 180, 100))
    picked = []
    for make in (OverlapChooser, ScoreChooser):
        chooser = make(face, (200, 100))
        candidates = CandidateList(squares, chooser.penalty(shape, squares))
        (best,) = chooser.best(shape, candidates, scored(squares, (0.5, -0.5)), 1)
        picked.append(best.tolist())
    assert picked == [squares[1].tolist(), squares[0].tolist()]


def test_only_a_circle_is_penalised_for_its_corners() -> None:
    """A thing in the corner of the square, where no point of it is in the circle."""
    thing = Detections(boxes((0, 0, 10, 10)), np.ones(1, np.float32), ["box"])
    square = boxes((0, 0, 100, 100))
    costs = [
        OverlapChooser(thing, (100, 100)).penalty(parse_shape(name), square)
        for name in ("1:1", "circle")
    ]
    assert [cost.tolist() for cost in costs] == [[0], [1]]
