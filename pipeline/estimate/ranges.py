"""Compute 95 % ranges of figures: bootstrap percentiles and Wilson's interval."""

import math
from dataclasses import dataclass

import numpy as np

Z = 1.959964  # of a normal distribution: 95 % lie within ± Z standard deviations

Draws = np.ndarray  # [repeats], one figure in every repeat of a bootstrap


@dataclass(frozen=True)
class Range:
    """A figure, with a range that contains it in 95 of 100 samples."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Range":
        return Range(self.value * factor, self.low * factor, self.high * factor)

    def plus(self, more: float) -> "Range":
        return Range(self.value + more, self.low + more, self.high + more)


def percentiles(value: float, draws: Draws) -> Range:
    """Return the middle 95 % of a bootstrap's draws, widened to include the value if needed."""
    low, high = map(float, np.percentile(draws, [2.5, 97.5]))
    return Range(float(value), min(low, float(value)), max(high, float(value)))


def wilson(count: float, of: int, unknown: float = 1.0) -> Range:
    """Return a share with Wilson's interval, which is never empty: for 0 of n it ends at z²/(n+z²).

    unknown: the factor by which the range shrinks because part of the whole is known.
    """
    share, spread = count / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    low, high = (share + (end - share) * unknown for end in (middle - half, middle + half))
    return Range(share, max(0.0, low), min(1.0, high))
