"""What people look at and keep in a photo, and where heads are: `Attention`, beside the objects.

Maps are grids of equal cells over the whole photo, so they hold in any frame: cell [i, j] of [h, w]
covers the shares j/w to (j+1)/w of the width and i/h to (i+1)/h of the height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray


@dataclass(frozen=True, eq=False)
class Attention:
    """Maps and heads of one photo.

    gaze: share of people's fixations that falls into each cell; its sum is 1. [h, w]
    kept: share of people whose own crop holds each cell, 0..1. [h, w]
    heads_rel: heads, hair included, as shares of the photo's sides, inside it. [H, 4] xyxy
    likelihood: of each head, 0..1. [H]
    """

    gaze: FloatArray
    kept: FloatArray
    heads_rel: NDArray[np.float64]
    likelihood: NDArray[np.float64]

    def focus_rel(self) -> tuple[float, float]:
        """Return the peak (x, y) of the gaze map as shares of the photo's sides, 0..1.

        It is the centre of mass of the 3 × 3 cells around the highest one, so it moves by less than
        a cell where two neighbours are nearly equal.
        """
        height, width = self.gaze.shape
        row, column = np.unravel_index(int(self.gaze.argmax()), self.gaze.shape)
        top, left = max(int(row) - 1, 0), max(int(column) - 1, 0)
        part = self.gaze[top : row + 2, left : column + 2]
        rows, columns = np.indices(part.shape)
        x = float((part * (columns + left + 0.5)).sum() / part.sum() / width)
        y = float((part * (rows + top + 0.5)).sum() / part.sum() / height)
        return x, y
