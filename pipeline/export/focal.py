"""Focal points: a service scales a photo to cover a frame, then slides it to keep a point visible.

The visible part is the largest window of the frame's ratio, with the point as central as the photo
allows (imgproxy `fp`, imgix `fp-x`, Cloudinary `xy_center`, thumbor `focal`, and this product's own
overrides). A window of that size intersects a crop of the same ratio in at most the whole crop, so
IoU ≤ area(crop) / area(window), with equality if the window contains the crop. A window that is
centred on the crop and then pushed back into the photo contains it. So the crop's centre is an
optimal focal point, and only zoom is lost: IoU = s², s the crop's share of the window's side.

CSS expresses the same as a percentage p of `object-position`: the window begins at p of the
remaining room.

Boxes are x0, y0, x1, y1 in source pixels of the upright photo.
"""

from typing import TypeAlias

from pipeline.boxes import iou

PixelBox: TypeAlias = tuple[float, float, float, float]
SharesXY: TypeAlias = tuple[float, float]


def covering_wh(photo_wh: tuple[float, float], aspect: float) -> tuple[float, float]:
    """Return the sides of a photo's largest window of an aspect ratio (width / height)."""
    width, height = photo_wh
    wide = min(width, height * aspect)
    return wide, wide / aspect


def focal_point(box: PixelBox, photo_wh: tuple[float, float]) -> SharesXY:
    """Return the best focal point for a crop, as shares of the photo's sides."""
    return (box[0] + box[2]) / 2 / photo_wh[0], (box[1] + box[3]) / 2 / photo_wh[1]


def window_at(focus: SharesXY, photo_wh: tuple[float, float], aspect: float) -> PixelBox:
    """Return the part of a photo that a service shows for a focal point."""
    wide, high = covering_wh(photo_wh, aspect)
    left = _within(focus[0] * photo_wh[0] - wide / 2, photo_wh[0] - wide)
    top = _within(focus[1] * photo_wh[1] - high / 2, photo_wh[1] - high)
    return left, top, left + wide, top + high


def object_position(box: PixelBox, photo_wh: tuple[float, float], aspect: float) -> SharesXY:
    """Return the `object-position`, as shares, of the window of `window_at`; .5 without room."""
    left, top, right, bottom = window_at(focal_point(box, photo_wh), photo_wh, aspect)
    room = photo_wh[0] - (right - left), photo_wh[1] - (bottom - top)
    # Less than a pixel of room is a rounding error.
    return left / room[0] if room[0] >= 1 else 0.5, top / room[1] if room[1] >= 1 else 0.5


def focal_overlap(box: PixelBox, photo_wh: tuple[float, float], aspect: float) -> float:
    """Return the IoU of a crop and the window that its focal point shows."""
    return float(iou(box, window_at(focal_point(box, photo_wh), photo_wh, aspect)))


def _within(low: float, most: float) -> float:
    return min(max(low, 0.0), max(most, 0.0))
