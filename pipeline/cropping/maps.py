"""Summed-area tables: sums of maps over boxes, exact and continuous in the boxes' edges."""

from __future__ import annotations

import numpy as np

from pipeline.boxes import FloatArray


class Integral:
    """The summed-area table of maps over the whole photo (Crow, SIGGRAPH 1984).

    A cell's value is spread evenly over it, so a sum changes smoothly with a box's edges. Otherwise
    crops would jump from cell to cell.
    """

    def __init__(self, cells: FloatArray) -> None:
        """cells: [M, h, w], any units."""
        maps, self._height, self._width = cells.shape
        sums = np.zeros((self._height + 1, self._width + 1, maps))
        sums[1:, 1:] = cells.transpose(1, 2, 0).cumsum(axis=0).cumsum(axis=1)
        self.totals = sums[-1, -1]  # [M]
        self._sums = sums.reshape(-1, maps)

    def inside(self, boxes_rel: FloatArray) -> FloatArray:
        """Sums over each of boxes [N, 4], shares of the sides; parts outside count 0: [M, N]."""
        edges = np.minimum(np.maximum(boxes_rel, 0), 1)
        x = edges[:, [2, 0, 2, 0]].T.ravel() * self._width
        y = edges[:, [3, 3, 1, 1]].T.ravel() * self._height
        at = self._at(x, y).reshape(4, len(boxes_rel), -1)
        return np.asarray((at[0] - at[1] - at[2] + at[3]).T)

    def _at(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Sums from (0, 0) to each (x, y) in cells, bilinear between cells' corners: [P, M]."""
        column = np.minimum(x.astype(np.int64), self._width - 1)
        row = np.minimum(y.astype(np.int64), self._height - 1)
        right, down = (x - column)[:, None], (y - row)[:, None]
        corner = row * (self._width + 1) + column
        width = self._width + 1
        places = np.concatenate([corner, corner + 1, corner + width, corner + width + 1])
        # One call for the four corners: on the few boxes of a move, calls are what costs.
        four = self._sums.take(places, axis=0).reshape(4, len(x), -1)
        four[::2] *= 1 - right
        four[1::2] *= right
        upper, lower = four[0] + four[1], four[2] + four[3]
        upper *= 1 - down
        lower *= down
        return np.asarray(upper + lower)
