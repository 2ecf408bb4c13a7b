"""The model of how people crop, against hand-calculated cases and known behaviour of people."""

import numpy as np
import pytest

from pipeline.lab.starter.simulated_crops import (
    SimulatedCrops,
    at_ratio,
    expected_iou,
    jittered,
    simulate_crops,
)


def test_people_crop_around_their_subject() -> None:
    subject = np.array([[0.4, 0.3, 0.7, 0.6]])
    crops = simulate_crops(subject, np.ones(1), 2000, np.random.default_rng(0)).crops
    assert (crops[:, :2] >= 0).all()
    assert (crops[:, 2:] <= 1).all()
    middle = (crops[:, :2] + crops[:, 2:]).mean(axis=0) / 2
    # On average .46 x .96 of each gap goes: left .4 -> .177, right .3 -> .132, and so on.
    np.testing.assert_allclose(middle, [(0.177 + 0.868) / 2, (0.132 + 0.823) / 2], atol=0.02)


def test_people_divide_between_the_subjects() -> None:
    subjects = np.array([[0.0, 0.4, 0.2, 0.6], [0.8, 0.4, 1.0, 0.6]])
    crops = simulate_crops(subjects, np.array([3.0, 1.0]), 4000, np.random.default_rng(1)).crops
    assert (crops[:, 0] < 1 - crops[:, 2]).mean() == pytest.approx(0.75, abs=0.03)


def two_people() -> SimulatedCrops:
    """One keeps the whole photo, one its left half; their subject is in the middle of that half."""
    crops = np.array([[0.0, 0, 1, 1], [0, 0, 0.5, 1]])
    return SimulatedCrops(crops, np.tile([0.2, 0.4, 0.3, 0.6], (2, 1)))


def test_expected_iou_by_hand() -> None:
    crops = np.array([[0.0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    np.testing.assert_allclose(expected_iou(crops, two_people()), [0.75, 0.25])


def test_asked_for_a_ratio_people_keep_their_subject() -> None:
    # Both can only give the largest crop of ratio .5; the first one's stays as central as the
    # subject lets it (.2 is its left edge), the second one's is what it was.
    expected = [[0.2, 0, 0.7, 1], [0, 0, 0.5, 1]]
    np.testing.assert_allclose(at_ratio(two_people(), 0.5), expected)


def test_people_too_large_a_subject_for_a_ratio_show_its_middle() -> None:
    people = SimulatedCrops(np.array([[0.0, 0, 1, 1]]), np.array([[0.1, 0.2, 0.9, 0.6]]))
    np.testing.assert_allclose(at_ratio(people, 0.5), [[0.25, 0, 0.75, 1]])


def test_people_of_the_crop_s_own_ratio_count_most() -> None:
    crops = np.array([[0.0, 0, 0.5, 1]])
    far = np.exp(-0.5 * (np.log(2) / 0.3) ** 2)  # one person is ln 2 / .3 deviations away
    many = (far + 1) / 2 / ((far + 1) / 2 + 0.25)
    own = (0.5 * (far + 0.02) + 1.0 * 1.02) / (far + 1.04)
    asked = (0.3 / 0.7 + 1) / 2  # [.2, .7] and [0, .5] share .3 of .7
    expected = many * own + (1 - many) * asked
    np.testing.assert_allclose(expected_iou(crops, two_people(), ratio=0.5), [expected])


def test_shaken_boxes_are_boxes_inside() -> None:
    boxes = jittered(np.tile([0.0, 0.9, 0.05, 1.0], (500, 1)), 0.3, np.random.default_rng(0))
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 1
