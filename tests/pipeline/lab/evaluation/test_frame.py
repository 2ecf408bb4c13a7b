"""Labels that leave their photo, of 200 × 100 px: by how much, and which."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ScoreError
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.frame import (
    FollowedBoxes,
    all_outside,
    check_frame,
    leaving,
    within_photo,
)
from pipeline.photo.decode import Photo

PHOTO = Photo(np.zeros((4, 4, 3), np.uint8), 200, 100, "png", 1)
SIZE_WH = (200, 100)
PLAIN = Example("a", Path("a.png"))


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_two_pixels_are_rounding_and_more_is_another_frame() -> None:
    on_the_limit = boxes([-2, 0, 50, 50], [0, -2, 50, 50], [0, 0, 202, 50], [0, 0, 50, 102])
    assert leaving(on_the_limit, SIZE_WH).tolist() == [False] * 4
    beyond = boxes([-2.1, 0, 50, 50], [0, -2.1, 50, 50], [0, 0, 202.1, 50], [0, 0, 50, 102.1])
    assert leaving(beyond, SIZE_WH).tolist() == [True] * 4
    assert leaving(beyond, SIZE_WH, slack_px=3).tolist() == [False] * 4
    assert leaving(boxes([-2, 0, 0, 50], [0, 100, 50, 101]), SIZE_WH).tolist() == [True, True]
    assert leaving(boxes([-2, 0, 0.5, 50]), SIZE_WH).tolist() == [False]
    inside = within_photo(boxes([-1, -2, 201, 102], [5, 6, 7, 8]), PHOTO)
    assert inside.tolist() == [[0, 0, 200, 100], [5, 6, 7, 8]]


@pytest.mark.parametrize("what", ["scored crops", "crops of people", "boxes to follow"])
def test_each_kind_of_box_has_to_be_in_the_photo(what: str) -> None:
    wrong = boxes([0, 0, 50, 50], [0, 0, 100, 200], [0, 0, 100, 190])  # x and y swapped
    followed = FollowedBoxes(wrong if what == "boxes to follow" else wrong[:1], ["", ""])
    given = {"scored crops": "scored_px", "crops of people": "human_px"}
    example = dataclasses.replace(PLAIN, **{given[what]: wrong} if what in given else {})
    with pytest.raises(ScoreError, match=f"2 of 3 {what} leave the photo of 200 × 100") as told:
        check_frame(example, followed, PHOTO)
    assert told.value.message.endswith("swapped? The first is 0 0 100 200 (x0 y0 x1 y1)")
    assert told.value.status == "boxes_outside"
    check_frame(PLAIN, FollowedBoxes(wrong[:1], [""]), PHOTO)
    check_frame(PLAIN, None, PHOTO)


@pytest.mark.parametrize(
    ("box", "is_outside"),
    [
        ([-9, -9, 0.5, 0.5], False),  # a corner of each is inside
        ([199.5, 99.5, 209, 109], False),
        ([-9, 10, 0, 20], True),
        ([10, -9, 20, 0], True),
        ([200, 10, 210, 20], True),
        ([10, 100, 20, 110], True),
    ],
)
def test_a_box_is_outside_where_no_part_is_inside(box: list[float], is_outside: bool) -> None:
    for what, given in (
        ("heads", {"heads_px": boxes(box)}),
        ("crops of people", {"human_px": boxes(box)}),
    ):
        told = all_outside(dataclasses.replace(PLAIN, **given), (200, 100))
        assert (told is not None) == is_outside
        if told is not None:
            assert told.startswith(f"all {what} (1) are outside of the photo of 200 × 100")


@pytest.mark.parametrize(
    ("point", "is_outside"),
    [([0, 0], False), ([199.9, 99.9], False), ([-0.1, 5], True), ([5, -0.1], True),
     ([200, 5], True), ([5, 100], True)],
)  # fmt: skip
def test_a_fixation_is_outside_from_the_far_edges_on(point: list[float], is_outside: bool) -> None:
    points = np.array([point, [-50, -50]], np.float32)
    told = all_outside(dataclasses.replace(PLAIN, fixations_px=points), (200, 100))
    assert (told is not None) == is_outside


@pytest.mark.parametrize(
    ("shape", "places", "is_outside"),
    [
        ("1:1", [[102.0, 110.0]], False),  # its left edge can be at 100 at most, and 2 are rounding
        ("1:1", [[102.1, 110.0]], True),
        ("1:1", [[-9.0, -2.0]], False),
        ("1:1", [[-9.0, -2.1], [150.0, 160.0]], True),
        ("1:1", [[-9.0, -2.1], [50.0, 60.0]], False),
        ("4:1", [[52.0, 60.0]], False),  # its upper edge can be at 50
        ("4:1", [[52.1, 60.0]], True),
    ],
)
def test_a_place_is_outside_where_the_largest_crop_cannot_be(
    shape: str, places: list[list[float]], is_outside: bool
) -> None:
    told = all_outside(
        dataclasses.replace(
            PLAIN, places_px={"1:2": np.array([[5.0, 9.0]]), shape: np.array(places)}
        ),
        (200, 100),
    )
    assert (told is not None) == is_outside
    if told is not None:
        assert told.startswith(f"all places of {shape} ({len(places)}) are outside of the photo")


def test_nothing_is_outside_where_nothing_is_labelled() -> None:
    assert all_outside(PLAIN, (200, 100)) is None
    empty = dataclasses.replace(PLAIN, heads_px=boxes(), fixations_px=np.zeros((0, 2), np.float32))
    assert all_outside(empty, (200, 100)) is None
