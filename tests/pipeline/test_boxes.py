"""Box arithmetic, checked by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.boxes import (
    are_outside,
    area,
    as_boxes,
    hull,
    intersection,
    iou,
    mirror,
    shared_lengths,
    shares_inside,
    to_whole_pixels,
)
from pipeline.errors import UsageError


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_the_worked_number_of_the_pixel_model() -> None:
    assert iou([10, 20, 30, 60], [20, 20, 40, 60]) == pytest.approx(1 / 3)


def test_iou_of_one_box_with_several() -> None:
    # A 10×10 box against one shifted by 5 (they share 50 of 150) and one that only touches it.
    first = boxes((0, 0, 10, 10))[0]
    np.testing.assert_allclose(iou(first, boxes((5, 0, 15, 10), (10, 0, 20, 10))), [1 / 3, 0])


def test_intersection_is_an_area() -> None:
    found = intersection(boxes((0, 0, 4, 4)), boxes((2, 2, 8, 8), (4, 0, 8, 4)))
    assert found.tolist() == [[4, 0]]


def test_shares_inside_by_hand() -> None:
    first = boxes((0, 0, 10, 10))[0]
    np.testing.assert_allclose(shares_inside(first, boxes((5, 5, 15, 15), (2, 2, 4, 4))), [0.25, 1])


def test_hull_and_mirror() -> None:
    assert hull(boxes((1, 5, 3, 6), (2, 4, 9, 5))).tolist() == [1, 4, 9, 6]
    assert mirror(boxes((1, 2, 4, 6)), 10).tolist() == [[6, 2, 9, 6]]


def test_boxes_become_whole_pixels_inside_the_image() -> None:
    got = to_whole_pixels(boxes((-3.4, 1.6, 500, 100.2), (299.9, 199.9, 300, 200)), 300, 200)
    assert got.tolist() == [[0, 2, 300, 100], [299, 199, 300, 200]]


@pytest.mark.parametrize("wrong", [3.0, [1, 2, 3], [[1, 2, 3, 4, 5]]])
def test_what_is_no_box_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match=r"expected xyxy boxes \[\.\.\., 4\], got shape"):
        as_boxes(wrong)  # type: ignore[arg-type]
    assert as_boxes([1, 2, 3, 4]).dtype == np.float64


@pytest.mark.parametrize(
    "wrong",
    [
        [[1, 2, 3, 4], [1, 2, 3]], "a box", [[1, 2, 3, "x"]], [{}] * 4, [10**400],
        np.array([[1, 2, 3 + 1j, 4]]),
    ],
)  # fmt: skip
def test_what_is_no_array_of_numbers_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match=r"^expected xyxy boxes, each of four numbers: "):
        as_boxes(wrong)  # type: ignore[arg-type]


def test_boxes_of_which_nothing_is_inside() -> None:
    """Of a photo of 30 x 20: beyond each side, by rounding too; then inside by a pixel or more."""
    beyond = boxes((30, 0, 40, 9), (0, 20, 9, 30), (-9, 0, 0, 9), (0, -9, 9, 0), (29.6, 0, 40, 9),
                   (-9, 0, 0.4, 9))  # fmt: skip
    assert are_outside(beyond, 30, 20).all()
    within = boxes(
        (29.4, 0, 40, 9), (-9, 0, 0.6, 9), (0, 19, 9, 30), (-5, -5, 99, 99), (3, 3, 4, 4)
    )
    assert not are_outside(within, 30, 20).any()


def test_boxes_without_area_share_nothing() -> None:
    empty, swapped, whole = [5, 5, 5, 5], [9, 9, 1, 1], [0, 0, 10, 10]
    assert iou(empty, empty) == 0
    assert iou(swapped, whole) == 0
    assert iou(whole, swapped) == 0
    assert iou(whole, whole) == 1
    assert iou([0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25]) == 0.5  # shares of a photo's sides
    assert iou([whole, empty], [whole, whole]).tolist() == [1, 0]  # pair by pair
    assert iou(np.array([whole, empty])[:, None], np.array([whole])).shape == (2, 1)


def test_apart_in_one_direction_is_apart() -> None:
    assert iou([0, 0, 4, 4], [6, 0, 9, 4]) == 0
    assert iou([0, 0, 4, 4], [0, 6, 4, 9]) == 0
    assert iou([0, 0, 4, 4], [6, 6, 9, 9]) == 0  # both gaps negative: their product is not
    assert intersection(boxes((0, 0, 4, 4)), boxes((6, 6, 9, 9))).tolist() == [[0]]


def test_lengths_that_intervals_share() -> None:
    """1 to 5 and 7 to 8 with 3 to 9, with 5 to 7, which both only touch, and with 9 to 10."""
    low, high = np.array([1.0, 7.0]), np.array([5.0, 8.0])
    others = np.array([3.0, 5.0, 9.0]), np.array([9.0, 7.0, 10.0])
    assert shared_lengths(low, high, *others).tolist() == [[2, 0, 0], [1, 0, 0]]


def test_areas() -> None:
    assert area(boxes((1, 2, 4, 8), (0, 0, 1, 1))).tolist() == [18, 1]
