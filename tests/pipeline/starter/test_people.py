"""The model of how people crop, against hand-worked cases and what is known of real people."""

import numpy as np
import pytest

from pipeline.starter.people import draw_people, expected_iou, shaken


def test_people_crop_around_their_subject() -> None:
    subject = np.array([[0.4, 0.3, 0.7, 0.6]])
    crops = draw_people(subject, np.ones(1), 2000, np.random.default_rng(0))
    assert (crops[:, :2] >= 0).all()
    assert (crops[:, 2:] <= 1).all()
    middle = (crops[:, :2] + crops[:, 2:]).mean(axis=0) / 2
    # On average .46 x .96 of each gap goes: left .4 -> .177, right .3 -> .132, and so on.
    np.testing.assert_allclose(middle, [(0.177 + 0.868) / 2, (0.132 + 0.823) / 2], atol=0.02)


def test_people_divide_by_what_they_believe() -> None:
    subjects = np.array([[0.0, 0.4, 0.2, 0.6], [0.8, 0.4, 1.0, 0.6]])
    crops = draw_people(subjects, np.array([3.0, 1.0]), 4000, np.random.default_rng(1))
    assert (crops[:, 0] < 1 - crops[:, 2]).mean() == pytest.approx(0.75, abs=0.03)


def test_expected_iou_by_hand() -> None:
    people = np.array([[0.0, 0, 1, 1], [0, 0, 0.5, 1]])
    crops = np.array([[0.0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    np.testing.assert_allclose(expected_iou(crops, people), [0.75, 0.25])


def test_people_of_the_crop_s_own_ratio_count_most() -> None:
    people = np.array([[0.0, 0, 1, 1], [0, 0, 0.5, 1]])
    crops = np.array([[0.0, 0, 0.5, 1]])
    # ln 2 / .3 deviations apart: exp(-2.669) + .1 against 1 + .1
    far, near = np.exp(-0.5 * (np.log(2) / 0.3) ** 2) + 0.1, 1.1
    expected = (0.5 * far + 1.0 * near) / (far + near)
    np.testing.assert_allclose(expected_iou(crops, people, ratio=0.5), [expected])


def test_shaken_boxes_are_boxes_inside() -> None:
    boxes = shaken(np.tile([0.0, 0.9, 0.05, 1.0], (500, 1)), 0.3, np.random.default_rng(0))
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 1
