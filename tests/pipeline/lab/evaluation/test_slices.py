"""The bounds of the kinds of photos: shape, people, and how many objects."""

import numpy as np
import pytest

from pipeline.detectors import Detections
from pipeline.lab.evaluation.slices import ORDER, PEOPLE_LABELS, tags
from pipeline.photo.decode import Photo


def photo(width: int = 1000, height: int = 1000) -> Photo:
    return Photo(np.zeros((4, 4, 3), np.uint8), width, height, "png", 1)


def found(*boxes: list[float], label: str = "dog") -> Detections:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(rows, np.ones(len(rows), np.float32), [label] * len(rows))


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (2000, 1000, "panorama"), (1000, 2000, "panorama"),
        (1999, 1000, "landscape"), (1000, 1999, "portrait"),
        (1050, 1000, "square"), (1000, 1050, "square"),
        (1051, 1000, "landscape"), (1000, 1051, "portrait"),
    ],
)  # fmt: skip
def test_shapes_end_at_2_and_at_1_05(width: int, height: int, expected: str) -> None:
    assert tags(photo(width, height), found())[0] == expected


@pytest.mark.parametrize(
    "label", ["person", "face", "man", "woman", "boy", "girl", "child", "people"]
)
def test_every_word_for_people_is_one(label: str) -> None:
    """Detectors have words of their own: of Visual Genome's there are several."""
    assert label in PEOPLE_LABELS
    assert tags(photo(), found([0, 0, 500, 500], label=label))[1] == "people"


def test_every_tag_has_its_place_in_the_report() -> None:
    kinds = {(3, 2), (2, 3), (1, 1), (3, 1)}
    two = [0.0, 0.0, 400.0, 400.0], [500.0, 500.0, 900.0, 900.0]
    told = {
        tag
        for width, height in kinds
        for label in ("dog", "person")
        for boxes in ([], two[:1], two)
        for tag in tags(photo(1000 * width, 1000 * height), found(*boxes, label=label))
    }
    assert told == {*ORDER}


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([500, 500, 600, 600], "several objects"),  # a hundredth of the photo
        ([500, 500, 600, 599], "one object"),  # a little less
        ([100, 0, 300, 200], "one object"),  # half of each is shared: an IoU of 1/3
        ([110, 0, 310, 200], "several objects"),  # 90 of 310 columns: .29
        ([0, 0, 1000, 1000], "one object"),  # it contains the first
        ([50, 0, 1000, 200], "several objects"),  # 150 of 1000 columns, of the first's 200
        ([40, 0, 1000, 200], "one object"),  # 160: four fifths of the first
    ],
)
def test_boxes_are_one_object_where_they_overlap(second: list[float], expected: str) -> None:
    """The first has 200 × 200 px of a photo of 1000 × 1000."""
    assert tags(photo(), found([0, 0, 200, 200], second))[2] == expected
    assert tags(photo(), found(second, [0, 0, 200, 200]))[2] == expected
