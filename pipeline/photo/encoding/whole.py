"""Show a whole photo in a shape of another ratio, on a colour or on an enlarged, blurred copy.

The resulting picture is the canvas. `place_whole` computes the photo's position on it, for drawing
as well as for judging what the canvas shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import hypot
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.photo.decode import Photo
from pipeline.photo.encoding.thumbnail import WHITE, cut, resample
from pipeline.shapes import Shape

Ground = Literal["pad", "blur"]
FourEdges = tuple[float, float, float, float]  # x0, y0, x1, y1
# The blurred background is drawn at a sixteenth of the canvas and blurred over a twelfth of its
# side, so that no face in it can be recognised. It is darker, so that the photo stands out.
REDUCED, BLUR, DARKER = 16, 1 / 12, 0.75


@dataclass(frozen=True)
class Placed:
    """The position of a photo on its canvas.

    box_px: the photo, or the part of it that is shown, in source pixels.
    canvas_px: the canvas in the same frame; it extends beyond the box.
    """

    box_px: FourEdges
    canvas_px: FourEdges

    @property
    def box_rel(self) -> FourEdges:
        """The box in shares of the canvas's sides."""
        left, top, right, bottom = self.canvas_px
        x0, y0, x1, y1 = self.box_px
        wide, high = right - left, bottom - top
        return (x0 - left) / wide, (y0 - top) / high, (x1 - left) / wide, (y1 - top) / high


def place_whole(
    box_px: Sequence[float],
    shape: Shape,
    is_circle: bool = False,
    covered: Sequence[FourEdges] = (),
) -> Placed:
    """Place a box on the smallest canvas of a shape on which the whole box is visible.

    box_px: the whole photo, or the part inside its borders, source pixels.
    is_circle: only the inscribed ellipse of the canvas is visible, as with the shape `circle`.
    covered: parts that something covers, in shares of the canvas. The box keeps clear of them if
        there is any room left.
    """
    x0, y0, x1, y1 = map(float, box_px)
    ratio = shape.ratio or (x1 - x0) / (y1 - y0)
    aspect = (x1 - x0) / (y1 - y0) / ratio  # of the box, where the canvas is a unit square
    free = (0.0, 0.0, 1.0, 1.0)
    if is_circle or shape.is_circle:  # corners of the box on the circle of radius 1/2
        half_w, half_h = aspect / hypot(aspect, 1) / 2, 1 / hypot(aspect, 1) / 2
        free = (0.5 - half_w, 0.5 - half_h, 0.5 + half_w, 0.5 + half_h)
    places = [_fitted(aspect, part) for part in _uncovered(free, covered)]
    left, top, right, _ = max(places or [_fitted(aspect, free)], key=_largest_then_central)
    canvas_w = (x1 - x0) / (right - left)
    canvas_h = canvas_w / ratio
    origin_x, origin_y = x0 - left * canvas_w, y0 - top * canvas_h
    canvas = (origin_x, origin_y, origin_x + canvas_w, origin_y + canvas_h)
    return Placed((x0, y0, x1, y1), canvas)


def draw_whole(
    photo: Photo,
    placed: Placed,
    size_wh: tuple[int, int],
    ground: Ground,
    background: tuple[int, int, int] = WHITE,
) -> NDArray[np.uint8]:
    """Draw a canvas of size_wh pixels: uint8 [h, w, 3].

    background: RGB around the photo if `ground` is "pad". Raises EncodeError.
    """
    width, height = size_wh
    x0, y0, x1, y1 = placed.box_rel
    left, top = round(x0 * width), round(y0 * height)
    right = max(left + 1, min(round(x1 * width), width))
    bottom = max(top + 1, min(round(y1 * height), height))
    if ground == "pad":
        canvas = np.full((height, width, 3), background, np.uint8)
    else:
        canvas = _blurred(photo, placed, size_wh)
    canvas[top:bottom, left:right] = cut(photo, placed.box_px, (right - left, bottom - top))
    return canvas


def _blurred(photo: Photo, placed: Placed, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the middle of the photo, enlarged to fill the canvas, blurred and darkened."""
    x0, y0, x1, y1 = placed.box_px
    ratio = size_wh[0] / size_wh[1]
    wide = min(x1 - x0, (y1 - y0) * ratio)
    centre_x, centre_y, high = (x0 + x1) / 2, (y0 + y1) / 2, wide / ratio
    middle = (centre_x - wide / 2, centre_y - high / 2, centre_x + wide / 2, centre_y + high / 2)
    small_w, small_h = (max(2, side // REDUCED) for side in size_wh)
    small = Image.fromarray(cut(photo, middle, (small_w, small_h)))
    soft = np.asarray(small.filter(ImageFilter.GaussianBlur(max(small_w, small_h) * BLUR)))
    dark = np.asarray(np.rint(soft * DARKER), np.uint8)
    return np.array(resample(dark, size_wh))


def _uncovered(free: FourEdges, covered: Sequence[FourEdges]) -> list[FourEdges]:
    """Return the uncovered parts of `free` with edges at its own edges or at covered parts."""
    xs = {free[0], free[2], *(x for r in covered for x in (r[0], r[2]) if free[0] < x < free[2])}
    ys = {free[1], free[3], *(y for r in covered for y in (r[1], r[3]) if free[1] < y < free[3])}
    return [
        (x0, y0, x1, y1)
        for x0, x1, y0, y1 in product(xs, xs, ys, ys)
        if x0 < x1
        and y0 < y1
        and not any(r[0] < x1 and x0 < r[2] and r[1] < y1 and y0 < r[3] for r in covered)
    ]


def _fitted(aspect: float, part: FourEdges) -> FourEdges:
    """Return the largest box of an aspect ratio in the middle of a part."""
    x0, y0, x1, y1 = part
    wide = min(x1 - x0, (y1 - y0) * aspect)
    high = wide / aspect
    left, top = (x0 + x1 - wide) / 2, (y0 + y1 - high) / 2
    return left, top, left + wide, top + high


def _largest_then_central(place: FourEdges) -> tuple[float, float]:
    x0, y0, x1, y1 = place
    off_centre = hypot((x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5)
    return round(x1 - x0, 9), -off_centre
