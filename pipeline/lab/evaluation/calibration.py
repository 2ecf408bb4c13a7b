"""Calibration: whether crops are accepted as often as their confidence predicts.

Crops are given as their confidence [N], accepted [N] (the share of people who accept each, 0..1)
and weights [N]. Measures take weights, so that a bootstrap over photos changes only the weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray
from pipeline.lab.evaluation.intervals import Interval, percentile_interval

BINS = 10  # of equal weight

CalibrationMeasure = Callable[[FloatArray, FloatArray, FloatArray], float]


@dataclass(frozen=True)
class ReliabilityBin:
    """Crops of similar confidence. confidence, accepted: weighted means; share: of all weight."""

    confidence: float
    accepted: float
    share: float
    crops: int


def bins_of(confidence: FloatArray, weights: FloatArray) -> NDArray[np.int64]:
    """Assign each crop a bin, 0 to BINS - 1, by rising confidence: [N].

    Bins have about equal weight. Equal values of confidence share a bin.
    """
    values, places = np.unique(confidence, return_inverse=True)
    each = np.bincount(places, weights, len(values))
    middle = (np.cumsum(each) - each / 2) / each.sum()
    bins: NDArray[np.int64] = np.minimum((middle * BINS).astype(np.int64), BINS - 1)[places]
    return bins


def reliability(
    confidence: FloatArray, accepted: FloatArray, weights: FloatArray
) -> list[ReliabilityBin]:
    """Return the bins that contain crops of some weight, by rising confidence."""
    bins, found = bins_of(confidence, weights), []
    for number in range(BINS):
        inside = bins == number
        weight = weights[inside].sum()
        if weight > 0:
            mean_confidence, mean_accepted = (
                float(weights[inside] @ column[inside] / weight)
                for column in (confidence, accepted)
            )
            share = float(weight / weights.sum())
            found.append(ReliabilityBin(mean_confidence, mean_accepted, share, int(inside.sum())))
    return found


def calibration_error(confidence: FloatArray, accepted: FloatArray, weights: FloatArray) -> float:
    """Compute the ECE: mean |accepted - confidence| over the bins of `reliability`.

    The expected calibration error of Naeini, Cooper and Hauskrecht, AAAI 2015, with bins of equal
    weight. On a few hundred crops, chance alone makes it some hundredths. Resampling adds to it, so
    its interval is biased upwards.
    """
    bins = reliability(confidence, accepted, weights)
    return sum(each.share * abs(each.accepted - each.confidence) for each in bins)


def brier(confidence: FloatArray, accepted: FloatArray, weights: FloatArray) -> float:
    """Compute the mean squared error of the probability of one person's answer (Brier, 1950)."""
    squared = accepted * (1 - confidence) ** 2 + (1 - accepted) * confidence**2
    return float(weights @ squared / weights.sum())


def auc(confidence: FloatArray, accepted: FloatArray, weights: FloatArray) -> float:
    """Compute the area under the ROC curve.

    It is the chance that an accepted crop has more confidence than one that is not accepted. Equal
    confidences count half. NaN where all or none are accepted.
    """
    values, places = np.unique(confidence, return_inverse=True)
    yes = np.bincount(places, weights * accepted, len(values))
    no = np.bincount(places, weights * (1 - accepted), len(values))
    if not (yes.sum() > 0 and no.sum() > 0):
        return float("nan")
    lower = np.cumsum(no) - no / 2
    return float(yes @ lower / (yes.sum() * no.sum()))


MEASURED: Mapping[str, CalibrationMeasure] = {"ece": calibration_error, "auc": auc, "brier": brier}
"""The measures of a set of crops, by the key of its figures."""


def photo_weights(photos: Sequence[str]) -> FloatArray:
    """Return weights [N] by which every photo counts 1, however many crops it has.

    photos: the photo of each crop, N.
    """
    _, photo_of, count = np.unique(np.asarray(photos), return_inverse=True, return_counts=True)
    return np.asarray(1 / count[photo_of])


def calibration_figures(
    confidence: FloatArray, accepted: FloatArray, photos: Sequence[str], resamples: int, seed: int
) -> dict[str, Any]:
    """Compute counts, means, and MEASURED with intervals; every photo counts 1."""
    weights = photo_weights(photos)
    return {
        "crops": len(photos),
        "accepted": float(weights @ accepted / weights.sum()),
        "confidence": float(weights @ confidence / weights.sum()),
        **{
            name: with_interval(measure, confidence, accepted, weights, photos, resamples, seed)
            for name, measure in MEASURED.items()
        },
    }


def with_interval(
    measure: CalibrationMeasure,
    confidence: FloatArray,
    accepted: FloatArray,
    weights: FloatArray,
    photos: Sequence[str],
    resamples: int,
    seed: int,
) -> Interval:
    """Compute a measure and its interval over resampled photos.

    photos: the photo of each crop, N; crops of one photo stay together.
    """
    _, photo_of = np.unique(np.asarray(photos), return_inverse=True)
    count = int(photo_of.max()) + 1
    random = np.random.default_rng(seed)
    drawn = [
        measure(confidence, accepted, weights * times[photo_of])
        for times in (_times_drawn(count, random) for _ in range(resamples))
    ]
    return percentile_interval(measure(confidence, accepted, weights), np.array(drawn), count)


def _times_drawn(count: int, random: np.random.Generator) -> FloatArray:
    """Draw `count` photos with replacement; return how often each was drawn."""
    return np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
