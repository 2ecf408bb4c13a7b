"""Open a photo's file: read its header, check what decoding it would cost, decode its pixels."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.errors import DecodeError
from pipeline.photo.colour import Meaning
from pipeline.photo.formats import webp_size
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.old_avif import mended_avif
from pipeline.photo.spaces import bright_space
from pipeline.photo.strip import Bare, bare
from pipeline.photo.view import jpeg_scale

try:
    from pillow_heif import HeifImageFile
except ImportError:  # the extra `heic`; without it HEIC is refused with a message that says so
    HeifImageFile = None

# XMP, by which Pillow would turn a picture that has no EXIF; browsers turn none by it.
_TEXTS_THAT_TURN = ("xmp", "XML:com.adobe.xmp")
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # where a PNG's header has its bits and its kind of pixels


@dataclass(frozen=True)
class Opened:
    """A picture whose header was read.

    image:       its pixels, once `load` was called.
    orientation: how it has to be turned, as EXIF counts: 1 to 8.
    meaning:     what its values mean; None: sRGB.
    most_pixels: that may be decoded of a JPEG after its reduction.
    """

    image: ImageFile.ImageFile
    format: str
    orientation: int
    meaning: Meaning
    most_pixels: int

    @property
    def is_turned(self) -> bool:
        """Whether the decoder has turned it upright: libheif does."""
        return self.format == "heic"

    def load(self, view_side: int) -> None:
        """Decode the pixels; of a JPEG as few as a view needs."""
        image = self.image
        if self.format == "jpeg":
            scale = jpeg_scale(image.size, view_side, self.most_pixels)
            if scale > 1:
                image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
        image.load()


def opened_picture(data: bytes, name: str, limits: DecodeLimits) -> Opened:
    """Read a file's header and check its size. Raises DecodeError, and what `MALFORMED` names."""
    if name == "webp" and (size := webp_size(data)) is not None:
        _check_size(size, name, limits)
    found = bare(data, name)
    image = _opened(BytesIO(found.data), name)  # `Image.open` would let other plugins try
    _check_size(image.size, name, limits)
    if found.scans > 1:
        _check_scans(image.size, found.scans, limits)
    for text in _TEXTS_THAT_TURN:
        image.info.pop(text, None)
    if name == "png" and "transparency" in image.info:
        _scale_key(image, data)
    return Opened(image, name, found.orientation, _meaning(image, found), limits.max_pixels)


def _meaning(image: ImageFile.ImageFile, found: Bare) -> Meaning:
    """What the values mean: a PNG's cICP goes before a profile, which goes before code points."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return found.space
    if found.space is not None and image.format == "PNG":
        return found.space
    return bright_space(profile) or profile


def _scale_key(image: ImageFile.ImageFile, data: bytes) -> None:
    """Bring the transparent value of a PNG to the 8 bits that Pillow makes of its pixels."""
    depth, key = data[_PNG_DEPTH], image.info["transparency"]
    if isinstance(key, int) and image.mode == "L" and depth in (2, 4):
        image.info["transparency"] = (key & (2**depth - 1)) * 255 // (2**depth - 1)
    elif isinstance(key, tuple) and depth == 16:  # Pillow keeps the high bytes
        image.info["transparency"] = tuple(value >> 8 for value in key)


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
        return _opened_avif(stream)
    if HeifImageFile is None:
        message = "HEIC needs pillow-heif: pip install 's2cnet-thumbnails[heic]'"
        raise DecodeError("extra_missing", message)
    opened: ImageFile.ImageFile = HeifImageFile(stream)
    return opened


def _opened_avif(stream: BytesIO) -> ImageFile.ImageFile:
    try:
        return AvifImageFile(stream)
    except SyntaxError:
        mended = mended_avif(stream.getvalue())
        if mended is None:
            raise
    return AvifImageFile(BytesIO(mended))


def _check_size(size: tuple[int, int], name: str, limits: DecodeLimits) -> None:
    width, height = size
    most = limits.max_jpeg_pixels if name == "jpeg" else limits.max_pixels
    if max(width, height) > limits.max_side:
        raise DecodeError(
            "too_many_pixels", f"{width} × {height}: a side is longer than {limits.max_side}"
        )
    if width * height > most:
        raise DecodeError("too_many_pixels", f"{width} × {height}: more than {most} pixels")


def _check_scans(size: tuple[int, int], scans: int, limits: DecodeLimits) -> None:
    """Refuse a JPEG in many scans: all of it is kept in memory, and gone over once for each."""
    width, height = size
    pixels = width * height
    if pixels > limits.max_progressive_pixels:
        most = limits.max_progressive_pixels
        message = f"{width} × {height}, progressive: more than {most} pixels"
        raise DecodeError("too_many_pixels", message)
    if pixels * scans > limits.max_scan_pixels:
        message = f"{width} × {height} in {scans} scans: more than {limits.max_scan_pixels} pixels"
        raise DecodeError("too_many_scans", f"{message} in all scans")


def frame_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """The part of a GIF's canvas that the frame to be loaded fills, xyxy; None: all of it.

    Ask before it is loaded.
    """
    tile = getattr(image, "tile", None)
    if image.format != "GIF" or not tile:
        return None
    x0, y0, x1, y1 = tile[0].extents or (0, 0, *image.size)
    box = (max(0, x0), max(0, y0), min(x1, image.width), min(y1, image.height))
    return None if box == (0, 0, *image.size) else box
