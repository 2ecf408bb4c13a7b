"""How well predicted scores and chosen crops agree with people, one image at a time.

These are the measures of the cropping literature: rank correlation and accuracy of GAIC (Zeng et
al., CVPR 2019), its rank-weighted accuracy, and overlap and boundary displacement for data sets
with only the best crops. Data-set figures are means of these over images.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.boxes import FloatArray, as_boxes, iou
from pipeline.errors import UsageError
from pipeline.extras import extra_needed

KS, NS = (1, 2, 3, 4), (5, 10)
"""K and N of the literature's Acc_K/N."""


def srcc(ground_truth: ArrayLike, predicted: ArrayLike) -> float:
    """Compute Spearman's rank correlation of two [N] score lists; ties share their mean rank.

    0.0 where either list is constant, since it then has no order. Raises UsageError.
    """
    with extra_needed():
        from scipy import stats  # slow to import

    truth, guess = _pair(ground_truth, predicted)
    return 0.0 if _is_constant(truth, guess) else float(stats.spearmanr(truth, guess).statistic)


def pcc(ground_truth: ArrayLike, predicted: ArrayLike) -> float:
    """Compute Pearson's correlation of two [N] score lists; 0.0 where either is constant."""
    with extra_needed():
        from scipy import stats

    truth, guess = _pair(ground_truth, predicted)
    return 0.0 if _is_constant(truth, guess) else float(stats.pearsonr(truth, guess).statistic)


def acc(ground_truth: ArrayLike, predicted: ArrayLike, k: int, n: int) -> float:
    """Compute Acc_K/N: the share of the k best predicted crops that are among the n best true ones.

    A true score equal to the n-th best is a hit; equal predictions are taken in index order. With
    fewer than n crops, every crop is a hit; with fewer than k, the share is over all crops.
    """
    truth, guess = _pair(ground_truth, predicted)
    _check_positive(k=k, n=n)
    threshold = np.sort(truth)[::-1][min(n, len(truth)) - 1]
    chosen = _best_first(guess)[:k]
    return float(np.mean(truth[chosen] >= threshold))


def mean_acc(ground_truth: ArrayLike, predicted: ArrayLike, n: int) -> float:
    """Compute Acc_N, the literature's "Acc5" and "Acc10": the mean of Acc_K/N over KS."""
    return float(np.mean([acc(ground_truth, predicted, k=k, n=n) for k in KS]))


def acc_weighted(ground_truth: ArrayLike, predicted: ArrayLike, k: int, n: int) -> float:
    """Compute rank-weighted accuracy: (1/k) Σ_j [r_j < n] · exp(−(r_j − j) / n), j = 0 … k−1.

    r_0 ≤ … ≤ r_{k−1} are the true ranks (0 = best) of the k best predicted. Equal true scores
    are ranked in index order, so that a tie earns no credit.
    """
    truth, guess = _pair(ground_truth, predicted)
    _check_positive(k=k, n=n)
    rank_of = np.empty(len(truth), dtype=np.int64)
    rank_of[_best_first(truth)] = np.arange(len(truth))
    ranks = np.sort(rank_of[_best_first(guess)[:k]])
    credit = np.where(ranks < n, np.exp(-(ranks - np.arange(len(ranks))) / n), 0.0)
    return float(np.mean(credit))


def bde(box: ArrayLike, truth_boxes: ArrayLike, width: float, height: float) -> float:
    """Compute the boundary displacement error of an xyxy box [4] to acceptable boxes [M, 4].

    It is the mean distance of the four edges, x as a share of the photo's width and y of its
    height, to the ground truth of highest IoU (the first of equals).
    """
    guess, truths = as_boxes(box), np.atleast_2d(as_boxes(truth_boxes))
    if len(truths) == 0 or not (width > 0 and height > 0):
        raise UsageError("bde needs at least one ground-truth box and a photo with an area")
    nearest = truths[int(np.argmax(iou(guess, truths)))]
    return float(np.mean(np.abs(guess - nearest) / np.array([width, height, width, height])))


def _pair(ground_truth: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    truth = np.asarray(ground_truth, dtype=np.float64)
    guess = np.asarray(predicted, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != guess.shape or len(truth) == 0:
        raise UsageError(
            f"expected two score lists of one image and equal length, got shapes {truth.shape} "
            f"and {guess.shape}; average over images yourself"
        )
    if not (np.isfinite(truth).all() and np.isfinite(guess).all()):
        raise UsageError("scores must be finite: leave out crops that nobody annotated")
    return truth, guess


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}")


def _best_first(scores: FloatArray) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")


def _is_constant(*lists: FloatArray) -> bool:
    return any(np.ptp(scores) == 0 for scores in lists)
