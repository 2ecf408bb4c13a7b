"""Cut or draw the chosen crops of one photo and encode them, moving ones frame by frame."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cropping.results import ScoredCrop
from pipeline.photo.animations.animation import Animation
from pipeline.photo.decode import Photo
from pipeline.photo.encoding.automatic import (
    AUTO,
    OTHER,
    circle_quality,
    format_for,
    jpegli_quality,
)
from pipeline.photo.encoding.jpegli import encode_jpegli
from pipeline.photo.encoding.moving import MOVING_FORMATS, encode_moving, without_repeats
from pipeline.photo.encoding.opacity import cut_with_opacity, on_colour
from pipeline.photo.encoding.thumbnail import encode, encode_circle, thumbnail_size
from pipeline.photo.encoding.whole import Placed, draw_whole, place_whole
from pipeline.settings import ThumbnailSettings
from pipeline.settings.safe_areas import SafeArea, safe_area_of
from pipeline.shapes import Shape, parse_shape
from pipeline.stages.task import CutCache, EncodedCrop, PhotoRow

DecodeFrames = Callable[[bytes], Animation]


@dataclass(frozen=True)
class Motion:
    """A moving photo's frames, with their timing."""

    photos: list[Photo]
    durations_ms: tuple[int, ...]
    plays: int


def encoded_crops(
    row: PhotoRow,
    settings: ThumbnailSettings,
    areas: Mapping[str, SafeArea],
    decode_frames: DecodeFrames,
) -> list[EncodedCrop]:
    """Encode every chosen crop of a photo as a file.

    areas: what covers the crops, by shape; a photo that is shown whole keeps clear of it.
    decode_frames: decodes every frame of a file; called if the row has a moving picture and the
        format can move.

    Raises EncodeError, DecodeError.
    """
    if settings.boxes_only:
        return [sized_crop(row, chosen, settings, areas) for chosen in row.crops]
    motion, moving = None, moving_file(row, settings)
    if moving is not None and row.crops:
        found = decode_frames(moving.tobytes())
        motion = Motion(found.photos(row.decoded), found.durations_ms, found.plays)
    cuts = dict(row.fine_cuts)
    return [encode_crop(row, chosen, settings, areas, motion, cuts) for chosen in row.crops]


def sized_crop(
    row: PhotoRow,
    chosen: ScoredCrop,
    settings: ThumbnailSettings,
    areas: Mapping[str, SafeArea] | None = None,
) -> EncodedCrop:
    """Return a crop without a picture, with the size that `encode_crop` would give it.

    Its frames are the photo's: which of them differ within the crop is not known.
    """
    shape, shown = parse_shape(chosen.ratio), chosen.box_px
    if chosen.fit != "crop":
        shown = _placed(chosen, shape, areas or {}).canvas_px
    size_wh = thumbnail_size(shape, shown, settings.thumbnail_size)
    frames = 1 if moving_file(row, settings) is None else (row.frames or 1)
    return EncodedCrop(row.image_id, row.uri, chosen, *size_wh, None, None, None, frames)


def encode_crop(
    row: PhotoRow,
    chosen: ScoredCrop,
    settings: ThumbnailSettings,
    areas: Mapping[str, SafeArea] | None = None,
    motion: Motion | None = None,
    cuts: CutCache | None = None,
) -> EncodedCrop:
    """Cut a chosen crop from its photo, or draw the whole photo on a background, and encode it.

    motion: the frames, which all get the same box; None for a still picture.
    cuts: earlier cuts from this photo; new ones are added. Raises EncodeError.
    """
    shape = parse_shape(chosen.ratio)
    photos = [row.decoded.in_own_colours] if motion is None else motion.photos
    drawing = (chosen, shape, settings, areas or {})
    if motion is None:
        drawn, durations_ms = [drawn_crop(photos[0], *drawing, {} if cuts is None else cuts)], [0]
    else:
        of_frames = (drawn_crop(photo, *drawing, {}) for photo in photos)
        drawn, durations_ms = without_repeats(of_frames, motion.durations_ms)
    if motion is None or len(drawn) == 1:
        background, profile = photos[0].colour_of(settings.background_rgb), photos[0].profile
        image, format = encoded_still(drawn[0], shape.is_circle, settings, background, profile)
    else:
        format = OTHER if settings.is_automatic else settings.format
        shown = (durations_ms, motion.plays, format, settings.quality, shape.is_circle)
        image = encode_moving(drawn, *shown)
    height, width = drawn[0].shape[:2]
    sha256 = hashlib.sha256(image).hexdigest()
    return EncodedCrop(
        row.image_id, row.uri, chosen, width, height, format, image, sha256, len(drawn)
    )


