"""Compute how good the places of crops are by the placement that the detector predicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray
from pipeline.detectors.attention import Placement

# An edge this near to the photo's own, as a share of the side, cuts the less the nearer it is.
BORDER = 0.02


class PlacementValue:
    """How good each place of the largest crop of a shape is, in one photo.

    Smaller crops have the place of the largest one at their centre: placement compares places, not
    sizes. Profiles are interpolated between columns, so that a value changes smoothly with a place.
    """

    def __init__(self, placement: Placement) -> None:
        """Keep the profiles of a photo."""
        across, down = placement.across, placement.down
        self._sums = _Profiles([np.append(0.0, np.cumsum(one.worth)) for one in (across, down)])
        self._costs = _Profiles([one.edge_cost for one in (across, down)])
        self._counts = np.array([len(across.worth), len(down.worth)])

    def __call__(self, boxes: FloatArray, ratio: float | FloatArray) -> FloatArray:
        """Compute how good the places of boxes [..., N, 4] are, shares of the sides: [..., N].

        ratio: width / height of each shape as shares of the sides. [..., 1]
        """
        axis = np.asarray(np.greater_equal(ratio, 1), np.intp)  # which one the crop moves along
        side = np.minimum(ratio, 1 / np.asarray(ratio))
        middle = (boxes[..., :2] + boxes[..., 2:]) / 2
        middle = np.where(axis, middle[..., 1], middle[..., 0])
        low = np.clip(middle - side / 2, 0, 1 - side)
        high, count = low + side, self._counts[axis]
        good = self._sums.at(axis, high * count) - self._sums.at(axis, low * count)
        for edge in (low, high):
            cut = np.clip(np.minimum(edge, 1 - edge) / BORDER, 0, 1)
            good -= cut * self._costs.at(axis, edge * count - 0.5)
        return np.asarray(good)


class _Profiles:
    """Two rows of numbers, interpolated linearly, one for each axis."""

    def __init__(self, rows: Sequence[FloatArray]) -> None:
        self._values = np.concatenate(rows)
        self._first = np.array([0, len(rows[0])])
        self._last = np.array([len(row) - 1.0 for row in rows])

    def at(self, axis: NDArray[np.intp], position: FloatArray) -> FloatArray:
        """Return the values at positions along an axis, those at the ends beyond them."""
        inside = np.clip(position, 0, self._last[axis])
        return np.interp(self._first[axis] + inside, np.arange(len(self._values)), self._values)
