"""Acceptance by people's crops, gaze and heads, on a photo of 400 × 300 px."""

import numpy as np
import pytest

from pipeline.lab.evaluation.acceptance import accepted_by_people, accepted_by_viewers
from pipeline.lab.evaluation.evidence import DRAWN_CUT, FaultEvidence
from pipeline.shapes import parse_shape

SIZE = (400, 300)
SQUARE = parse_shape("1:1")
LEFT = np.array([0, 0, 300, 300], np.float32)


def evidence(fixations: list[tuple[float, float]], heads: list[list[float]]) -> FaultEvidence:
    drawn = np.array(heads, np.float32).reshape(-1, 4)
    none = np.zeros((0, 4), np.float32)
    gaze = np.array(fixations, np.float32) if fixations else None
    return FaultEvidence(SIZE, drawn, DRAWN_CUT, drawn, none, none, gaze, None)


def test_a_crop_near_a_person_s_is_accepted() -> None:
    people = np.array([[0, 0, 300, 300], [0, 0, 180, 300], [0, 0, 179, 300]], np.float32)
    # overlaps: 1, exactly .6, and a little less
    assert accepted_by_people(LEFT, people) == pytest.approx(2 / 3)


def test_nine_tenths_of_the_best_gaze_are_enough() -> None:
    spots = [(10.0, 10.0)] * 9 + [(350.0, 10.0)]
    assert accepted_by_viewers(LEFT, SQUARE, evidence(spots, []), 1.0) == 1.0
    assert accepted_by_viewers(LEFT, SQUARE, evidence([*spots, (350.0, 10.0)], []), 1.0) == 0.0
    # 9 of 11 are enough where no crop keeps more than 10
    assert accepted_by_viewers(LEFT, SQUARE, evidence([*spots, (350.0, 10.0)], []), 10 / 11) == 1.0


@pytest.mark.parametrize(
    ("head", "accepted"),
    [
        ([295, 100, 345, 150], 1.0),  # a tenth inside: as good as left out
        ([290, 100, 340, 150], 0.0),  # a fifth inside
        ([260, 100, 310, 150], 0.0),  # four fifths
        ([255, 100, 305, 150], 1.0),  # nine tenths
    ],
)
def test_no_head_is_cut_by_more_than_a_tenth(head: list[float], accepted: float) -> None:
    assert accepted_by_viewers(LEFT, SQUARE, evidence([(10, 10)], [head]), 1.0) == accepted


def test_gaze_cannot_tell_of_a_shape_near_the_photo_s_own() -> None:
    seen = evidence([(350, 10)], [])
    for name in ("4:3", "free"):
        assert accepted_by_viewers(LEFT, parse_shape(name), seen, 1.0) is None
    for fixations, best in (([], None), ([], 1.0), ([(350, 10)], None)):
        assert accepted_by_viewers(LEFT, SQUARE, evidence(fixations, []), best) is None
    assert accepted_by_viewers(LEFT, SQUARE, seen, 1.0) == 0.0


def test_of_a_circle_gaze_and_heads_are_those_in_the_disc() -> None:
    """The disc of 150 px about (150, 150): its square's corner is not in it."""
    circle = parse_shape("circle")
    corner = evidence([(5, 5), (150, 150)], [])
    assert accepted_by_viewers(LEFT, SQUARE, corner, 1.0) == 1.0
    assert accepted_by_viewers(LEFT, circle, corner, 1.0) == 0.0
    cut = evidence([(150, 150)], [[0, 0, 150, 150]])  # π/4 of it are in the disc
    assert accepted_by_viewers(LEFT, SQUARE, cut, 1.0) == 1.0
    assert accepted_by_viewers(LEFT, circle, cut, 1.0) == 0.0
