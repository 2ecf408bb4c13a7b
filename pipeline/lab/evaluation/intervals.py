"""The bootstrap interval of a figure: its range on resampled photos."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from pipeline.boxes import FloatArray

INTERVAL_PERCENT = 95  # of the figures of resamples

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
