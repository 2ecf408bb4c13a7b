"""Propose candidate crops, from which the best one is chosen, as float32 xyxy boxes [N, 4].

`grid` and `published_ratio` are the published generators, exact to the order of their boxes; they
work in the input frame (the photo as prepared for the network) and may return no box. `for_shape`,
`for_ratio` and `for_free` are the product's own: they work in any frame whose unit is a pixel,
normally source pixels, and return whole-pixel half-open boxes inside the photo, at least one.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, to_whole_pixels
from pipeline.errors import UsageError
from pipeline.shapes import Shape, parse_shape

# --- published generators (Zeng et al., CVPR 2019, and the S2CNet paper's ratio mode) ------------

GRID_BINS = 12

# ratio: (step x, step y, first multiple, smallest share of the photo's area), in input pixels
PUBLISHED_RATIOS = {
    "16:9": (16, 9, 10, 0.2),
    "4:3": (16, 12, 10, 0.2),
    "9:16": (9, 16, 10, 0.2),
    "3:4": (12, 16, 10, 0.3),
    "1:1": (12, 12, 0, 0.3),
}


def grid(width: int, height: int) -> Boxes:
    """Return the grid anchors of a width × height input: at most 90, none on long panoramas.

    Corners lie on the centres of a 12 × 12 grid, the low one in bins 0–3 and the high one in bins
    8–11. Boxes of more than .4999 of the bins with a ratio strictly between .5 and 2 are kept.
    """
    _check_sides(width, height)
    low, high = np.arange(4), np.arange(GRID_BINS - 4, GRID_BINS)
    y0, x0, y1, x1 = (bins.ravel() for bins in np.meshgrid(low, low, high, high, indexing="ij"))
    area = (y1 - y0) * (x1 - x0)
    ratio = (x1 - x0) * width / ((y1 - y0) * height)
    kept = (area > 0.4999 * GRID_BINS**2) & (ratio > 0.5) & (ratio < 2)
    bins = np.stack([x0, y0, x1, y1], axis=1)[kept]  # [N, 4]
    side = np.array([width, height, width, height], dtype=np.float64)
    return ((bins + 0.5) / GRID_BINS * side).astype(np.float32)


def published_ratio(width: int, height: int, ratio: str) -> Boxes:
    """Return the published candidates of one ratio on a width × height input.

    On inputs of the network's sizes (`s2cnet.inputs.input_size`) there are at most 2,288, for 16:9
    on 896 × 256, and none on long ones. ratio is one of PUBLISHED_RATIOS, else UsageError. The
    high corner is the last pixel inside (x + width − 1), as published.
    """
    _check_sides(width, height)
    if ratio not in PUBLISHED_RATIOS:
        raise UsageError(f"no published candidates for {ratio!r}: {', '.join(PUBLISHED_RATIOS)}")
    step_x, step_y, first, least_share = PUBLISHED_RATIOS[ratio]
    boxes = [np.empty((0, 4), dtype=np.float32)]
    for multiple in range(first, 30):
        crop_w, crop_h = multiple * step_x, multiple * step_y
        fits = crop_w < width and crop_h < height
        if not fits or crop_w * crop_h <= least_share * width * height:
            continue
        xs = np.arange(0, width - crop_w, step_x, dtype=np.float64)
        ys = np.arange(0, height - crop_h, step_y, dtype=np.float64)
        boxes.append(_boxes_at(xs, ys, crop_w - 1, crop_h - 1))
    return np.concatenate(boxes)


def input_to_source(
    boxes_input: Boxes, input_wh: tuple[int, int], source_wh: tuple[int, int]
) -> Boxes:
    """Convert published boxes [N, 4] from input to source pixels, rounding half to even."""
    scale = np.array([source_wh[0] / input_wh[0], source_wh[1] / input_wh[1]] * 2)
    boxes_px: Boxes = np.rint(boxes_input.astype(np.float64) * scale).astype(np.float32)
    return boxes_px


# --- the product's own ---------------------------------------------------------------------------

# Sizes as shares of the largest crop's sides, densest where people's crops are: most of those keep
# three quarters or more of what a shape allows.
SCALES = (1.0, 0.955, 0.91, 0.86, 0.8, 0.72, 0.63)
# Neighbouring positions are at most this share of the crop's own side apart …
STEP_SHARE = 0.06
# … unless that gives more than this many positions of one size.
MAX_POSITIONS = 48

FREE_RATIOS = (1 / 2, 2 / 3, 3 / 4, 1.0, 4 / 3, 3 / 2, 2.0)
FREE_SCALES = (1.0, 0.93, 0.86, 0.79, 0.72, 0.64)
MAX_FREE_POSITIONS = 16

# If no candidate passes the guards: smaller sizes and closer positions.
DENSE_SCALES = tuple(1 - 0.05 * step for step in range(13))  # 1 to .4
DENSE_STEP, MAX_DENSE_POSITIONS = 0.025, 400


def for_shape(width_px: int, height_px: int, shape: Shape) -> Boxes:
    """Propose candidates of one shape on any photo, in whole source pixels: 1 to 769."""
    return _for_ratio_of(width_px, height_px, shape.ratio).copy()


@lru_cache(maxsize=256)  # many photos have the same size
def _for_ratio_of(width: int, height: int, ratio: float | None) -> Boxes:
    boxes = for_free(width, height) if ratio is None else for_ratio(width, height, ratio)
    return to_whole_pixels(boxes, width, height)


def for_ratio(width: int, height: int, ratio: float | str) -> Boxes:
    """Propose candidates of one ratio on any photo: at least 1, at most 336, the largest first.

    width, height: of the photo, in pixels of the boxes' frame.
    ratio: width / height of the crops as a number, or a shape such as "16:9" or "circle".

    Sides are rounded to whole pixels (and are at least 1), so the ratio is met within a pixel.
    The first boxes have the largest size that fits, in all positions. Raises UsageError.
    """
    wanted = _as_ratio(ratio)
    return _sizes_and_positions(width, height, wanted, SCALES, MAX_POSITIONS)


def for_free(width: int, height: int) -> Boxes:
    """Propose candidates of any ratio: the whole photo first, then boxes of ratios from .5 to 2.

    The photo's own ratio is among them. At most 769. Raises UsageError.
    """
    _check_sides(width, height)
    ratios = (*FREE_RATIOS, float(np.clip(width / height, 0.5, 2.0)))
    whole = np.array([[0, 0, width, height]], dtype=np.float32)
    lists = [
        _sizes_and_positions(width, height, ratio, FREE_SCALES, MAX_FREE_POSITIONS)
        for ratio in ratios
    ]
    return _without_repeats(np.concatenate([whole, *lists]))


def dense_for_shape(width_px: int, height_px: int, shape: Shape) -> Boxes:
    """Propose more boxes of one shape than `for_shape`, in whole source pixels: at most 5,200.

    For `free`, at most 41,600.
    """
    return _dense(width_px, height_px, shape, DENSE_SCALES)


def largest_for_shape(width_px: int, height_px: int, shape: Shape) -> Boxes:
    """Propose the largest boxes of one shape, in whole source pixels: at most 400 per ratio."""
    return _dense(width_px, height_px, shape, DENSE_SCALES[:1])


def _dense(width: int, height: int, shape: Shape, scales: tuple[float, ...]) -> Boxes:
    own = float(np.clip(width / height, 0.5, 2.0))
    ratios = (*FREE_RATIOS, own) if shape.ratio is None else (shape.ratio,)
    lists = [
        _sizes_and_positions(width, height, ratio, scales, MAX_DENSE_POSITIONS, DENSE_STEP)
        for ratio in ratios
    ]
    return to_whole_pixels(_without_repeats(np.concatenate(lists)), width, height)


def largest(width: int, height: int, ratio: float) -> tuple[float, float]:
    """Return the exact sides of the largest crop of a ratio; one may be below one pixel."""
    _check_sides(width, height)
    crop_w = min(float(width), height * ratio)
    return crop_w, crop_w / ratio


def _sizes_and_positions(
    width: int,
    height: int,
    ratio: float,
    scales: tuple[float, ...],
    max_positions: int,
    step_share: float = STEP_SHARE,
) -> Boxes:
    full_w, full_h = largest(width, height, ratio)
    boxes = []
    for scale in scales:
        crop_w, crop_h = max(1, round(full_w * scale)), max(1, round(full_h * scale))
        boxes.append(_positions(width, height, crop_w, crop_h, max_positions, step_share))
    return _without_repeats(np.concatenate(boxes))


def _positions(
    width: int, height: int, crop_w: int, crop_h: int, at_most: int, step_share: float
) -> Boxes:
    """Return boxes of one size, evenly spread and touching all four edges."""
    count_x = min(at_most, _positions_wanted(width - crop_w, crop_w, step_share))
    count_y = min(at_most, _positions_wanted(height - crop_h, crop_h, step_share))
    if count_x * count_y > at_most:
        shrink = (at_most / (count_x * count_y)) ** 0.5
        count_x, count_y = max(1, int(count_x * shrink)), max(1, int(count_y * shrink))
    xs, ys = _spread(width - crop_w, count_x), _spread(height - crop_h, count_y)
    return _boxes_at(xs, ys, crop_w, crop_h)


def _boxes_at(xs: NDArray[np.float64], ys: NDArray[np.float64], crop_w: int, crop_h: int) -> Boxes:
    """Place boxes of one size at every x and y: [len(xs) · len(ys), 4], y fastest."""
    x, y = np.repeat(xs, len(ys)), np.tile(ys, len(xs))
    return np.stack([x, y, x + crop_w, y + crop_h], axis=1).astype(np.float32)


def _positions_wanted(travel: int, crop_side: int, step_share: float) -> int:
    return 1 + int(np.ceil(travel / (step_share * crop_side)))


def _spread(travel: int, count: int) -> NDArray[np.float64]:
    if count == 1:
        return np.array([travel // 2], dtype=np.float64)
    return np.rint(np.linspace(0, travel, count))


def _without_repeats(boxes: Boxes) -> Boxes:
    """Drop repeats, which rounding causes on small photos; the first of each stays, in order."""
    return np.array(list(dict.fromkeys(map(tuple, boxes.tolist()))), dtype=np.float32)


def _as_ratio(ratio: float | str) -> float:
    if isinstance(ratio, str):
        shape = parse_shape(ratio)
        if shape.ratio is None:
            raise UsageError("the free shape has no ratio: call for_free(width, height)")
        return shape.ratio
    if not (np.isfinite(ratio) and ratio > 0):
        raise UsageError(f"a ratio is width / height, above 0, got {ratio}")
    return float(ratio)


def _check_sides(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UsageError(f"a photo has at least 1 × 1 pixels, got {width} × {height}")
