"""Places of a shape's largest crop in a photo, how likely each is right, and the loss of a map.

All boxes are shares of the photo's sides.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.boxes import FloatArray, iou
from pipeline.shapes import parse_shape

PLACES = 41  # of the largest crop of a shape, from one end of the photo to the other
LEAST_ROOM = 0.02  # a shape whose largest crop leaves less of the photo's side has no places
SHAPES = ("9:16", "3:4", "1:1", "16:9")  # for which people's gaze tells the place
# A place is e times as likely to be right if its overlap (IoU) with the labelled crop, or the share
# of people's fixations inside, is larger by this.
TOLERANCE = 0.05
SHARPNESS = 10.0  # of the placement that is learnt: the logit of a place is this times its sum
# Of the divergence between the places that a view and its degraded copy prefer. With 0, fewer
# copies keep their crops (docs/CHOICE.md).
CONSISTENCY_WEIGHT = 2.0

PlaceTarget = tuple[Tensor, Tensor]  # boxes of places [P, 4], shares of the sides; [P], sum 1


def places_of(shape: str, size_wh: tuple[int, int]) -> FloatArray:
    """Return the places of a shape's largest crop, [PLACES, 4] as shares of the photo's sides.

    It is [0, 4] for a shape without a ratio, and where the photo has nearly this ratio.
    """
    ratio = parse_shape(shape).ratio
    if ratio is None:
        return np.zeros((0, 4))
    ratio *= size_wh[1] / size_wh[0]
    sides = np.array([min(1.0, ratio), min(1.0, 1 / ratio)])
    if (1 - sides).max() < LEAST_ROOM:
        return np.zeros((0, 4))
    low = np.linspace(0, 1 - sides, PLACES)
    return np.concatenate([low, low + sides], axis=1)


def near_crop(places: FloatArray, crop: FloatArray) -> FloatArray:
    """Compute the IoU [P] of places [P, 4] with the one nearest to the centre of a crop [4]."""
    sides = places[0, 2:] - places[0, :2]
    middle = np.clip((crop[:2] + crop[2:]) / 2, sides / 2, 1 - sides / 2)
    return np.asarray(iou(places, np.concatenate([middle - sides / 2, middle + sides / 2])))


def target_of(places: FloatArray, agreement: FloatArray) -> PlaceTarget:
    """Return places [P, 4] with how likely each is the right one, by its agreement [P], 0..1."""
    likely = torch.from_numpy(agreement / TOLERANCE).softmax(0)
    return torch.from_numpy(places).float(), likely.float()


def place_loss(placement: Tensor, copied: Tensor, target: PlaceTarget) -> Tensor:
    """Compute the cross-entropy of the places by placement maps [h, w] with their target.

    It is a mean over the map of a view and that of its copy. Their Jeffreys divergence is added.
    """
    boxes, shares = target
    first, second = (
        (SHARPNESS * sums_inside(cells, boxes)).log_softmax(0) for cells in (placement, copied)
    )
    entropy = -(shares * (first + second)).sum() / 2
    divergence = ((first.exp() - second.exp()) * (first - second)).sum()
    return entropy + CONSISTENCY_WEIGHT * divergence


def sums_inside(cells: Tensor, boxes: Tensor) -> Tensor:
    """Sum cells [h, w], of a value spread evenly over each, inside boxes [P, 4]: [P].

    boxes: shares of the sides. The sum is in shares too: that of a map of ones is a box's area.
    """
    rows, columns = (_inside(boxes[:, [i, i + 2]], cells.shape[1 - i]) for i in (1, 0))
    return torch.einsum("ph,hw,pw->p", rows, cells, columns) / cells.numel()


def _inside(edges: Tensor, count: int) -> Tensor:
    """Return the share of each of `count` cells between edges [P, 2], shares of a side: [P, C]."""
    cells: NDArray[np.int64] = np.arange(count)
    low = torch.from_numpy(cells).float()
    scaled = edges * count
    return (scaled[:, 1:].clamp(max=low + 1) - scaled[:, :1].clamp(min=low)).clamp(min=0)
