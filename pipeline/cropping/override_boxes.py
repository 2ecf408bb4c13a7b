"""Compute the boxes that a person asks for: a given one, or the largest around a point."""

from __future__ import annotations

import numpy as np

from pipeline.boxes import Box, to_whole_pixels
from pipeline.cropping.candidates import largest
from pipeline.shapes import Shape

# A locked box keeps its shape's ratio within this many pixels, or this share of its width.
RATIO_SLACK_PX, RATIO_SLACK = 2.0, 0.02


def locked_box(
    box_px: tuple[float, float, float, float], shape: Shape, size_wh: tuple[int, int]
) -> Box:
    """Return a person's box in whole pixels, clipped to the photo; some of it must lie inside.

    If clipping changes its ratio, this is the largest box of the ratio in the middle of the rest.
    """
    (box,) = to_whole_pixels(np.array([box_px], np.float32), *size_wh)
    if shape.ratio is None:
        return np.asarray(box)
    wide, high = (float(side) for side in box[2:] - box[:2])
    if abs(wide - high * shape.ratio) <= max(RATIO_SLACK_PX, RATIO_SLACK * wide):
        return np.asarray(box)
    new_wide = min(wide, high * shape.ratio)
    half = np.array([new_wide, new_wide / shape.ratio]) / 2
    centre = (box[:2] + box[2:]) / 2
    within = np.concatenate([centre - half, centre + half])[None].astype(np.float32)
    return np.asarray(to_whole_pixels(within, *size_wh)[0])


def focal_box(focus_rel: tuple[float, float], shape: Shape, size_wh: tuple[int, int]) -> Box:
    """Return the largest box of a shape with a point as near its centre as the photo allows."""
    photo = np.array(size_wh, np.float64)
    sides = photo if shape.ratio is None else np.array(largest(*size_wh, shape.ratio))
    sides = np.maximum(np.rint(sides), 1)
    low = np.clip(np.rint(np.array(focus_rel) * photo - sides / 2), 0, photo - sides)
    return np.concatenate([low, low + sides]).astype(np.float32)
