"""Measure how far the crops of copies of a photo differ from those of the photo.

People would call the copies the same photo, so they should be cropped in the same way.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from pipeline.boxes import iou
from pipeline.photo.decode import Photo
from pipeline.photo.pillow_image import photo_of_image
from pipeline.photo.sandbox.standalone import decode_sandboxed
from pipeline.shapes import Shape

# Encoded again by an app that photos are sent with; a preview; an edge that an editor dropped.
COPIES = ("JPEG of quality 95, 85 and 75", "half the size", "one pixel narrower")
JPEG_QUALITIES = (95, 85, 75)
LEAST_SIDE_PX = 2  # half of a shorter side, or one pixel less, has no pixels
SAME_IOU, APART_IOU = 0.9, 0.6  # a copy's crop is the same from the first on, apart below the other

CropsOfShapes = dict[str, list[list[float]]]  # method -> one box for each shape


@dataclass(frozen=True, eq=False)
class Copy:
    """A copy of a photo. scale_xy: pixels of the photo per pixel of the copy, (x, y)."""

    photo: Photo
    scale_xy: tuple[float, float]


def copies_of(data: bytes, photo: Photo) -> Iterator[Copy]:
    """Yield a photo's copies, in the order of COPIES; none of one with a side of one pixel.

    data: its file. A JPEG above the limit on pixels is decoded smaller, and copied in that size.
    Raises DecodeError where it cannot be decoded once more.
    """
    sides = np.array([photo.width_px, photo.height_px])
    whole = Image.fromarray(decode_sandboxed(data, int(sides.max())).pixels)
    width, height = whole.size
    if min(width, height) < LEAST_SIDE_PX:
        return
    scale_x, scale_y = (sides / whole.size).tolist()
    for quality in JPEG_QUALITIES:
        file = BytesIO()
        whole.save(file, "JPEG", quality=quality)
        yield Copy(decode_sandboxed(file.getvalue()).with_borders(), (scale_x, scale_y))
    half = whole.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
    to_half = (width / half.width * scale_x, height / half.height * scale_y)
    yield Copy(_photo(half, photo.format), to_half)
    narrower = whole.crop((0, 0, width - 1, height))
    yield Copy(_photo(narrower, photo.format), (scale_x, scale_y))


def _photo(picture: Image.Image, format_name: str) -> Photo:
    """Return a picture as a photo of a format, so that the same limits on its size hold."""
    picture.format = format_name.upper()
    return photo_of_image(picture).with_borders()


def add_copies(
    judged: dict[str, dict[str, Any]],
    copies: Iterable[Copy],
    shapes: Sequence[Shape],
    crops: CropsOfShapes,
    crops_of: Callable[[Copy], CropsOfShapes],
) -> None:
    """Add the measures of the copies' crops to those of the photo's; none without copies.

    judged: method -> shape -> a dict with `measures`; `copies` is added to it, the IoU of each
    copy's crop with the photo's.
    crops: the photo's crops, in its pixels. crops_of: returns a copy's crops, in the copy's pixels.
    """
    for copy in copies:
        scale = np.tile(copy.scale_xy, 2)
        for method, boxes in crops_of(copy).items():
            for shape, own, box in zip(shapes, crops[method], boxes, strict=True):
                overlap = float(iou(np.array(own), np.array(box) * scale))
                judged[method][shape.name].setdefault("copies", []).append(overlap)
    for of_shape in (judged[method][shape.name] for method in crops for shape in shapes):
        if "copies" in of_shape:
            of_shape["measures"] |= copy_measures(of_shape["copies"])


def copy_measures(overlaps: Sequence[float]) -> dict[str, float]:
    """Measure the crops of one photo's copies at a shape, by their IoU with the photo's."""
    values = np.asarray(overlaps)
    return {
        "copies_same": float((values >= SAME_IOU).mean()),
        "copies_apart": float((values < APART_IOU).mean()),
        "copies_iou": float(values.mean()),
    }
