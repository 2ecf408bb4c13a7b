"""Compute the shares of boxes that a crop shows: inside its shape and not covered.

Boxes are xyxy in one frame, half-open. Areas are exact, including those inside a circle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.boxes import FloatArray, as_boxes
from pipeline.settings.safe_areas import Rectangle, SafeArea


def visible_shares(
    crops: ArrayLike, others: ArrayLike, area: SafeArea
) -> tuple[FloatArray, FloatArray]:
    """Compute the share of others [M, 4] that each of crops [N, 4] holds and shows: two of [N, M].

    The first is the share inside the crop, or inside its inscribed ellipse if the safe area is a
    circle. The second leaves out what is under a covered rectangle. All boxes have an area.
    """
    crops, others = as_boxes(crops), as_boxes(others)
    # Others are in shares of each crop's sides, so that a covered rectangle is the same in all.
    # They are kept edge by edge, since contiguous arrays are added up in half of the time.
    low = crops[:, :2].T[:, :, None]
    sides = crops[:, 2:].T[:, :, None] - low
    x, y = 0, 1
    placed = [(others[:, edge] - low[axis]) / sides[axis] for edge, axis in enumerate((x, y, x, y))]
    sizes = (placed[2] - placed[0]) * (placed[3] - placed[1])
    area_of = _in_ellipse if area.is_circle else _in_box
    inside = area_of(placed, (0.0, 0.0, 1.0, 1.0)) / sizes
    if not area.covered:
        return inside, inside
    hidden = sum(area_of(placed, rectangle) for rectangle in area.covered)
    return inside, np.maximum(inside - hidden / sizes, 0)


def most_held(crops: FloatArray, others: FloatArray) -> FloatArray:
    """Compute the share of others [M, 4] in crops of these sizes [N, 4], placed at best: [N, M]."""
    of_crops, of_others = (boxes[:, 2:] - boxes[:, :2] for boxes in (crops, others))
    return np.asarray(np.minimum(of_crops[:, None] / of_others, 1).prod(axis=2))


def _in_box(edges: Sequence[FloatArray], part: Rectangle) -> FloatArray:
    """Compute the area of boxes, given by four edges [...], in a part of the unit square: [...]."""
    x0, y0, x1, y1 = _clipped_edges(edges, part)
    return np.asarray((x1 - x0) * (y1 - y0))


def _in_ellipse(edges: Sequence[FloatArray], part: Rectangle) -> FloatArray:
    """Compute as `_in_box` the area of boxes in a part of the unit square's inscribed ellipse."""
    x0, y0, x1, y1 = (2 * edge - 1 for edge in _clipped_edges(edges, part))
    corners = _below(x1, y1) - _below(x0, y1) - _below(x1, y0) + _below(x0, y0)
    return np.asarray(np.maximum(corners, 0) / 4)


def _clipped_edges(edges: Sequence[FloatArray], part: Rectangle) -> list[FloatArray]:
    """Return the edges of boxes' intersections with a part; without area if they do not meet."""
    limits = zip(edges, part[:2] * 2, part[2:] * 2, strict=True)
    return [np.minimum(np.maximum(edge, low), high) for edge, low, high in limits]


def _below(x: FloatArray, y: FloatArray) -> NDArray[np.float64]:
    """Compute the area of the unit disk's points with coordinates below x and y, each in -1..1.

    With s(t) = √(1 - t²), column t of the disk reaches from -s(t) to s(t). Below y ≥ 0 it has the
    length s(t) + min(y, s(t)), below y < 0 it has s(t) + y where |t| < s(y), else none.
    """
    reach = np.sqrt(1 - y * y)  # |t| of the columns that y cuts
    middle = np.clip(x, -reach, reach)
    cut = y * (middle + reach) + _half(middle) - _half(-reach)
    left, right = np.minimum(x, -reach), np.maximum(x, reach)
    whole = 2 * (_half(left) + _half(right) - _half(reach))
    return np.where(y < 0, cut, cut + whole)


def _half(x: FloatArray) -> FloatArray:
    """Compute the area of the unit disk's upper half left of x: ∫ √(1 - t²) dt from -1 to x."""
    return np.asarray((x * np.sqrt(np.maximum(1 - x * x, 0)) + np.arcsin(x)) / 2 + np.pi / 4)
