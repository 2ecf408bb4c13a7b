"""Measures against the golden file and against small hand-calculated cases."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pipeline import metrics
from pipeline.errors import UsageError

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "metrics.json").read_text())
IMAGES = list(zip(GOLDEN["ground_truth"], GOLDEN["predicted"], strict=True))


def test_golden_srcc() -> None:
    mean = np.mean([metrics.srcc(truth, guess) for truth, guess in IMAGES])
    assert mean == pytest.approx(GOLDEN["srcc"], abs=1e-12)


@pytest.mark.parametrize("n", [5, 10])
def test_golden_acc(n: int) -> None:
    mean = np.mean([metrics.mean_acc(truth, guess, n=n) for truth, guess in IMAGES])
    assert mean == pytest.approx(GOLDEN[f"acc{n}"], abs=1e-12)


def test_srcc_shares_ranks() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert metrics.srcc([1, 2, 2, 9], [0, 1, 2, 3]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_pcc_by_hand() -> None:
    # Deviations −1, 0, 1 and −2, −1, 3: 5 / √(2 · 14).
    assert metrics.pcc([1, 2, 3], [0, 1, 5]) == pytest.approx(5 / math.sqrt(28))


def test_constant_lists_order_nothing() -> None:
    assert metrics.srcc([1, 2, 3], [0.1, 0.1, 0.1]) == 0.0
    assert metrics.pcc([0.1, 0.1, 0.1], [1, 2, 3]) == 0.0


def test_acc_counts_ties_as_hits() -> None:
    truth = [5, 4, 3, 3, 1]
    # The three best predicted are indices 4, 3, 2; the third best true score is 3.
    assert metrics.acc(truth, [0, 1, 2, 3, 4], k=3, n=3) == pytest.approx(2 / 3)
    # Equal predictions are taken by index: 0 and 1.
    assert metrics.acc(truth, [7, 7, 7, 7, 7], k=2, n=1) == pytest.approx(1 / 2)
    # The same of many: 1, 3 and 5, which are also the best ones.
    many = [0 if place % 2 == 0 else 40 - place for place in range(40)]
    assert metrics.acc(many, [7, 8] * 20, k=3, n=3) == 1


def test_acc_of_few_crops() -> None:
    """With fewer than n, every crop is a hit; with fewer than k, the share is over all."""
    assert metrics.acc([3, 2], [0, 1], k=1, n=5) == 1
    assert metrics.acc([3, 2], [0, 1], k=4, n=1) == 1 / 2
    assert metrics.acc_weighted([3, 2], [1, 0], k=4, n=5) == 1


def test_acc_weighted_by_hand() -> None:
    truth = [9, 8, 7, 6, 5, 4]
    # Chosen: indices 2 and 0, true ranks sorted 0 and 2; with n = 5, the second is one late.
    guess = [5, 0, 6, 0, 0, 0]
    assert metrics.acc_weighted(truth, guess, k=2, n=5) == pytest.approx((1 + math.exp(-0.2)) / 2)
    # With n = 2 rank 2 earns nothing.
    assert metrics.acc_weighted(truth, guess, k=2, n=2) == pytest.approx(1 / 2)


def test_acc_weighted_gives_ties_no_credit() -> None:
    # Both true scores are equal; index 1 has true rank 1, so it is one late.
    assert metrics.acc_weighted([3, 3, 1], [0, 1, 0], k=1, n=2) == pytest.approx(math.exp(-0.5))
    assert metrics.acc([3, 3, 1], [0, 1, 0], k=1, n=1) == 1.0


def test_iou_by_hand() -> None:
    assert metrics.iou([0, 0, 4, 4], [2, 2, 6, 6]) == pytest.approx(4 / 28)
    assert metrics.iou([0, 0, 1, 1], [5, 5, 6, 6]) == 0.0
    assert metrics.iou([1, 1, 1, 1], [1, 1, 1, 1]) == 0.0
    a = np.array([[0, 0, 2, 2], [0, 0, 4, 2]])
    matrix = metrics.iou(a[:, None], a)
    np.testing.assert_allclose(matrix, [[1, 0.5], [0.5, 1]])


def test_bde_takes_the_nearest_truth() -> None:
    truths = [[0, 0, 100, 50], [10, 5, 90, 45]]
    # Against the second: 5/100, 0, 5/100, 5/50 over four edges.
    expected = (0.05 + 0 + 0.05 + 0.1) / 4
    assert metrics.bde([15, 5, 85, 40], truths, 100, 50) == pytest.approx(expected)


@pytest.mark.parametrize("pair", [([], []), ([1, 2], [1]), ([[1], [2]], [[1], [2]])])
def test_misshapen_scores_are_refused(pair: tuple[list[float], list[float]]) -> None:
    with pytest.raises(UsageError, match="equal length"):
        metrics.srcc(*pair)


def test_misshapen_scores_are_told_in_their_order() -> None:
    for measure in (metrics.srcc, metrics.pcc):
        with pytest.raises(UsageError, match=r"got shapes \(2,\) and \(1,\)"):
            measure([1, 2], [1])
    for ranked in (metrics.acc, metrics.acc_weighted):
        with pytest.raises(UsageError, match=r"got shapes \(2,\) and \(1,\)"):
            ranked([1, 2], [1], k=1, n=1)


def test_unusable_values_are_refused() -> None:
    with pytest.raises(UsageError, match="finite"):
        metrics.pcc([1, math.nan], [1, 2])
    with pytest.raises(UsageError, match="finite"):
        metrics.pcc([1, 2], [1, math.inf])
    for measure in (metrics.acc, metrics.acc_weighted):
        for name, numbers in (("k", {"k": 0, "n": 1}), ("n", {"k": 1, "n": 0})):
            with pytest.raises(UsageError, match=f"{name} must be at least 1, got 0"):
                measure([1, 2], [1, 2], **numbers)
    with pytest.raises(UsageError, match="xyxy"):
        metrics.iou([1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(UsageError, match="ground-truth"):
        metrics.bde([0, 0, 1, 1], np.empty((0, 4)), 10, 10)
    for width, height in ((0, 10), (10, 0)):
        with pytest.raises(UsageError, match="a photo with an area"):
            metrics.bde([0, 0, 1, 1], [[0, 0, 1, 1]], width, height)
    assert metrics.bde([0, 0, 1, 1], [[0, 0, 1, 0.5]], 0.5, 0.5) == 0.25  # of sides below 1
