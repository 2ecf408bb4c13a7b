"""Where people are likely to crop, worked by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.cropping.human_crops import (
    CENTRE_WEIGHT,
    expected_human_overlap,
    likely_human_crops,
    reshape_crops,
)
from pipeline.detectors import Detections


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def seen(*rows: Sequence[float], scores: Sequence[float] = (1.0,)) -> Detections:
    found = boxes(*rows)
    return Detections(found, np.array(scores[: len(found)], np.float32), ["thing"] * len(found))


def test_people_take_a_share_of_each_gap() -> None:
    got = likely_human_crops(np.array([[0.4, 0.2, 0.8, 0.9]]), 0.5)
    np.testing.assert_allclose(got, [[0.2, 0.1, 0.9, 0.95]])


@pytest.mark.parametrize("ratio", [None, 1.0])
def test_overlap_of_the_whole_photo_by_hand(ratio: float | None) -> None:
    # Around the object crops have sides of .8, .6 and .4 of the photo's, around its centre of
    # .875, .75 and .625; on a square photo they are square already.
    whole = boxes((0, 0, 100, 100))
    got = expected_human_overlap(whole, seen((40, 40, 60, 60)), (100, 100), ratio)
    around, elsewhere = (0.64 + 0.36 + 0.16) / 3, (0.875**2 + 0.75**2 + 0.625**2) / 3
    np.testing.assert_allclose(got, [(1 - CENTRE_WEIGHT) * around + CENTRE_WEIGHT * elsewhere])


def test_without_objects_people_crop_around_the_centre() -> None:
    whole = boxes((0, 0, 100, 50))
    got = expected_human_overlap(whole, seen(), (100, 50), None)
    np.testing.assert_allclose(got, [(0.875**2 + 0.75**2 + 0.625**2) / 3])


def test_people_who_are_asked_for_a_ratio_follow_the_object() -> None:
    """9:16 of a wide photo: the strip with the object is best, wherever that is."""
    strips = boxes(*((x, 0, x + 90, 160) for x in range(0, 231, 10)))
    for centre in (40, 160, 290):
        found = seen((centre - 20, 60, centre + 20, 120))
        best = strips[expected_human_overlap(strips, found, (320, 160), 9 / 16).argmax()]
        assert best[0] <= centre - 20
        assert best[2] >= centre + 20


def test_a_subject_too_tall_shows_its_centre() -> None:
    # In a square photo people asked for 2:1 cannot show 80 of 100 px: the largest strip of 50 px
    # is around the subject's centre, 50.
    strips = boxes(*((0, y, 100, y + 50) for y in (0, 10, 25, 50)))
    got = expected_human_overlap(strips, seen((20, 10, 80, 90)), (100, 100), 2.0)
    assert got.argmax() == 2
    asked = reshape_crops(np.array([[0.0, 0, 1, 1]]), np.array([[0.2, 0.1, 0.8, 0.9]]), 2.0)
    np.testing.assert_allclose(asked, [[0, 0.25, 1, 0.75]])


def test_the_more_a_photo_is_about_an_object_the_more_it_pulls() -> None:
    strips = boxes((0, 0, 90, 160), (230, 0, 320, 160))
    rows = ((20, 60, 60, 100), (260, 60, 300, 100))
    left, right = expected_human_overlap(strips, seen(*rows, scores=(0.9, 0.3)), (320, 160), 9 / 16)
    assert left > right
    swapped = expected_human_overlap(strips, seen(*rows, scores=(0.3, 0.9)), (320, 160), 9 / 16)
    np.testing.assert_allclose(swapped, [right, left], rtol=1e-6)
