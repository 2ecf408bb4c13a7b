"""Decode a photo once more, finer, where its view is too coarse for the crops that it will get.

A view is about as large as scoring and the crops of a whole photo need. Two kinds of photos need
more: those with a box that a person locked on a small part, and those within wide borders.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np

from pipeline.cropping.decision import locked_for
from pipeline.errors import CropError, DecodeError
from pipeline.photo.decode import Photo
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.photo.view import VIEW_SLACK, least_scale, view_side_for
from pipeline.settings import Settings
from pipeline.shapes import Shape
from pipeline.stages.encode import cut_crop, moving_file
from pipeline.stages.task import PhotoRow

BoxTuple = tuple[float, float, float, float]

# Pixels; with this view_side, photos with long sides up to 7,782 pixels keep their full size. One
# such view is in memory at a time.
FINEST_SIDE = 4096
# The views of photos within borders stay in memory for a whole task, so their sides may only be
# this many times those of other views.
FINEST_WITHIN_BORDERS = 2


def finest_side(settings: Settings) -> int:
    """Return the largest view_side at which a photo is decoded, pixels."""
    return max(FINEST_SIDE, settings.decoded_side)


def view_within_borders(photo: Photo, data: bytes, decoder: Decoder, settings: Settings) -> Photo:
    """Return a photo whose part within its borders is as fine as if it were a photo of its own.

    It is the same photo if there are no borders, or it is fine enough, or cannot be decoded again.
    data: its file.
    """
    if photo.content_px is None:
        return photo
    x0, y0, x1, y1 = photo.content_px
    wanted = least_scale((x1 - x0, y1 - y0), settings.decoded_side)
    if _scale(photo) >= VIEW_SLACK * wanted:
        return photo
    side = view_side_for((photo.width_px, photo.height_px), wanted)
    with suppress(DecodeError):
        return decoder.decode(data, min(side, FINEST_WITHIN_BORDERS * settings.decoded_side))
    return photo


def cut_locked_boxes(row: PhotoRow, data: bytes, decoder: Decoder, settings: Settings) -> None:
    """Fill `fine_cuts` of a decoded photo with the locked boxes that its view is too coarse for.

    The finer view is dropped here. Boxes stay for the last stage if the photo cannot be decoded
    again. data: the photo's file.
    """
    thumbnails = settings.thumbnails
    if thumbnails.boxes_only or moving_file(row, thumbnails) is not None:
        return
    photo, side_px = row.decoded, thumbnails.thumbnail_size
    coarse = {
        shape: box
        for shape, box in locked_boxes(row, settings.cropping.shapes).items()
        if _scale(photo) < VIEW_SLACK * thumbnail_scale(box, side_px)
    }
    if not coarse:
        return
    scale = max(thumbnail_scale(box, side_px) for box in coarse.values())
    side = min(view_side_for((photo.width_px, photo.height_px), scale), finest_side(settings))
    with suppress(CropError):
        fine = decoder.decode(data, side).in_own_colours
        for shape, box in coarse.items():
            cut_crop(fine, box, shape, thumbnails, row.fine_cuts)


def locked_boxes(row: PhotoRow, shapes: Iterable[Shape]) -> dict[Shape, BoxTuple]:
    """Return the boxes that a person locked, as they will be cut: xyxy, in source pixels."""
    override = row.override_there
    if override is None or not override.boxes_px:
        return {}
    part = row.decoded.with_borders().content
    size_wh, (left, top) = (part.width_px, part.height_px), part.origin_px
    found = {}
    for shape in shapes:
        locked = locked_for(override, shape, size_wh)
        if locked is not None:
            x0, y0, x1, y1 = (locked + np.array([left, top, left, top])).tolist()
            found[shape] = (x0, y0, x1, y1)
    return found


def thumbnail_scale(box_px: Sequence[float], thumbnail_side: int) -> float:
    """Return how many pixels a crop's thumbnail has for each source pixel, at most 1."""
    x0, y0, x1, y1 = box_px
    return min(1.0, thumbnail_side / max(x1 - x0, y1 - y0))


def _scale(photo: Photo) -> float:
    """Return the view pixels per source pixel."""
    return 1 / max(photo.scale_xy)
