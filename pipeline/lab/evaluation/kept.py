"""What crops keep of where people looked and of the heads that people drew.

All measures take any number of crops, so that the best of all candidates can be found as well: an
upper bound for any method that chooses among them. Of a circle, what its disc shows counts: the
ellipse inscribed in the crop.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, FloatArray, area, intersection
from pipeline.cropping.candidates import for_ratio
from pipeline.cropping.visible import visible_shares
from pipeline.lab.evaluation.evidence import DRAWN_CUT
from pipeline.settings.safe_areas import SafeArea
from pipeline.shapes import Shape

Points = NDArray[np.floating]  # [F, 2] x and y


def gaze_kept(
    crops: NDArray[np.floating], fixations: Points, shape: Shape | None = None
) -> FloatArray:
    """Share of the fixations [F, 2], F ≥ 1, inside each of crops [N, 4], of the same frame: [N].

    shape: of the crops; None for one that is no circle.
    """
    low, high = crops[:, None, :2], crops[:, None, 2:]
    inside = ((fixations >= low) & (fixations < high)).all(axis=2)  # [N, F]
    if shape is not None and shape.is_circle:
        from_centre = (2 * fixations - low - high) / (high - low)  # in half sides, [N, F, 2]
        inside &= (from_centre**2).sum(axis=2) < 1
    return np.asarray(inside.mean(axis=1))


def shares_shown(crops: Boxes, boxes: Boxes, shape: Shape | None = None) -> FloatArray:
    """Share of each of boxes [M, 4] that each of crops [N, 4] shows: [N, M]. `shape` as above."""
    if shape is not None and shape.is_circle:
        return visible_shares(crops, boxes, SafeArea(is_circle=True))[0]
    return np.asarray(intersection(crops, boxes) / area(boxes))


def heads_cut_and_lost(
    crops: Boxes, heads: Boxes, shape: Shape | None = None
) -> tuple[FloatArray, FloatArray]:
    """Shares of heads [H, 4], H ≥ 1, that each of crops [N, 4] cuts, and loses: [N], [N].

    Cut: from 2 to 98 % of the box shown. Lost: less. `shape` as for `gaze_kept`.
    """
    shown = shares_shown(crops, heads, shape)  # [N, H]
    lost = shown < DRAWN_CUT[0]
    cut = (shown <= DRAWN_CUT[1]) & ~lost
    return cut.mean(axis=1), lost.mean(axis=1)


def best_gaze_kept(shape: Shape, fixations: Points, size_wh: tuple[int, int]) -> float:
    """The largest share of the fixations that any candidate of a shape keeps."""
    return float(gaze_kept(all_candidates(shape, size_wh), fixations, shape).max())


def best_heads_cut_and_lost(
    shape: Shape, heads: Boxes, size_wh: tuple[int, int]
) -> tuple[float, float]:
    """The shares cut and lost of the candidate of a shape with the least sum of both."""
    cut, lost = heads_cut_and_lost(all_candidates(shape, size_wh), heads, shape)
    best = int((cut + lost).argmin())
    return float(cut[best]), float(lost[best])


def all_candidates(shape: Shape, size_wh: tuple[int, int]) -> Boxes:
    """The candidates [N, 4] of a shape; of the free shape those of the photo's own ratio."""
    return for_ratio(*size_wh, shape.ratio or size_wh[0] / size_wh[1])
