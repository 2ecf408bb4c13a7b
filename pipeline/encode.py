"""From a box on a decoded picture to an encoded thumbnail.

Everything written is built from raw pixels, so no EXIF, position, comment, XMP or profile of the
upload can survive. Pixels are sRGB and files are untagged, which readers take as sRGB.
"""

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.decode import Photo
from pipeline.errors import EncodeError, UsageError
from pipeline.shapes import Shape

FORMATS = ("webp", "jpeg", "png", "avif")
DEFAULT_QUALITY = 80
WHITE = (255, 255, 255)

# Resampling reads this many view pixels beyond the crop's edge at most (Lanczos, 3 taps).
_MARGIN = 4


def thumbnail_size(shape: Shape, box_px: Sequence[float], thumbnail_side: int) -> tuple[int, int]:
    """Width and height of the thumbnail of a crop: its long side is thumbnail_side pixels.

    A crop smaller than that keeps its own size: nothing is enlarged. The ratio is the shape's,
    to the nearest pixel, and for the free shape that of the box. Raises UsageError.
    """
    if thumbnail_side < 1:
        raise UsageError(f"a thumbnail has at least 1 pixel, got {thumbnail_side}")
    x0, y0, x1, y1 = box_px
    ratio = shape.ratio or (x1 - x0) / (y1 - y0)
    long_side = min(float(thumbnail_side), max(x1 - x0, y1 - y0))
    width, height = (long_side, long_side / ratio) if ratio >= 1 else (long_side * ratio, long_side)
    return max(1, round(width)), max(1, round(height))


def cut(
    photo: Photo, box_px: Sequence[float], size_wh: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """The pixels of a crop, uint8 [h, w, 3].

    box_px:  xyxy in source pixels; fractions are resampled, what lies outside is cut off.
    size_wh: the size to resample to (Lanczos); None takes the crop as it is in the view.
    Raises EncodeError("bad_box") for a box that is not finite or not on the picture.
    """
    left, top, right, bottom = _to_view(photo, box_px)
    if size_wh is None:
        size_wh = max(1, round(right - left)), max(1, round(bottom - top))
    height_view, width_view = photo.pixels.shape[:2]
    x0, y0 = max(0, math.floor(left) - _MARGIN), max(0, math.floor(top) - _MARGIN)
    x1 = min(width_view, math.ceil(right) + _MARGIN)
    y1 = min(height_view, math.ceil(bottom) + _MARGIN)
    region = Image.fromarray(np.ascontiguousarray(photo.pixels[y0:y1, x0:x1]))
    resized = region.resize(
        size_wh,
        Image.Resampling.LANCZOS,
        box=(left - x0, top - y0, right - x0, bottom - y0),
        reducing_gap=3.0,  # first by a whole factor: no visible difference, half the time
    )
    return np.array(resized)


def encode(
    pixels: NDArray[np.uint8],
    format: str = "webp",
    quality: int = DEFAULT_QUALITY,
    circle: bool = False,
    background: tuple[int, int, int] = WHITE,
) -> bytes:
    """One file from uint8 pixels [h, w, 3].

    format:  one of FORMATS. quality: 1 to 100; PNG has none and is lossless.
    circle:  keeps the inscribed circle (ellipse): outside it WebP, PNG and AVIF are transparent,
             JPEG has the background colour; the edge is antialiased.
    Raises UsageError for another format or quality, EncodeError if the encoder fails.
    """
    if format not in FORMATS:
        raise UsageError(f"cannot write {format!r}: one of {', '.join(FORMATS)}")
    if not 1 <= quality <= 100:
        raise UsageError(f"quality goes from 1 to 100, got {quality}")
    image = Image.fromarray(pixels)
    if circle:
        image = _circle(image, transparent=format != "jpeg", background=background)
    stream = BytesIO()
    try:
        image.save(stream, format, **_encoder_options(format, quality))
    except (OSError, ValueError, MemoryError) as error:
        raise EncodeError("encoder_failed", f"{format}: {error}") from error
    return stream.getvalue()


def _encoder_options(format: str, quality: int) -> dict[str, int | bool]:
    if format == "png":
        return {"compress_level": 6}
    if format == "webp":
        return {"quality": quality, "method": 4}
    if format == "avif":
        return {"quality": quality, "speed": 8, "max_threads": 1}
    return {"quality": quality, "optimize": True, "progressive": True}


def _to_view(photo: Photo, box_px: Sequence[float]) -> tuple[float, float, float, float]:
    if len(box_px) != 4 or not all(math.isfinite(edge) for edge in box_px):
        raise EncodeError("bad_box", f"not four finite edges: {list(box_px)}")
    scale_x, scale_y = photo.scale_xy
    height_view, width_view = photo.pixels.shape[:2]
    left, right = (min(max(edge / scale_x, 0.0), width_view) for edge in (box_px[0], box_px[2]))
    top, bottom = (min(max(edge / scale_y, 0.0), height_view) for edge in (box_px[1], box_px[3]))
    if not (left < right and top < bottom):
        raise EncodeError("bad_box", f"no part of the picture: {list(box_px)}")
    return left, top, right, bottom


def _circle(image: Image.Image, transparent: bool, background: tuple[int, int, int]) -> Image.Image:
    mask = Image.fromarray(circle_mask(image.width, image.height))
    if transparent:
        image.putalpha(mask)
        return image
    page = Image.new("RGB", image.size, background)
    page.paste(image, mask=mask)
    return page


def circle_mask(width: int, height: int) -> NDArray[np.uint8]:
    """Coverage of the inscribed ellipse, uint8 [height, width], one pixel of soft edge.

    The distance to the edge is taken along the ray from the centre, exact for a circle.
    """
    x = (np.arange(width) + 0.5 - width / 2) / (width / 2)
    y = (np.arange(height) + 0.5 - height / 2) / (height / 2)
    radius = np.hypot(x[None, :], y[:, None])
    inside_px = (1 - radius) * min(width, height) / 2
    coverage: NDArray[np.float64] = np.clip(inside_px + 0.5, 0, 1)
    return np.rint(coverage * 255).astype(np.uint8)
