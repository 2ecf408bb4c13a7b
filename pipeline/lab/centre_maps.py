"""Training targets and focal loss of maps that are 1 at the centres of objects.

After Zhou et al., "Objects as Points", 2019; boxes are xyxy in cells of the map.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.boxes import FloatArray
from pipeline.detectors.people_head import BUMP_SHARE, LEAST_BUMP

OFFSETS_FROM = 0.4  # cells whose bump is higher learn the distances to the box's edges; set by hand
FOCAL_POWER, NEAR_POWER = 2, 4  # alpha and beta of Zhou et al.


def bump_of(box: FloatArray, height: int, width: int) -> FloatArray:
    """Compute the Gaussian of a box on [height, width] cells, 1 in the cell of its centre."""
    y, x = np.arange(height)[:, None], np.arange(width)
    side = np.maximum(LEAST_BUMP, BUMP_SHARE * (box[2:] - box[:2]))
    at = np.clip(np.rint((box[:2] + box[2:]) / 2 - 0.5), 0, [width - 1, height - 1])
    return np.asarray(np.exp(-(((x - at[0]) / side[0]) ** 2 + ((y - at[1]) / side[1]) ** 2) / 2))


def write_offsets(offsets: NDArray[np.float32], box: FloatArray, cells: NDArray[np.bool_]) -> None:
    """Write into some cells of offsets [4, h, w] how far the box's edges are from their centres.

    Left, top, right, bottom, in cells; 0 where an edge is passed. cells: [h, w]
    """
    y, x = np.arange(cells.shape[0])[:, None], np.arange(cells.shape[1])
    gaps = (x + 0.5 - box[0], y + 0.5 - box[1], box[2] - x - 0.5, box[3] - y - 0.5)
    for index, gap in enumerate(gaps):
        offsets[index][cells] = np.broadcast_to(np.maximum(gap, 0), cells.shape)[cells]


def focal_losses(
    logits: Tensor, centres: Tensor, negative_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the focal loss of each cell, and which cells are centres (1, else 0).

    centres: 1 at a centre, falling off around it. negative_weights: weight of "no centre here".
    All of the same shape; the caller sums and divides by the number of centres.
    """
    likely = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    at = (centres >= 0.999).float()
    missed = at * (1 - likely) ** FOCAL_POWER * likely.log()
    elsewhere = (1 - at) * negative_weights * (1 - centres) ** NEAR_POWER
    false = elsewhere * likely**FOCAL_POWER * (1 - likely).log()
    return -(missed + false), at
