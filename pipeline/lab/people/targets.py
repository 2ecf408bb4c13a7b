"""Training targets of the people branches for one view: gaze map, map of keeping, heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray
from pipeline.lab.centre_maps import OFFSETS_FROM, bump_of, write_offsets

TargetMap = NDArray[np.float32]

# A head cut by the view is dropped below the first share of its area, unknown below the second.
SEEN_SHARES = (0.15, 0.5)


@dataclass(frozen=True, eq=False)
class HeadTarget:
    """Targets of heads on h × w cells.

    centres: 1 at a head's centre, falling off around it. [h, w]
    negative_weights: weight of "no head here". [h, w]
    offsets: from the cell's centre to the head's edges, in cells. [4, h, w]
    offset_weights: where offsets are learnt. [h, w]
    """

    centres: TargetMap
    negative_weights: TargetMap
    offsets: TargetMap
    offset_weights: TargetMap


def gaze_map(points: FloatArray, weights: FloatArray, height: int, width: int) -> TargetMap:
    """Count fixations [F, 2] (shares of the sides) in height × width cells, as shares of all.

    Each is spread over the four nearest cells. They are not blurred further: a map trained on
    blurred ones places crops worse, by .01 of the gaze kept at 9:16.
    """
    cells = np.zeros((height, width), np.float32)
    place = points * (width, height) - 0.5
    low = np.floor(place).astype(int)
    rest = place - low
    for right in (0, 1):
        for down in (0, 1):
            share = np.abs(1 - right - rest[:, 0]) * np.abs(1 - down - rest[:, 1])
            rows = np.clip(low[:, 1] + down, 0, height - 1)
            columns = np.clip(low[:, 0] + right, 0, width - 1)
            np.add.at(cells, (rows, columns), weights * share)
    return np.asarray((cells + 1e-6) / (cells + 1e-6).sum(), np.float32)


def kept_map(crops: FloatArray, height: int, width: int) -> TargetMap:
    """Compute the share of crops [C, 4] that contain each of height × width cells, C >= 1."""
    columns, rows = np.arange(width), np.arange(height)
    total = np.zeros((height, width))
    for x0, y0, x1, y1 in crops * (width, height, width, height):
        across = np.clip(np.minimum(columns + 1, x1) - np.maximum(columns, x0), 0, 1)
        down = np.clip(np.minimum(rows + 1, y1) - np.maximum(rows, y0), 0, 1)
        total += np.outer(down, across)
    return np.asarray(total / len(crops), np.float32)


def head_target(
    heads: FloatArray, height: int, width: int, negative_weights: TargetMap | None = None
) -> HeadTarget:
    """Make the targets of heads [H, 4], shares of the view's sides, which may be partly outside.

    negative_weights: weight of "no head here", [h, w]; None where all heads are known.
    """
    target = HeadTarget(
        np.zeros((height, width), np.float32),
        np.ones((height, width), np.float32)
        if negative_weights is None
        else negative_weights.copy(),
        np.zeros((4, height, width), np.float32),
        np.zeros((height, width), np.float32),
    )
    smallest = np.full((height, width), np.inf)
    limit = np.array([width, height, width, height])
    for whole in heads * limit:
        box = np.clip(whole, 0, limit)
        size = float(np.prod(np.clip(box[2:] - box[:2], 0, None)))
        seen = size / max(float(np.prod(whole[2:] - whole[:2])), 1e-6)
        if seen < SEEN_SHARES[0]:
            continue
        if seen < SEEN_SHARES[1]:
            x0, y0, x1, y1 = np.floor(box).astype(int)
            target.negative_weights[y0 : y1 + 1, x0 : x1 + 1] = 0
            continue
        _draw(box, size, target, smallest)
    return target


def _draw(box: FloatArray, size: float, target: HeadTarget, smallest: FloatArray) -> None:
    """Draw one head (box in cells) into the targets; of two heads, the smaller keeps a cell."""
    bump = bump_of(box, *target.centres.shape)
    np.maximum(target.centres, bump, out=target.centres, casting="same_kind")
    near = (bump > OFFSETS_FROM) & (size < smallest)
    smallest[near] = size
    write_offsets(target.offsets, box, near)
    target.offset_weights[near] = 1
