"""How much crops keep of people's gaze and of the heads that people drew.

All measures take any number of crops, so they also find the best of all candidates: an upper bound
for any method that chooses among them. For a circle, only the disc counts, that is, the ellipse
inscribed in the crop.
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
    """Return the share [N] of fixations [F, 2], F ≥ 1, in each of crops [N, 4] in their frame.

    shape: of the crops; None for any shape but a circle.
    """
    low, high = crops[:, None, :2], crops[:, None, 2:]
    inside = ((fixations >= low) & (fixations < high)).all(axis=2)  # [N, F]
    if shape is not None and shape.is_circle:
        from_centre = (2 * fixations - low - high) / (high - low)  # in half sides, [N, F, 2]
        inside &= (from_centre**2).sum(axis=2) < 1
    return np.asarray(inside.mean(axis=1))


def shares_shown(crops: Boxes, boxes: Boxes, shape: Shape | None = None) -> FloatArray:
    """Return the share [N, M] of boxes [M, 4] that crops [N, 4] show; shape as in `gaze_kept`."""
    if shape is not None and shape.is_circle:
        return visible_shares(crops, boxes, SafeArea(is_circle=True))[0]
    return np.asarray(intersection(crops, boxes) / area(boxes))


def heads_cut_and_lost(
    crops: Boxes, heads: Boxes, shape: Shape | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the shares of heads [H, 4], H ≥ 1, that each of crops [N, 4] cuts and loses: [N], [N].

    Cut: 2 to 98 % of the box is shown. Lost: less is shown. shape: as in `gaze_kept`.
    """
    shown = shares_shown(crops, heads, shape)  # [N, H]
    lost = shown < DRAWN_CUT[0]
    cut = (shown <= DRAWN_CUT[1]) & ~lost
    return cut.mean(axis=1), lost.mean(axis=1)


def best_gaze_kept(shape: Shape, fixations: Points, size_wh: tuple[int, int]) -> float:
    """Return the largest share of the fixations that any candidate of a shape keeps."""
    return float(gaze_kept(all_candidates(shape, size_wh), fixations, shape).max())


def best_heads_cut_and_lost(
    shape: Shape, heads: Boxes, size_wh: tuple[int, int]
) -> tuple[float, float]:
    """Return the shares cut and lost of the candidate of a shape with the least sum of both."""
    cut, lost = heads_cut_and_lost(all_candidates(shape, size_wh), heads, shape)
    best = int((cut + lost).argmin())
    return float(cut[best]), float(lost[best])


def all_candidates(shape: Shape, size_wh: tuple[int, int]) -> Boxes:
    """List the candidates [N, 4] of a shape; for the free shape, those of the photo's ratio."""
    return for_ratio(*size_wh, shape.ratio or size_wh[0] / size_wh[1])
