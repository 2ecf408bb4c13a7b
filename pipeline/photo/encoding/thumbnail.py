"""Cut a crop from a decoded photo, resample it and encode the thumbnail.

A thumbnail is built only from pixels, so it has no EXIF, position, comment, XMP or profile of the
uploaded file. Its pixels are sRGB and it has no profile, which readers take as sRGB. With the
setting `colour` keep, a photo with more colours gets a wide-gamut thumbnail with our own profile.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from pipeline.errors import EncodeError, UsageError
from pipeline.photo.decode import Photo
from pipeline.photo.encoding import libwebp
from pipeline.photo.encoding.jpegli import encode_jpegli
from pipeline.shapes import Shape

try:
    from cykooz_resizer import FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
except ImportError:  # it has no wheel for Linux on ARM, where Pillow's slower bicubic is used
    Resizer = None

ENCODED = ("webp", "jpeg", "png", "avif")
DEFAULT_QUALITY = 80
WHITE = (255, 255, 255)
ROUNDING = 1e-6  # pixels; tolerance for rounding errors

# Effort of the encoders. On 512-pixel thumbnails at quality 80, one core:
#   WebP method 2: 5 ms. The default 4 takes 2.3 times that for 6 % fewer bytes at the same
#   SSIMULACRA2; method 1 saves 23 % of the time for 10 % more (`python -m tests.bench encode`).
#   AVIF speed 9: 17 ms; 8 takes 75 ms for 10 % less. JPEG with optimal codes: 1.8 ms, 2 % less
#   than without; progressive takes twice as long for 1 %. PNG level 3: 25 ms; 6 takes 65 ms for
#   7 % less.
EFFORT: dict[str, dict[str, int | bool]] = {
    "webp": {"method": 2},
    "jpeg": {"optimize": True},
    "png": {"compress_level": 3},
    "avif": {"speed": 9, "max_threads": 1},
}
CIRCLE_METHOD = 1  # of WebP, for the circles of `--format auto`, whose other crops are JPEG


def thumbnail_size(shape: Shape, box_px: Sequence[float], thumbnail_side: int) -> tuple[int, int]:
    """Return width and height of a crop's thumbnail: the long side has thumbnail_side pixels.

    box_px: xyxy in source pixels. A smaller crop gives the largest picture of the shape that fits
    into it, at least 1 x 1. No side is enlarged; if rounding to whole pixels has put the box a
    pixel off the ratio, one side is reduced by that. The ratio is the shape's, to the nearest
    pixel; for `free` it is the box's. Raises UsageError for a thumbnail_side below 1.
    """
    if thumbnail_side < 1:
        raise UsageError(f"a thumbnail has at least 1 pixel, got {thumbnail_side}")
    x0, y0, x1, y1 = box_px
    box_w, box_h = x1 - x0, y1 - y0
    ratio = shape.ratio or box_w / box_h
    width = min(box_w, box_h * ratio, thumbnail_side * min(1.0, ratio))
    height = width / ratio
    # A canvas may have a fractional size, which must not be rounded up.
    whole_w, whole_h = math.floor(box_w + ROUNDING), math.floor(box_h + ROUNDING)
    return max(1, min(round(width), whole_w)), max(1, min(round(height), whole_h))


def cut(
    photo: Photo, box_px: Sequence[float], size_wh: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Cut a crop from a photo's view: uint8 [h, w, 3].

    box_px:  xyxy in source pixels, rounded to whole pixels of the view, at least one. Parts
             outside the photo are cut off.
    size_wh: width and height to resample to; None keeps the crop's size in the view. Resampled
             pixels are read-only.
    Raises EncodeError("bad_box") for a box that is not finite or does not meet the photo.
    """
    x0, y0, x1, y1 = _to_view(photo, box_px)
    region = photo.pixels[y0:y1, x0:x1]
    return np.array(region) if size_wh is None else resample(region, size_wh)


