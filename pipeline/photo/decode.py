"""Decodes one photo to sRGB pixels in this process.

`decoder.Decoder` does the same in a child process with limits on memory and time; use that for
untrusted files. The order of work: find the format from the first bytes, read the header,
check the limits, and only then decode pixels.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.errors import DecodeError
from pipeline.photo.colour import opacity, plain_mode, to_srgb
from pipeline.photo.damaged import (
    box_there,
    ends_unwritten,
    repeat_last_row,
    rest_of,
    rows_alike,
)
from pipeline.photo.damaged_png import pixels_are_sound
from pipeline.photo.decoded import Photo, described
from pipeline.photo.formats import is_cut_short, sniff, webp_size
from pipeline.photo.frames import frame_count
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits
from pipeline.photo.strip import picture_only

try:
    from pillow_heif import HeifImageFile
except ImportError:  # the extra `heic`; without it HEIC is refused with a message that says so
    HeifImageFile = None

__all__ = [
    "Photo",
    "Rendered",
    "check_bytes",
    "decode",
    "malformed_told",
    "opened_picture",
    "render",
    "upright_srgb",
]

# A view's long side may be this share of view_side. It lets 12-megapixel photos (4,000 pixels) be
# decoded at 1/4 for the default of 1,024: 1,000 pixels cost half of what 2,000 would.
VIEW_SLACK = 0.95

_JPEG_SCALES = (8, 4, 2, 1)  # libjpeg decodes its 8 × 8 blocks to 1, 2, 4 or 8 pixels a side

_EXIF_ORIENTATION = 0x0112
# XMP, by which Pillow would turn a picture that has no EXIF; browsers turn none by it.
_TEXTS_THAT_TURN = ("xmp", "XML:com.adobe.xmp")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_DAMAGED = ("truncated", "corrupt")  # what a second, lenient try is made after

# Warnings that do not concern the pixels: EXIF blocks, which Pillow reads as TIFF, and animation.
# Each is (message, category, module), as `warnings.filterwarnings` takes them.
_HARMLESS = (
    ("", Warning, r"PIL\.TiffImagePlugin"),
    ("Invalid APNG", UserWarning, ""),
    ("Possibly corrupt EXIF", UserWarning, ""),
)

# What Pillow and the libraries under it raise for a malformed file.
MALFORMED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    AttributeError,
    AssertionError,
    Warning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Rendered:
    """A decoded photo as a Pillow image in RGB, with the other fields of `Photo`.

    alpha: a Pillow image in L of the same size; None where all is opaque.
    """

    image: Image.Image
    width_px: int
    height_px: int
    format: str
    orientation: int
    frames: int = 1
    alpha: Image.Image | None = None
    complete: float = 1.0
    there_px: tuple[int, int, int, int] | None = None


def decode(data: bytes, limits: DecodeLimits | None = None, view_side: int = VIEW_SIDE) -> Photo:
    """Decode one photo in this process: the bytes of a file in, upright sRGB pixels out.

    data:      a whole JPEG, PNG, WebP, GIF (its first frame) or AVIF file, or HEIC where
               pillow-heif is installed. The format is found from the bytes.
    limits:    what is refused; None is `DecodeLimits()`: 64 MiB, 50 million pixels (JPEG 100
               million), sides of 16,384 pixels. Its limits on time and memory do NOT hold here,
               because a process cannot stop itself. For untrusted files use
               `pipeline.photo.decoder.Decoder`: it decodes in a child process without
               credentials, where all limits hold, as the crop jobs do.
    view_side: the long side in pixels that `Photo.pixels` needs. A larger photo is reduced by a
               whole factor while its long side stays at least .95 × view_side; JPEG by 2, 4 or 8
               while decoding, at a fraction of the cost. A smaller photo keeps its size.

    Raises DecodeError, whose `status` says why: `pipeline.errors.DecodeError` lists them.
    """
    rendered = render(data, limits or DecodeLimits(), view_side)
    return described(
        Photo(
            np.array(rendered.image),
            rendered.width_px,
            rendered.height_px,
            rendered.format,
            rendered.orientation,
            rendered.frames,
            alpha=None if rendered.alpha is None else np.array(rendered.alpha),
            complete=rendered.complete,
            there_px=rendered.there_px,
        )
    )


def render(data: bytes, limits: DecodeLimits, view_side: int) -> Rendered:
    """Decode to a Pillow image, which saves the child process a copy into an array.

    Arguments and errors as of `decode`.
    """
    check_bytes(data, limits)
    name = sniff(data)
    try:
        with malformed_told(data, name):
            return _render(data, name, limits, view_side)
    except DecodeError as error:
        if limits.least_complete >= 1 or error.status not in _DAMAGED:
            raise
        status, message = error.status, error.message
    # Not in the handler: there, what the first try has decoded would still be held.
    share = 0.0
    try:
        with malformed_told(data, name):
            share, rendered = _render_rest(data, name, limits, view_side)
            if rendered is not None:
                return rendered
    except DecodeError as error:
        if error.status not in _DAMAGED:
            raise
    raise DecodeError(status, f"{message}; {int(100 * share)} % of its rows are there")


@contextmanager
def malformed_told(data: bytes, name: str) -> Iterator[None]:
    """Turn all that libraries raise for a malformed file, warnings too, into a DecodeError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for where in _HARMLESS:
                warnings.filterwarnings("ignore", *where)
            yield
    except DecodeError:
        raise
    except MemoryError as error:
        raise DecodeError("too_much_memory", f"decoding this {name} needs too much") from error
    except MALFORMED as error:
        status = "truncated" if is_cut_short(data, name) else "corrupt"
        raise DecodeError(status, f"{name}: {_one_line(error)}") from error


