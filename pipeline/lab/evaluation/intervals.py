"""The interval of a figure: where it lies on photos drawn anew, a bootstrap."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from pipeline.boxes import FloatArray

INSIDE_PERCENT = 95  # of the figures of resamples

Interval: TypeAlias = dict[str, float]  # mean, low, high, photos
IntervalOf: TypeAlias = Callable[[Iterable[float]], Interval]


def percentile_interval(value: float, drawn: FloatArray, photos: int) -> Interval:
    """A figure with the edges that INSIDE_PERCENT of the resamples lie between.

    value: on all photos, as many as `photos`. drawn: on each resample of them. [resamples]

    Resamples on which the figure is undefined, NaN, do not count. Where it is undefined on all
    photos, or on all resamples, so are the edges.
    """
    known = drawn[~np.isnan(drawn)]
    edges = (100 - INSIDE_PERCENT) / 2, (100 + INSIDE_PERCENT) / 2
    undefined = np.isnan(value) or not len(known)
    low, high = (np.nan, np.nan) if undefined else np.percentile(known, edges)
    return {"mean": float(value), "low": float(low), "high": float(high), "photos": photos}