def encoded_still(
    pixels: NDArray[np.uint8],
    circle: bool,
    settings: ThumbnailSettings,
    background: tuple[int, int, int],
    profile: bytes | None,
) -> tuple[bytes, str]:
    """Return a still crop's file and its format. Arguments and errors as of `thumbnail.encode`."""
    format, quality = settings.format, settings.quality
    jpegli = settings.jpeg_encoder == "jpegli"
    if settings.is_automatic:
        format = format_for(pixels, circle, profile)
        if format != OTHER:
            return encode_jpegli(pixels, jpegli_quality(quality), photo=True), format
        if circle and format_for(pixels, False, profile) != OTHER:
            return encode_circle(pixels, circle_quality(quality)), format
    return encode(pixels, format, quality, circle, background, profile, jpegli), format


def moving_file(row: PhotoRow, settings: ThumbnailSettings) -> NDArray[np.uint8] | None:
    """Return the file of a photo whose crops are to move; None if they are still."""
    return row.moving if settings.format in (AUTO, *MOVING_FORMATS) else None


def drawn_crop(
    photo: Photo,
    chosen: ScoredCrop,
    shape: Shape,
    settings: ThumbnailSettings,
    areas: Mapping[str, SafeArea],
    cuts: CutCache,
) -> NDArray[np.uint8]:
    """Return the pixels of a crop: uint8 [h, w, 3], or [h, w, 4] if it is not opaque.

    Opacity is kept if the format supports it and the photo fills the shape; else the photo is put
    on the background colour.
    cuts: earlier cuts from this photo; new ones are added. Raises EncodeError.
    """
    background = photo.colour_of(settings.background_rgb)
    if chosen.fit == "crop":
        return cut_crop(photo, chosen.box_px, shape, settings, cuts)
    photo = on_colour(photo, background)
    placed = _placed(chosen, shape, areas)
    size_wh = thumbnail_size(shape, placed.canvas_px, settings.thumbnail_size)
    return draw_whole(photo, placed, size_wh, chosen.fit, background)


def cut_crop(
    photo: Photo,
    box_px: tuple[float, ...],
    shape: Shape,
    settings: ThumbnailSettings,
    cuts: CutCache,
) -> NDArray[np.uint8]:
    """Return the pixels of a box as `drawn_crop` does.

    cuts: earlier cuts from this photo; a new one is added. Raises EncodeError.
    """
    size_wh = thumbnail_size(shape, box_px, settings.thumbnail_size)
    place = (*box_px, *size_wh)
    if place not in cuts:
        if settings.format == "jpeg":
            photo = on_colour(photo, photo.colour_of(settings.background_rgb))
        cuts[place] = cut_with_opacity(photo, box_px, size_wh)
    return cuts[place]


def _placed(chosen: ScoredCrop, shape: Shape, areas: Mapping[str, SafeArea]) -> Placed:
    """Place a photo that is shown whole on its canvas, clear of what covers the shape."""
    area = safe_area_of(shape, areas)
    return place_whole(chosen.box_px, shape, area.is_circle, area.covered)
