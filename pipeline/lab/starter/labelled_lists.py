"""Target scores of a labelled photo's candidates, by people's crops or by their gaze.

Where people drew crops, the target is the mean IoU with them. Where their gaze was recorded, it is
the share of the fixations inside, less a cost of heads cut or lost. Within a list, both are brought
to the spread of the network's scores: see SPREAD.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.boxes import Boxes, FloatArray, area, iou
from pipeline.cropping import candidates
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.gaze import FIRST_WEIGHT
from pipeline.lab.starter.crop_lists import USUAL, as_score

# Set by hand, unless a source is given.
RATIOS = (*USUAL, 1 / 2, 2.0)
# Standard deviation of the truth within a list of one ratio. The network's scores had about this
# spread before this training (1.6 to 1.7), so a temperature that was fitted to them stays valid.
SPREAD = 1.65
MIN_SPREAD = 0.03  # of overlaps or shares: a list with less is not stretched to SPREAD
# A person's weight in a list depends on the ratio of their crop: exp(-d² / 2 SHARPNESS²), with d
# the difference of logarithms, plus a small constant for everyone.
SHARPNESS, EVERYONE_OWN, EVERYONE_USUAL = 0.3, 0.02, 0.05
GAZE_BLUR = 0.02  # of the long side, about one degree of the visual field
CELL = 4  # pixels of the photo per cell of the gaze integral
# Costs of a cut and of a lost head, in shares of the gaze. With .3 to .5, the best candidates by
# this value keep .01 less of the gaze in crowds and cut or lose .05 to .06 less of the heads.
CUT_COST, LOST_COST = 0.4, 0.3
# A cut costs in full if a share of at least CUT_FROM is inside and CUT_TO outside, less below; a
# head is lost if at most LOST is inside.
CUT_FROM, CUT_TO, LOST = 0.1, 0.05, 0.02


@dataclass(frozen=True, eq=False)
class TargetList:
    """All candidates of one ratio, boxes [N, 4], with their targets, truth [N].

    ratio: width / height; None for the free shape, whose targets are scores (`as_score`). Targets
    of a ratio are relative: their mean is 0, their standard deviation SPREAD.
    """

    ratio: float | None
    boxes: Boxes
    truth: FloatArray


def target_lists(example: Example, size_wh: tuple[int, int]) -> list[TargetList]:
    """Make the lists of a photo with people's crops or gaze, in its pixels; none without either.

    With crops: one list for each person's own ratio, then for each of RATIOS, then for the free
    shape. With gaze: one for each of RATIOS.
    """
    if len(example.human_px):
        return _lists_of_crops(example.human_px, *size_wh)
    if example.fixations_px is not None:
        return _lists_of_gaze(example, *size_wh)
    return []


def _lists_of_crops(crops: Boxes, width: int, height: int) -> list[TargetList]:
    sides = crops[:, 2:] - crops[:, :2]
    own = sides[:, 0] / sides[:, 1]
    lists = []
    for ratio, everyone in [(float(r), EVERYONE_OWN) for r in own] + [
        (r, EVERYONE_USUAL) for r in RATIOS
    ]:
        boxes = candidates.for_ratio(width, height, ratio)
        weights = np.exp(-0.5 * (np.log(own / ratio) / SHARPNESS) ** 2) + everyone
        overlap = iou(boxes[:, None], crops) @ weights / weights.sum()
        lists.append(TargetList(ratio, boxes, standardised(overlap)))
    free = candidates.for_free(width, height)
    lists.append(TargetList(None, free, as_score(iou(free[:, None], crops).mean(axis=1))))
    return lists


def _lists_of_gaze(example: Example, width: int, height: int) -> list[TargetList]:
    points, weights = fixations_inside(example, width, height)
    integral = gaze_integral(points, weights, width, height)
    lists = []
    for ratio in RATIOS:
        boxes = candidates.for_ratio(width, height, ratio)
        value = gaze_shares(integral, boxes)
        if example.heads_px is not None and len(example.heads_px):
            value = value - head_cost(example.heads_px, boxes)
        lists.append(TargetList(ratio, boxes, standardised(value)))
    return lists


def standardised(values: FloatArray) -> FloatArray:
    """Scale values [N] to mean 0 and standard deviation SPREAD, or less if all are alike."""
    return np.asarray((values - values.mean()) * SPREAD / max(float(values.std()), MIN_SPREAD))


def fixations_inside(example: Example, width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Return the fixations inside a photo, [F, 2], and their weights [F]."""
    assert example.fixations_px is not None
    points = example.fixations_px.astype(np.float64)
    weights = np.ones(len(points))
    if example.first_fixations is not None:
        weights[example.first_fixations] = FIRST_WEIGHT
    inside = ((points >= 0) & (points < [width, height])).all(axis=1)
    return points[inside], weights[inside]


