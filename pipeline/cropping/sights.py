"""Find sights: single things that people look at, told apart where no detected object does so.

Two flowers, two plates or two animals may not have a box each, but the gaze map has a peak on each
and the subject map a gap between them. The product of both maps is blurred and cut into the basins
of its peaks, by the watershed transform of the inverted map by steepest ascent (Vincent and Soille,
"Watersheds in digital spaces", IEEE PAMI 13(6), 1991).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.boxes import FloatArray
from pipeline.detectors.attention import ramp

# Standard deviation of the blur, in cells. With 2 cells as many sights are found, but copies of a
# photo differ in them more often (IoU of their crops below .6: 69 instead of 53 of 6,972 pairs).
BLUR = 2.5
# A sight has no weight up to the first share of all gaze, and full weight from the second on.
COUNTS = (0.1, 0.2)


class Sights(NamedTuple):
    """K sights of one photo, in no order.

    maps: the map of each, over the whole photo; the cells of each sum to 1. [K, h, w]
    weights: share of all gaze, less for those looked at little. [K]
    """

    maps: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, gaze: FloatArray, subject: FloatArray | None) -> Sights:
        """Find sights. gaze, subject: see `Attention`; without a subject map there are none."""
        if subject is None:
            return cls(np.zeros((0, *gaze.shape)), np.zeros(0))
        product = gaze * subject
        flat = product.astype(np.float32)
        blurred = cv2.GaussianBlur(flat, (0, 0), BLUR, borderType=cv2.BORDER_REFLECT)
        places = basins(blurred)
        shares = np.bincount(places, gaze.ravel())
        peaks = np.flatnonzero(shares > COUNTS[0])
        own = (places == peaks[:, None]) * product.ravel()  # [K, h · w]
        sums = own.sum(axis=1)
        seen = sums > 0  # where nothing is the subject, there is nothing to split
        maps = (own[seen] / sums[seen, None]).reshape(-1, *gaze.shape)
        weights = shares[peaks][seen]
        return cls(maps, weights * ramp(weights, *COUNTS))


def basins(values: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the peak that steepest ascent leads to from each cell of a map [h, w]: [h · w].

    Each step goes to the highest of the nine cells around, the first of equal ones, so a flat area
    belongs to one peak. Peaks are flat indices, row · w + column.
    """
    width = values.shape[1]
    around = sliding_window_view(np.pad(values, 1, constant_values=-np.inf), (3, 3))
    down, right = np.divmod(around.reshape(-1, 9).argmax(axis=1), 3)
    above: NDArray[np.intp] = np.arange(values.size) + (down - 1) * width + right - 1
    while not np.array_equal(higher := above[above], above):
        above = higher
    return above
