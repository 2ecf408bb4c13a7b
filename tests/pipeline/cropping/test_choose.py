"""The rule that chooses, worked by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.boxes import iou
from pipeline.cropping.choose import (
    FAR,
    MIDDLE_SHARE,
    OBJECTS_SHARE,
    OVERLAP_OF_ONE,
    TEMPERATURE,
    Belief,
    as_asked,
    objects_share,
    overlap_around,
    people_around,
    worth,
)
from pipeline.detectors import Detections


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def seen(*rows: Sequence[float], scores: Sequence[float] = (1.0,)) -> Detections:
    found = boxes(*rows)
    return Detections(found, np.array(scores[: len(found)], np.float32), ["thing"] * len(found))


def test_iou_of_every_pair() -> None:
    # 10×10 boxes: shifted by 5 they share 50 of 150; the small one is a quarter of the first.
    some, others = boxes((0, 0, 10, 10), (5, 0, 15, 10)), boxes((0, 0, 5, 5), (0, 0, 10, 10))
    got = iou(some[:, None], others)
    np.testing.assert_allclose(got, [[0.25, 1], [0, 1 / 3]])


def test_worth_by_hand() -> None:
    # Neighbours share 70 of 130. One temperature less is 1 / e as likely, and a penalty counts
    # beside what it has taken from the score already.
    row = boxes((0, 0, 10, 10), (3, 0, 13, 10))
    belief = Belief(
        row, np.array([TEMPERATURE, 0.0]), np.array([0.2, 0.6]), np.array([0.0, 0.5]), 0.7
    )
    first = np.e / (np.e + 1)
    near = 70 / 130
    everywhere = np.arange(2)
    expected = [
        0.3 * (first + (1 - first) * near) + 0.7 * 0.2,
        0.3 * (first * near + 1 - first) + 0.7 * 0.6 - OVERLAP_OF_ONE * 0.5,
    ]
    np.testing.assert_allclose(worth(belief, everywhere, everywhere), expected)


def test_only_what_is_left_counts() -> None:
    row = boxes((0, 0, 10, 10), (3, 0, 13, 10), (20, 0, 30, 10))
    belief = Belief(row, np.array([9.0, 0, 0]), np.zeros(3), np.zeros(3), 0.4)
    got = worth(belief, np.array([2]), np.array([1, 2]))
    np.testing.assert_allclose(got, [0, 0.6])


def test_the_further_a_ratio_is_from_the_photo_s_the_more_objects_count() -> None:
    near, far = OBJECTS_SHARE
    assert objects_share(None, (300, 200)) == near
    assert objects_share(1.5, (300, 200)) == near
    assert objects_share(9 / 16, (300, 200)) == far
    for ratio in (np.exp(FAR / 2), np.exp(-FAR / 2)):
        assert objects_share(ratio, (100, 100)) == pytest.approx((near + far) / 2)


def test_people_take_a_share_of_each_gap() -> None:
    got = people_around(np.array([[0.4, 0.2, 0.8, 0.9]]), 0.5)
    np.testing.assert_allclose(got, [[0.2, 0.1, 0.9, 0.95]])


@pytest.mark.parametrize("ratio", [None, 1.0])
def test_overlap_of_the_whole_photo_by_hand(ratio: float | None) -> None:
    # Around the object crops have sides of .8, .6 and .4 of the photo's, around its middle of
    # .875, .75 and .625; on a square photo they are square already.
    whole = boxes((0, 0, 100, 100))
    got = overlap_around(whole, seen((40, 40, 60, 60)), (100, 100), ratio)
    around, elsewhere = (0.64 + 0.36 + 0.16) / 3, (0.875**2 + 0.75**2 + 0.625**2) / 3
    np.testing.assert_allclose(got, [(1 - MIDDLE_SHARE) * around + MIDDLE_SHARE * elsewhere])


def test_without_objects_people_crop_around_the_middle() -> None:
    whole = boxes((0, 0, 100, 50))
    got = overlap_around(whole, seen(), (100, 50), None)
    np.testing.assert_allclose(got, [(0.875**2 + 0.75**2 + 0.625**2) / 3])


def test_people_who_are_asked_for_a_ratio_follow_the_object() -> None:
    """9:16 of a wide photo: the strip with the object is worth most, wherever that is."""
    strips = boxes(*((x, 0, x + 90, 160) for x in range(0, 231, 10)))
    for middle in (40, 160, 290):
        found = seen((middle - 20, 60, middle + 20, 120))
        best = strips[overlap_around(strips, found, (320, 160), 9 / 16).argmax()]
        assert best[0] <= middle - 20
        assert best[2] >= middle + 20


def test_a_subject_too_tall_shows_its_middle() -> None:
    # In a square photo people asked for 2:1 cannot show 80 of 100 px: the largest strip of 50 px
    # is around the subject's middle, 50.
    strips = boxes(*((0, y, 100, y + 50) for y in (0, 10, 25, 50)))
    got = overlap_around(strips, seen((20, 10, 80, 90)), (100, 100), 2.0)
    assert got.argmax() == 2
    asked = as_asked(np.array([[0.0, 0, 1, 1]]), np.array([[0.2, 0.1, 0.8, 0.9]]), 2.0)
    np.testing.assert_allclose(asked, [[0, 0.25, 1, 0.75]])


def test_the_more_a_photo_is_about_an_object_the_more_it_pulls() -> None:
    strips = boxes((0, 0, 90, 160), (230, 0, 320, 160))
    rows = ((20, 60, 60, 100), (260, 60, 300, 100))
    left, right = overlap_around(strips, seen(*rows, scores=(0.9, 0.3)), (320, 160), 9 / 16)
    assert left > right
    swapped = overlap_around(strips, seen(*rows, scores=(0.3, 0.9)), (320, 160), 9 / 16)
    np.testing.assert_allclose(swapped, [right, left], rtol=1e-6)
