"""Focal points: a service scales a photo to cover a frame, then slides it so that a point stays in.

What shows is the largest window of the frame's ratio, with the point as central as the photo
allows (imgproxy `fp`, imgix `fp-x`, Cloudinary `xy_center`, thumbor `focal`, and this product's own
overrides). A window of that size overlaps a crop of the same ratio at most in the whole crop, so
IoU ≤ area(crop) / area(window), with equality where the crop lies inside the window. Centred on the
crop's centre and then pushed back into the photo, it does. So the crop's centre is a best focal
point, and what it loses is zoom alone: IoU = s², s the crop's share of the window's side.

CSS says the same by a percentage p of `object-position`: the window begins at p of the room that is
left beside it.

Boxes are x0, y0, x1, y1 in source pixels of the upright photo.
"""

from typing import TypeAlias

from pipeline.boxes import iou

PixelBox: TypeAlias = tuple[float, float, float, float]
SharesXY: TypeAlias = tuple[float, float]


def covering_wh(photo_wh: tuple[float, float], aspect: float) -> tuple[float, float]:
    """Sides of the largest window of an aspect (width / height) in a photo."""
    width, height = photo_wh
    wide = min(width, height * aspect)
    return wide, wide / aspect


def focal_point(box: PixelBox, photo_wh: tuple[float, float]) -> SharesXY:
    """A focal point, in shares of the photo's sides, that shows a crop as well as one can."""
    return (box[0] + box[2]) / 2 / photo_wh[0], (box[1] + box[3]) / 2 / photo_wh[1]


def window_at(focus: SharesXY, photo_wh: tuple[float, float], aspect: float) -> PixelBox:
    """What a service shows of a photo with a focal point."""
    wide, high = covering_wh(photo_wh, aspect)
    left = _within(focus[0] * photo_wh[0] - wide / 2, photo_wh[0] - wide)
    top = _within(focus[1] * photo_wh[1] - high / 2, photo_wh[1] - high)
    return left, top, left + wide, top + high


def object_position(box: PixelBox, photo_wh: tuple[float, float], aspect: float) -> SharesXY:
    """The shares of `object-position` that show the window of `window_at`; a half where none is."""
    left, top, right, bottom = window_at(focal_point(box, photo_wh), photo_wh, aspect)
    room = photo_wh[0] - (right - left), photo_wh[1] - (bottom - top)
    # Under a pixel of room is rounding, not a choice.
    return left / room[0] if room[0] >= 1 else 0.5, top / room[1] if room[1] >= 1 else 0.5


def focal_overlap(box: PixelBox, photo_wh: tuple[float, float], aspect: float) -> float:
    """IoU of a crop and what its focal point shows instead."""
    return float(iou(box, window_at(focal_point(box, photo_wh), photo_wh, aspect)))


def _within(low: float, most: float) -> float:
    return min(max(low, 0.0), max(most, 0.0))