def check_bytes(data: bytes, limits: DecodeLimits) -> None:
    """Check the file's size. Raises DecodeError for no bytes at all or too many."""
    if not data:
        raise DecodeError("empty", "the object has 0 bytes")
    if len(data) > limits.max_bytes:
        raise DecodeError("too_large", f"{len(data)} bytes, more than {limits.max_bytes}")


def _render(data: bytes, name: str, limits: DecodeLimits, view_side: int) -> Rendered:
    opened = opened_picture(data, name, limits)
    width, height = opened.size
    _load(opened, name, view_side)
    if limits.least_complete < 1:  # what decoders go on over, showing smeared rows
        if name == "png" and not pixels_are_sound(data):
            raise DecodeError("corrupt", "png: a block of pixels has a wrong check sum")
        if name == "jpeg" and ends_unwritten(data):
            raise DecodeError("truncated", "jpeg: its end was never written")
    image, alpha, orientation = upright_srgb(opened, name, view_side)
    if orientation >= 5 and name != "heic":
        width, height = height, width
    frames = frame_count(opened, data, name)
    return Rendered(image, width, height, name, orientation, frames, alpha)


def _render_rest(
    data: bytes, name: str, limits: DecodeLimits, view_side: int
) -> tuple[float, Rendered | None]:
    """The share of the rows of a damaged picture that are there, and the picture if that is enough.

    Missing rows repeat the last one that is there, so that none of them shows in a thumbnail.
    """
    rest = rest_of(data, name, limits)
    if rest is None:
        return 0.0, None
    opened = opened_picture(rest.data, name, limits)
    width, height = opened.size
    if rest.rows is not None and rest.rows / height < limits.least_complete:
        return rest.rows / height, None
    _load(opened, name, view_side)
    if rest.rows is not None:
        rows = rest.rows * opened.height // height
    elif rest.other:
        other = opened_picture(rest.other, name, limits)
        _load(other, name, view_side)
        rows = rows_alike(opened, other)
        if rows == opened.height and rest.better:
            opened = opened_picture(rest.better, name, limits)
            _load(opened, name, view_side)
    else:
        rows = opened.height
    complete = rows / opened.height
    if not rows or complete < limits.least_complete:
        return complete, None
    if rows < opened.height:
        repeat_last_row(opened, rows)
    image, alpha, orientation = upright_srgb(opened, name, view_side)
    if orientation >= 5:
        width, height = height, width
    there_px = None
    if rows < opened.height:
        view_rows = image.height if orientation < 5 else image.width
        there = rows * view_rows // opened.height
        there_px = box_there((width, height), view_rows, there, orientation)
    return complete, Rendered(image, width, height, name, orientation, 1, alpha, complete, there_px)


