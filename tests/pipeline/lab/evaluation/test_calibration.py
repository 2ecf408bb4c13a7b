"""Calibration measures: by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from pipeline.lab.evaluation import calibration
from pipeline.lab.evaluation.calibration import (
    auc,
    bins_of,
    brier,
    calibration_error,
    photo_weights,
    reliability,
    with_interval,
)

ONES = np.ones(4)


def many(count: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidences in steps of .02, answers drawn with that probability, weights."""
    random = np.random.default_rng(0)
    confidence = random.integers(1, 50, count) / 50
    accepted = (random.random(count) < confidence).astype(float)
    return confidence, accepted, random.uniform(0.2, 2, count)


def test_the_calibration_error_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "BINS", 2)
    confidence, accepted = np.array([0.9, 0.1, 0.7, 0.3]), np.array([1, 0, 1, 1.0])
    low, high = reliability(confidence, accepted, ONES)
    assert (low.confidence, low.accepted, low.crops) == pytest.approx((0.2, 0.5, 2))
    assert (high.confidence, high.accepted, high.share) == pytest.approx((0.8, 1.0, 0.5))
    assert calibration_error(confidence, accepted, ONES) == pytest.approx((0.3 + 0.2) / 2)


def test_weights_move_the_bins_and_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "BINS", 2)
    confidence, accepted = np.array([0.1, 0.3, 0.9]), np.array([0, 1, 1.0])
    low, high = reliability(confidence, accepted, np.array([3.0, 1, 4]))
    assert (low.confidence, low.accepted) == pytest.approx((0.15, 0.25))
    assert (high.confidence, high.crops) == (0.9, 1)


def test_equal_confidences_share_a_bin() -> None:
    (only,) = reliability(np.full(4, 0.6), np.array([1, 0, 1, 0.0]), ONES)
    assert (only.confidence, only.accepted, only.crops) == pytest.approx((0.6, 0.5, 4))
    assert calibration_error(np.full(4, 0.6), np.array([1, 0, 1, 0.0]), ONES) == pytest.approx(0.1)


def test_there_are_ten_bins_of_equal_weight() -> None:
    """Of 20 crops each tenth is a bin. A crop of no weight is in the bin that ends at its place."""
    confidence = np.arange(20) / 20
    assert bins_of(confidence, np.ones(20)).tolist() == [place // 2 for place in range(20)]
    bins = reliability(confidence, confidence, np.ones(20))
    assert [each.share for each in bins] == pytest.approx([0.1] * 10)
    assert bins_of(np.array([0.2, 0.4]), np.array([1.0, 0.0])).tolist() == [5, 9]


def test_every_photo_counts_the_same() -> None:
    assert photo_weights(["a", "b", "a"]).tolist() == [0.5, 1, 0.5]


def test_shares_of_people_count_as_that_many_answers() -> None:
    confidence, accepted = np.array([0.2, 0.8]), np.array([0.25, 0.5])
    # of 8 people: 1 yes and 3 no at .2, 2 yes and 2 no at .8
    told = np.repeat([0.2, 0.8], 4)
    answers = np.array([1, 0, 0, 0, 1, 1, 0, 0.0])
    assert brier(confidence, accepted, np.ones(2)) == pytest.approx(((told - answers) ** 2).mean())
    assert auc(confidence, accepted, np.ones(2)) == pytest.approx(roc_auc_score(answers, told))


def test_against_scikit_learn_with_ties_and_weights() -> None:
    confidence, accepted, weights = many()
    area = roc_auc_score(accepted, confidence, sample_weight=weights)
    assert auc(confidence, accepted, weights) == pytest.approx(area)
    loss = brier_score_loss(accepted, confidence, sample_weight=weights)
    assert brier(confidence, accepted, weights) == pytest.approx(loss)


def test_answers_drawn_with_their_confidence_are_calibrated_and_shifted_ones_not() -> None:
    confidence, accepted, weights = many()
    assert calibration_error(confidence, accepted, weights) < 0.04
    shifted = np.clip(confidence - 0.2, 0, 1)
    assert calibration_error(shifted, accepted, weights) > 0.15


def test_where_all_or_none_are_accepted_there_is_no_area() -> None:
    assert np.isnan(auc(np.array([0.2, 0.4]), np.ones(2), np.ones(2)))
    assert np.isnan(auc(np.array([0.2, 0.4]), np.zeros(2), np.ones(2)))


def test_crops_of_one_photo_are_drawn_together() -> None:
    # two photos, each of 50 equal crops: a sample has both (mean .5) or one of them (0 or 1)
    accepted = np.repeat([0.0, 1.0], 50)
    photos = ["a"] * 50 + ["b"] * 50
    told = with_interval(
        lambda _, answers, weights: float(weights @ answers / weights.sum()),
        np.zeros(100), accepted, np.ones(100), photos, 200, 0,
    )  # fmt: skip
    assert told == {"mean": 0.5, "low": 0.0, "high": 1.0, "photos": 2}
