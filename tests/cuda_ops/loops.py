"""RoIAlign and RoDAlign as loops over single numbers: slow, and nothing shared with the product."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def sample(features: Array, row: float, column: float) -> Array:
    """One bilinear tap of features [C, H, W]; the offset from the top-left cell is not clamped."""
    _, height, width = features.shape
    top, left = min(math.floor(row), height - 2), min(math.floor(column), width - 2)
    down, right = row - top, column - left
    upper = (1 - right) * features[:, top, left] + right * features[:, top, left + 1]
    lower = (1 - right) * features[:, top + 1, left] + right * features[:, top + 1, left + 1]
    result: Array = (1 - down) * upper + down * lower
    return result


def average(point: Callable[[int, int], Array], size: int) -> Array:
    """[C, A, A] means of the 2 x 2 neighbours among points (p, q), p and q in 0..A."""
    return np.array(
        [
            [
                (point(p, q) + point(p, q + 1) + point(p + 1, q) + point(p + 1, q + 1)) / 4
                for q in range(size)
            ]
            for p in range(size)
        ]
    ).transpose(2, 0, 1)


def roi_align(features: Array, box: Array, size: int, scale: float) -> Array:
    """[C, A, A] of one box (x0, y0, x1, y1) in one map [C, H, W]."""
    channels, height, width = features.shape
    x0, y0, x1, y1 = box * scale
    roi_width, roi_height = max(x1 - x0 + 1, 0), max(y1 - y0 + 1, 0)

    def point(p: int, q: int) -> Array:
        row, column = y0 + p * roi_height / size, x0 + q * roi_width / size
        if row < 0 or row >= height or column < 0 or column >= width:
            return np.zeros(channels)
        return sample(features, row, column)

    return average(point, size)


def rod_align(features: Array, box: Array, size: int, scale: float) -> Array:
    """[C, A, A] of one box (x0, y0, x1, y1) in one map [C, H, W]."""
    channels, height, width = features.shape
    x0, y0, x1, y1 = box * scale

    def point(p: int, q: int) -> Array:
        row, column = p * (height - 1.001) / size, q * (width - 1.001) / size
        if y0 <= row <= y1 and x0 <= column <= x1:
            return np.zeros(channels)
        return sample(features, row, column)

    return average(point, size)