def resample(pixels: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample uint8 pixels [h, w, 3] to size_wh with an antialiased bicubic kernel.

    The kernel is Keys' cubic with a = -0.5 (IEEE Trans. ASSP 29, 1981), widened by the reduction;
    Pillow's BICUBIC and cykooz_resizer's Catmull-Rom are both this one. The latter is vectorised
    and takes a seventh of the time: docs/PARTS.md compares them.
    """
    if Resizer is None:
        return np.array(Image.fromarray(pixels).resize(size_wh, Image.Resampling.BICUBIC))
    (height, width), (new_width, new_height) = pixels.shape[:2], size_wh
    source = ImageData(width, height, PixelType.U8x3, pixels.tobytes())
    between = ImageData(new_width, height, PixelType.U8x3)
    target = ImageData(new_width, new_height, PixelType.U8x3)
    options = ResizeOptions(ResizeAlg.convolution(FilterType.catmull_rom), use_alpha=False)
    resizer = Resizer()  # one per call: two threads may not share one
    # Rows first, as in Pillow and torch. Overshoot is clipped between the two passes, so the
    # package's own order, columns first, gives other pixels at hard edges.
    resizer.resize(source, between, options)
    resizer.resize(between, target, options)
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(new_height, new_width, 3)


def shrunk(
    pixels: NDArray[np.uint8], size_wh: tuple[int, int], rows_per_pixel: int
) -> NDArray[np.uint8]:
    """Resample a whole view, uint8 [h, w, 3], to a small picture, cheaper than `resample`.

    rows_per_pixel: at least how many rows are read for each row of the picture, if the view has so
        many; the others would hardly change it.
    """
    step = max(1, pixels.shape[0] // (rows_per_pixel * size_wh[1]))
    return resample(pixels[step // 2 :: step], size_wh)


def encode(
    pixels: NDArray[np.uint8],
    format: str = "webp",
    quality: int = DEFAULT_QUALITY,
    circle: bool = False,
    background: tuple[int, int, int] = WHITE,
    profile: bytes | None = None,
    jpegli: bool = False,
) -> bytes:
    """Encode uint8 pixels [h, w, 3], or [h, w, 4] with opacity, as a file.

    format:  one of ENCODED.
    quality: 1 to 100; ignored for PNG, which is lossless.
    circle:  show only the inscribed ellipse, a circle if the crop is square, with an antialiased
             edge. Outside it WebP, PNG and AVIF are transparent; JPEG has the background colour.
    background: RGB, 0 to 255. JPEG has no opacity: `opacity.on_colour` comes before.
    profile: the ICC profile of the pixels; None: they are sRGB, and the file gets no profile.
    jpegli:  encode JPEG without a profile by jpegli.
    Raises UsageError for another format or quality, EncodeError if the encoder fails.
    """
    if format not in ENCODED:
        raise UsageError(f"cannot write {format!r}: one of {', '.join(ENCODED)}")
    if not 1 <= quality <= 100:
        raise UsageError(f"quality goes from 1 to 100, got {quality}")
    fast = libwebp.encoder() if format == "webp" and profile is None else None
    if fast is not None:
        shown = np.asarray(encoded_image(pixels, circle, True)) if circle else pixels
        return fast.encode(shown, quality, int(EFFORT["webp"]["method"]))
    by_jpegli = jpegli and format == "jpeg" and profile is None
    if by_jpegli and not circle:
        return encode_jpegli(pixels, quality)
    image = encoded_image(pixels, circle, format != "jpeg", background)
    if by_jpegli:
        return encode_jpegli(np.asarray(image), quality)
    tagged = {} if profile is None else {"icc_profile": profile}
    return _saved(image, format, quality, {**EFFORT[format], **tagged})


def _saved(image: Image.Image, format: str, quality: int, options: Mapping[str, Any]) -> bytes:
    """Encode a file by Pillow. Raises EncodeError."""
    stream = BytesIO()
    try:
        image.save(stream, format, quality=quality, **options)
    except (OSError, ValueError, MemoryError) as error:
        raise EncodeError("encoder_failed", f"{format}: {error}") from error
    return stream.getvalue()


def encode_circle(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Encode the inscribed ellipse of opaque sRGB pixels, uint8 [h, w, 3], as WebP, faster.

    Raises EncodeError.
    """
    mask, fast = circle_mask(pixels.shape[1], pixels.shape[0]), libwebp.encoder()
    if fast is not None:
        return fast.encode_masked(pixels, mask, quality, CIRCLE_METHOD)
    return _saved(encoded_image(pixels, True, True), "webp", quality, {"method": CIRCLE_METHOD})


def _to_view(photo: Photo, box_px: Sequence[float]) -> tuple[int, int, int, int]:
    if len(box_px) != 4 or not all(math.isfinite(edge) for edge in box_px):
        raise EncodeError("bad_box", f"not four finite edges: {list(box_px)}")
    height_view, width_view = photo.pixels.shape[:2]
    scale_x, scale_y = photo.scale_xy
    x0, x1 = _whole(box_px[0] / scale_x, box_px[2] / scale_x, width_view)
    y0, y1 = _whole(box_px[1] / scale_y, box_px[3] / scale_y, height_view)
    if x0 >= x1 or y0 >= y1:
        raise EncodeError("bad_box", f"no part of the picture: {list(box_px)}")
    return x0, y0, x1, y1


def _whole(low: float, high: float, side: int) -> tuple[int, int]:
    """Round two edges to whole pixels in 0 … side; equal only if low … high lies outside."""
    low, high = max(0.0, low), min(float(side), high)
    if low >= high:
        return 0, 0
    first = min(round(low), math.ceil(high) - 1)
    return first, max(first + 1, round(high))


def encoded_image(
    pixels: NDArray[np.uint8],
    circle: bool,
    transparent: bool,
    background: tuple[int, int, int] = WHITE,
) -> Image.Image:
    """Return the image to encode for pixels [h, w, 3] or [h, w, 4]: RGB, or RGBA with opacity.

    transparent: whether the format has opacity; else a circle is put on the background.
    """
    image = Image.fromarray(pixels)
    if not circle:
        return image
    mask = Image.fromarray(circle_mask(image.width, image.height))
    if transparent:
        opacity = image.getchannel("A") if image.mode == "RGBA" else None
        image.putalpha(mask if opacity is None else ImageChops.multiply(mask, opacity))
        return image
    page = Image.new("RGB", image.size, background)
    page.paste(image, mask=mask)
    return page


@lru_cache(maxsize=16)  # a run has few sizes, and a mask costs as much as encoding a square
def circle_mask(width: int, height: int) -> NDArray[np.uint8]:
    """Return the coverage of the inscribed ellipse, uint8 [height, width], with a soft 1 px edge.

    The array is read-only, since it is cached.

    The distance to the edge is measured along the ray from the centre, which is exact for a circle
    and approximate for an ellipse.
    """
    x = (np.arange(width) + 0.5 - width / 2) / (width / 2)
    y = (np.arange(height) + 0.5 - height / 2) / (height / 2)
    radius = np.hypot(x[None, :], y[:, None])
    inside_px = (1 - radius) * min(width, height) / 2
    coverage: NDArray[np.float64] = np.clip(inside_px + 0.5, 0, 1)
    mask = np.rint(coverage * 255).astype(np.uint8)
    mask.flags.writeable = False
    return mask
