"""What crops do to objects, by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.cropping.penalties import (
    BODY_WEIGHTS,
    CUT_TEXT,
    LOST_HEAD,
    circle_penalty,
    head_penalty,
    heads_of,
    text_penalty,
)
from pipeline.detectors import Detections


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def seen(*rows: Sequence[float], scores: Sequence[float] | None = None, label: str) -> Detections:
    found = boxes(*rows)
    given = np.ones(len(found)) if scores is None else np.array(scores)
    return Detections(found, given.astype(np.float32), [label] * len(found))


def objects(*rows: Sequence[float], scores: Sequence[float] | None = None) -> Detections:
    return seen(*rows, scores=scores, label="box")


def faces(*rows: Sequence[float], scores: Sequence[float]) -> Detections:
    return seen(*rows, scores=scores, label="face")


def test_a_circle_hides_what_lies_in_the_corners_of_its_square() -> None:
    # Three squares that show the object at 0..10 wholly: in the corner, where no point of it is in
    # the circle; in the middle; and in the corner of a square that does not show it at all.
    squares = boxes((0, 0, 100, 100), (-45, -45, 55, 55), (20, 20, 120, 120))
    np.testing.assert_allclose(circle_penalty(squares, objects((0, 0, 10, 10))), [1, 0, 0])


def test_hidden_objects_count_by_their_detector_score() -> None:
    # The object in the corner has a quarter of all the detector is sure of.
    found = objects((0, 0, 10, 10), (45, 45, 55, 55), scores=(0.2, 0.6))
    np.testing.assert_allclose(circle_penalty(boxes((0, 0, 100, 100)), found), [0.25])


def test_a_circle_without_objects_is_judged_as_its_square() -> None:
    assert circle_penalty(boxes((0, 0, 9, 9)), objects()).tolist() == [0]


def test_faces_left_out_by_hand() -> None:
    """A face of 20 px is a head of 28 (36 to 64): all of it, half of it, none of it inside."""
    crops = boxes((0, 0, 100, 100), (0, 0, 50, 100), (70, 70, 100, 100))
    one = faces((40, 40, 60, 60), scores=[0.8])
    expected = [0.0, LOST_HEAD * 0.8 * 0.5, LOST_HEAD * 0.8]
    assert head_penalty(crops, one, (100, 100)) == pytest.approx(expected)
    # Beside it a face of half the side and half as certain: an eighth of the weight, here 1/9.
    two = faces((40, 40, 60, 60), (80, 5, 90, 15), scores=[0.8, 0.4])
    left = head_penalty(boxes((0, 0, 75, 100)), two, (100, 100))
    assert left == pytest.approx([LOST_HEAD * 0.8 / 9])


def test_a_head_ends_where_the_photo_does_and_boxes_are_no_heads() -> None:
    corner = faces((0, 0, 20, 20), scores=[1.0])
    assert head_penalty(boxes((0, 0, 30, 30)), corner, (100, 100)) == pytest.approx([0.0])
    assert not head_penalty(boxes((50, 50, 60, 60)), objects((0, 0, 9, 9)), (300, 200)).any()


@pytest.mark.parametrize("label", ["person", "thing", "subject"])
def test_a_tall_body_has_its_head_above(label: str) -> None:
    """A quarter of 80 px: 10 to 30. One crop shows half of it, the other the rest of the body."""
    body = seen((20, 10, 60, 90), scores=[0.5], label=label)
    heads, certain = heads_of(body, (100, 100))
    assert heads.tolist() == [[20, 10, 60, 30]]
    assert certain == pytest.approx([0.5 * BODY_WEIGHTS[label]])
    left = head_penalty(
        boxes((0, 20, 100, 100), (0, 30, 100, 100), (0, 0, 100, 40)), body, (100, 100)
    )
    assert left == pytest.approx([0.5 * LOST_HEAD * certain[0], LOST_HEAD * certain[0], 0])


def test_lying_bodies_and_those_with_a_face_have_no_second_head() -> None:
    assert len(heads_of(seen((0, 0, 50, 20), label="person"), (100, 100))[0]) == 0
    body = Detections(
        boxes((20, 10, 60, 90), (30, 12, 40, 22)), np.ones(2, np.float32), ["person", "face"]
    )
    heads, _ = heads_of(body, (100, 100))
    np.testing.assert_allclose(heads, [[28, 10, 42, 24]])


def test_a_body_one_rounding_error_high_is_no_division_by_zero() -> None:
    flat = np.array([[100, 1000, 100.00001, np.nextafter(np.float32(1000), 2000)]], np.float32)
    seen = Detections(flat, np.ones(1, np.float32), ["person"])
    crops = np.array([[0, 0, 500, 500], [0, 500, 500, 1500]], np.float32)
    assert np.isfinite(head_penalty(crops, seen, (2000, 2000))).all()


def test_text_is_shown_whole_or_left_out() -> None:
    """A line from 20 to 60: whole, half and none of it inside; a tenth of it cut off."""
    crops = boxes((0, 0, 80, 50), (40, 0, 120, 50), (70, 0, 150, 50), (24, 0, 104, 50))
    found = seen((20, 10, 60, 20), scores=(0.5,), label="text")
    expected = 0.5 * CUT_TEXT * np.array([0, 1, 0, 4 * 0.9 * 0.1])
    np.testing.assert_allclose(text_penalty(crops, found), expected, atol=1e-6)


def test_little_text_beside_much_counts_little() -> None:
    found = seen((20, 10, 60, 20), (100, 10, 140, 20), scores=(0.6, 0.2), label="text")
    crop = boxes((0, 0, 120, 50))  # through the second line
    np.testing.assert_allclose(text_penalty(crop, found), [0.6 * CUT_TEXT * 0.25], rtol=1e-6)


def test_only_text_is_text() -> None:
    crop = boxes((0, 0, 40, 50))
    assert text_penalty(crop, objects((20, 10, 60, 20))).tolist() == [0]
    assert text_penalty(crop, objects()).tolist() == [0]