def gaze_density(
    points: FloatArray,
    weights: FloatArray,
    rows: int,
    columns: int,
    size_wh: tuple[int, int],
    blur: float,
) -> FloatArray:
    """Turn fixations [F, 2] into a density over a photo of size_wh, [rows, columns], its sum 1.

    blur: standard deviation of a Gaussian, in cells.
    """
    cells = (points / size_wh * [columns, rows]).astype(int)
    counted = np.zeros((rows, columns))
    np.add.at(counted, (cells[:, 1], cells[:, 0]), weights)

    # Reflecting at the edges keeps the total there.
    spread = cv2.GaussianBlur(counted, (0, 0), blur, borderType=cv2.BORDER_REFLECT)
    return np.asarray(spread / max(float(spread.sum()), 1e-9))


def gaze_integral(points: FloatArray, weights: FloatArray, width: int, height: int) -> FloatArray:
    """Compute the gaze density's integral image, [rows + 1, columns + 1], cells of CELL pixels."""
    rows, columns = -(-height // CELL), -(-width // CELL)
    frame = (columns * CELL, rows * CELL)  # the last cell may reach beyond the photo
    blur = GAZE_BLUR * max(width, height) / CELL
    summed = gaze_density(points, weights, rows, columns, frame, blur).cumsum(axis=0).cumsum(axis=1)
    return np.pad(summed, ((1, 0), (1, 0)))


def gaze_shares(integral: FloatArray, boxes: Boxes) -> FloatArray:
    """Compute the share [N] of the gaze inside boxes [N, 4], from `gaze_integral`."""
    rows, columns = integral.shape

    def up_to(x: FloatArray, y: FloatArray) -> FloatArray:
        x, y = x / CELL, y / CELL
        left = np.clip(np.floor(x).astype(int), 0, columns - 2)
        top = np.clip(np.floor(y).astype(int), 0, rows - 2)
        right, low = x - left, y - top
        upper = (1 - right) * integral[top, left] + right * integral[top, left + 1]
        lower = (1 - right) * integral[top + 1, left] + right * integral[top + 1, left + 1]
        return np.asarray((1 - low) * upper + low * lower)

    x0, y0, x1, y1 = boxes.astype(np.float64).T
    return up_to(x1, y1) - up_to(x0, y1) - up_to(x1, y0) + up_to(x0, y0)


def head_cost(heads: Boxes, boxes: Boxes) -> FloatArray:
    """Compute the cost [N] of the heads [H, 4] that boxes [N, 4] cut or lose, in shares of gaze.

    Half of a head's weight is the same for all heads, half is proportional to its side.
    """
    low = np.maximum(heads[:, None, :2], boxes[None, :, :2])
    high = np.minimum(heads[:, None, 2:], boxes[None, :, 2:])
    areas = np.clip(area(heads), 1e-6, None).astype(np.float64)
    inside = np.prod(np.clip(high - low, 0, None), axis=2) / areas[:, None]  # [H, N]
    weights = 0.5 * np.sqrt(areas) / np.sqrt(areas).sum() + 0.5 / len(areas)
    cut = np.clip(np.minimum(inside / CUT_FROM, (1 - inside) / CUT_TO), 0, 1)
    return np.asarray(weights @ (CUT_COST * cut + LOST_COST * (inside <= LOST)))
