"""Move a crop to where it is best: local search around the best candidate.

Candidates lie some percent of a side apart. Moving the best one in ever smaller steps lets a crop
follow a photo's content and not the grid of candidates, so small changes of a photo move it little.
Boxes are shares of the photo's sides.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from pipeline.boxes import FloatArray

ValueOf = Callable[[FloatArray], FloatArray]  # boxes [N, 4] -> [N], higher is better

STEPS = (
    0.02,
    0.007,
)  # shares of the crop's own sides: a third of the candidates' distance, then less
MOVES_A_STEP = 2
NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=3)), np.float64)  # right, down, larger


def refine(box: FloatArray, value_of: ValueOf, largest_width: float = 1.0) -> FloatArray:
    """The best box near `box` [4], of its ratio and inside the photo.

    Each move looks at the neighbours and goes to the best of them, as long as one is better, at
    most MOVES_A_STEP times a step. largest_width: of the largest crop of the shape; 1 for any.
    """
    for step in STEPS:
        for _ in range(MOVES_A_STEP):
            boxes = np.concatenate([box[None], neighbours(box, step, largest_width)])
            best = boxes[int(value_of(boxes).argmax())]
            if np.array_equal(best, box):
                break
            box = best
    return box


def neighbours(box: FloatArray, step: float, largest_width: float) -> FloatArray:
    """Boxes [27, 4] of the ratio of `box` [4], moved and resized by `step` of its sides."""
    sides = box[2:] - box[:2]
    limit = min(largest_width / sides[0], 1 / sides[0], 1 / sides[1])
    moves = step * NEIGHBOURS
    half = sides * np.minimum(1 + moves[:, 2:], limit) / 2
    centre = (box[:2] + box[2:]) / 2 + moves[:, :2] * sides
    centre = np.minimum(np.maximum(centre, half), 1 - half)
    return np.concatenate([centre - half, centre + half], axis=1)