def _load(opened: ImageFile.ImageFile, name: str, view_side: int) -> None:
    """Decode the pixels; of a JPEG as few as a view needs."""
    if name == "jpeg":
        _draft(opened, _enough(view_side))
    opened.load()


def opened_picture(data: bytes, name: str, limits: DecodeLimits) -> ImageFile.ImageFile:
    """Read a file's header and check its size. Raises DecodeError, and what `MALFORMED` names."""
    if name == "webp" and (size := webp_size(data)) is not None:
        _check_size(size, name, limits)
    opened = _open(data, name)
    _check_size(opened.size, name, limits)
    return opened


def upright_srgb(
    opened: ImageFile.ImageFile, name: str, view_side: int
) -> tuple[Image.Image, Image.Image | None, int]:
    """The loaded frame of a picture, reduced, in sRGB and upright; its opacity; its orientation."""
    profile = opened.info.get("icc_profile")
    image = plain_mode(opened)
    factor = int(max(image.size) / _enough(view_side))
    if factor > 1:
        image = image.reduce(factor)
    alpha = opacity(image)
    image = to_srgb(image, profile if isinstance(profile, bytes) else None)
    if name == "heic":  # libheif has applied the orientation; Pillow keeps its value here
        return image, alpha, opened.info.get("original_orientation") or 1
    orientation = _orientation(opened)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
        alpha = alpha and alpha.transpose(_UPRIGHT[orientation])
    return image, alpha, orientation


def _enough(view_side: int) -> float:
    """The long side that a view needs at least, pixels."""
    return max(1.0, VIEW_SLACK * view_side)


def _open(data: bytes, name: str) -> ImageFile.ImageFile:
    """Read the header with the format's own class: `Image.open` would let other plugins try."""
    opened = _opened(BytesIO(picture_only(data, name)), name)
    for text in _TEXTS_THAT_TURN:
        opened.info.pop(text, None)
    return opened


def _opened(stream: BytesIO, name: str) -> ImageFile.ImageFile:
    if name == "jpeg":
        return JpegImageFile(stream)
    if name == "png":
        return PngImageFile(stream)
    if name == "webp":
        return WebPImageFile(stream)
    if name == "gif":
        return GifImageFile(stream)
    if name == "avif":
        return AvifImageFile(stream)
    if HeifImageFile is None:
        message = "HEIC needs pillow-heif: pip install 's2cnet-thumbnails[heic]'"
        raise DecodeError("unsupported_format", message)
    opened: ImageFile.ImageFile = HeifImageFile(stream)
    return opened


def _check_size(size: tuple[int, int], name: str, limits: DecodeLimits) -> None:
    width, height = size
    most = limits.max_jpeg_pixels if name == "jpeg" else limits.max_pixels
    if max(width, height) > limits.max_side:
        raise DecodeError(
            "too_many_pixels", f"{width} × {height}: a side is longer than {limits.max_side}"
        )
    if width * height > most:
        raise DecodeError("too_many_pixels", f"{width} × {height}: more than {most} pixels")


def _draft(opened: ImageFile.ImageFile, enough: float) -> None:
    """Have libjpeg decode at 1/2, 1/4 or 1/8 if the long side then has `enough` pixels."""
    width, height = opened.size
    scale = next((s for s in _JPEG_SCALES if max(width, height) / s >= enough), 1)
    if scale > 1:
        opened.draft(None, (max(1, width // scale), max(1, height // scale)))


def _orientation(opened: ImageFile.ImageFile) -> int:
    """The file's EXIF orientation; 1 if there is none or it cannot be read."""
    try:
        value = opened.getexif().get(_EXIF_ORIENTATION, 1)
    except MALFORMED:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:200]
