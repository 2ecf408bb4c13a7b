"""The bootstrap interval of a figure: its range on resampled photos."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from pipeline.boxes import FloatArray

INTERVAL_PERCENT = 95  # of the figures of resamples
DRAWN_AT_ONCE = 1 << 18  # photos; each takes 16 bytes while a figure is resampled

Interval: TypeAlias = dict[str, float]  # mean, low, high, photos
IntervalOf: TypeAlias = Callable[[Iterable[float]], Interval]


def holds_0(interval: Interval) -> bool:
    """Return whether 0 is within the bounds."""
    return interval["low"] <= 0 <= interval["high"]


def percentile_interval(value: float, drawn: FloatArray, photos: int) -> Interval:
    """Return a figure with the bounds that contain INTERVAL_PERCENT of its resamples.

    value: the figure on all photos. drawn: on each resample of them, [resamples]. photos: how many.

    Resamples on which the figure is undefined (NaN) do not count. Where it is undefined on all
    photos together, or on every resample, the bounds are NaN too.
    """
    known = drawn[~np.isnan(drawn)]
    edges = (100 - INTERVAL_PERCENT) / 2, (100 + INTERVAL_PERCENT) / 2
    undefined = np.isnan(value) or not len(known)
    low, high = (np.nan, np.nan) if undefined else np.percentile(known, edges)
    return {"mean": float(value), "low": float(low), "high": float(high), "photos": photos}


def bootstrap(resamples: int, seed: int) -> IntervalOf:
    """Make a function from values to their mean and the percentile interval of the mean.

    Every call starts from the same seed, so a figure does not depend on earlier calls.
    """

    def interval(values: Iterable[float]) -> Interval:
        column, random = np.fromiter(values, np.float64), np.random.default_rng(seed)
        photos, most = len(column), max(1, DRAWN_AT_ONCE // len(column))
        means = [
            column[random.integers(0, photos, (min(most, resamples - done), photos))].mean(axis=1)
            for done in range(0, resamples, most)
        ]
        return percentile_interval(float(column.mean()), np.concatenate(means), photos)

    return interval
