"""Move crops to where they are best: local search around the best candidate of each shape.

Candidates are a few percent of a side apart. Moving the best one in ever smaller steps lets a crop
follow the photo's content and not the grid of candidates, so small changes to a photo move it
little.
Boxes are shares of the photo's sides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.extents import Extents

ValueOf = Callable[[FloatArray, Extents], FloatArray]
"""Maps boxes [S, 27, 4], 27 of each shape, and their extents to values [S, 27].
Higher is better."""

# Shares of the crop's own sides: a third of the candidates' distance, then less.
STEPS = (0.02, 0.007)
MOVES_PER_STEP = 2
LEAST_GAIN = 1e-12  # less is rounding: at the photo's edge many neighbours are the same box
_RIGHT, _DOWN, _LARGER = np.indices((3, 3, 3)).reshape(3, 27)
NEIGHBOURS = np.stack([_RIGHT, _DOWN, _LARGER], axis=1) - 1.0  # right, down, larger
# Nine of the 27 neighbours have all extents across (3 places of 3 sizes), and nine all those down.
_COLUMNS, _ROWS = 3 * _RIGHT + _LARGER, 3 * _DOWN + _LARGER
_ACROSS, _BELOW = np.flatnonzero(_DOWN == 0), np.flatnonzero(_RIGHT == 0)


def refine(
    boxes: FloatArray, values: FloatArray, value_of: ValueOf, largest_widths: FloatArray
) -> FloatArray:
    """Find the best box near each of boxes [S, 4], of its ratio and inside the photo: [S, 4].

    Each move goes to the best of the neighbours if that is better, at most MOVES_PER_STEP times per
    step size. values: of the boxes, [S]. largest_widths: of the largest crop of each shape, 1 for
    any; [S].
    """
    boxes, values = boxes.copy(), values.copy()
    places = np.arange(len(boxes))
    for step in STEPS:
        for _ in range(MOVES_PER_STEP):
            near = neighbours(boxes, step, largest_widths)
            found = value_of(near, extents_of(near))
            best = found.argmax(axis=1)
            better = places[found[places, best] > values + LEAST_GAIN]
            if not len(better):  # no box would move in the next pass either
                break
            boxes[better] = near[better, best[better]]
            values[better] = found[better, best[better]]
    return boxes


def neighbours(boxes: FloatArray, step: float, largest_widths: FloatArray) -> FloatArray:
    """Move and resize boxes [S, 4] by `step` of their sides, keeping ratios: [S, 27, 4]."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    sides = high - low  # [S, 1, 2]
    limits = np.minimum(largest_widths / sides[:, 0, 0], 1 / sides[:, 0, 1])
    moves = step * NEIGHBOURS
    half = sides * np.minimum(1 + moves[:, 2:], limits[:, None, None]) / 2
    centre = (low + high) / 2 + moves[:, :2] * sides
    centre = np.minimum(np.maximum(centre, half), 1 - half)
    return np.concatenate([centre - half, centre + half], axis=2)


def extents_of(near: FloatArray) -> Extents:
    """Return the extents of the boxes that `neighbours` returns."""
    return Extents(near[:, _ACROSS, ::2], near[:, _BELOW, 1::2], _COLUMNS, _ROWS)
