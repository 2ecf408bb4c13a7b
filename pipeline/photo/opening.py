"""Open a photo's file: read its header, check what decoding it would cost, decode its pixels."""

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageChops, ImageFile, ImagePalette
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.errors import DecodeError
from pipeline.photo.colour import Meaning
from pipeline.photo.files.formats import webp_size
from pipeline.photo.files.old_avif import repaired_avif
from pipeline.photo.files.strip import StrippedFile, stripped
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.spaces import hdr_space
from pipeline.photo.view import jpeg_scale

try:
    from pillow_heif import HeifImageFile
except ImportError:  # the extra `heic`; without it HEIC is refused with a message that says so
    HeifImageFile = None

# XMP, by which Pillow would turn a picture without EXIF; browsers do not.
XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
_STRIP_ROWS = 256  # rows of a 16-bit picture that are compared at once, which bounds the memory
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # offsets of bit depth and colour type in a PNG


@dataclass(frozen=True)
class Opened:
    """A picture whose header was read.

    image:       its pixels, once `load` was called.
    orientation: how it has to be turned, by EXIF's numbers: 1 to 8.
    meaning:     what its values mean; None: sRGB.
    most_pixels: how many pixels of a JPEG may be decoded after its reduction.
    deep_key:    for a 16-bit PNG, the file and the colour that `load` makes transparent.
    """

    image: Image.Image
    format: str
    orientation: int
    meaning: Meaning
    most_pixels: int
    deep_key: tuple[bytes, tuple[int, ...]] | None = None

    @property
    def is_upright(self) -> bool:
        """Whether the decoder has already turned it upright, as libheif does."""
        return self.format == "heic"

    def load(self, view_side: int) -> None:
        """Decode the pixels; for a JPEG, only as many as a view needs."""
        image = self.image
        if self.format == "jpeg":
            scale = jpeg_scale(image.size, view_side, self.most_pixels)
            if scale > 1:
                image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
        if getattr(image, "default_image", False) and getattr(image, "is_animated", False):
            with suppress(EOFError, OSError):  # the file states frames but has none
                image.seek(1)  # skips an APNG's default image, which no browser shows
        image.load()
        if self.deep_key is not None:
            image.putalpha(_deep_opacity(image, *self.deep_key))


def opened_picture(data: bytes, name: str, limits: DecodeLimits) -> Opened:
    """Read a file's header and check its size. Raises DecodeError, and what `MALFORMED` names."""
    if name == "webp" and (size := webp_size(data)) is not None:
        check_size(size, name, limits)
    found = stripped(data, name)
    image = _opened(BytesIO(found.data), name)  # `Image.open` would try other plugins too
    check_size(image.size, name, limits)
    if found.scans > 1:
        _check_scans(image.size, found.scans, limits)
    for text in XMP_KEYS:
        image.info.pop(text, None)
    deep_key = None
    if name == "png":
        _fill_palette(image)
        key = image.info.get("transparency")
        if isinstance(key, tuple) and data[_PNG_DEPTH] == 16:
            deep_key = found.data, image.info.pop("transparency")
        elif isinstance(key, int) and image.mode == "L" and data[_PNG_DEPTH] in (2, 4):
            most = 2 ** data[_PNG_DEPTH] - 1
            image.info["transparency"] = (key & most) * 255 // most
    meaning = meaning_of(image, found)
    return Opened(image, name, found.orientation, meaning, limits.max_pixels, deep_key)


def meaning_of(image: Image.Image, found: StrippedFile) -> Meaning:
    """Return what the values mean: by a PNG's cICP, else a profile, else code points."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return found.space
    if found.space is not None and image.format == "PNG":
        return found.space
    return hdr_space(profile) or profile


def _fill_palette(image: ImageFile.ImageFile) -> None:
    """Repeat the last colour of a short palette, and its opacity, as browsers do."""
    colours = image.palette.palette if image.mode == "P" and image.palette is not None else b""
    count = len(colours) // 3
    if not 0 < count < 256:
        return
    last = bytes(colours[3 * count - 3 : 3 * count])
    image.palette = ImagePalette.raw("RGB", bytes(colours[: 3 * count]) + last * (256 - count))
    opacities = image.info.get("transparency")
    if isinstance(opacities, int):  # Pillow's form for: only this entry, fully transparent
        opacities = b"\xff" * opacities + b"\0"
    if isinstance(opacities, bytes) and len(opacities) >= count:
        image.info["transparency"] = opacities[:count] + opacities[count - 1 : count] * (
            256 - count
        )


def _deep_opacity(high: Image.Image, data: bytes, key: tuple[int, ...]) -> Image.Image:
    """Return the opacity of a 16-bit PNG in which one colour is transparent, in L.

    high: its high bytes, which are all that Pillow keeps; the low ones are decoded separately.
    """
    low = PngImageFile(BytesIO(data))
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
    low.load()
    opacity = Image.new("L", high.size)
    for top in range(0, high.height, _STRIP_ROWS):
        box = (0, top, high.width, min(high.height, top + _STRIP_ROWS))
        strip = Image.new("L", (high.width, box[3] - top), 0)
        for plane, shift in ((high, 8), (low, 0)):
            for band, value in zip(plane.crop(box).split(), key, strict=True):
                same = [0 if level == value >> shift & 255 else 255 for level in range(256)]
                strip = ImageChops.lighter(strip, band.point(same))
        opacity.paste(strip, box)
    return opacity


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
        repaired = repaired_avif(stream.getvalue())
        if repaired is None:
            raise
    return AvifImageFile(BytesIO(repaired))


def check_size(size: tuple[int, int], name: str, limits: DecodeLimits) -> None:
    """Raise DecodeError if a picture's sides or pixels exceed the limits for its format."""
    width, height = size
    most = limits.max_jpeg_pixels if name == "jpeg" else limits.max_pixels
    if max(width, height) > limits.max_side:
        raise DecodeError(
            "too_many_pixels", f"{width} × {height}: a side is longer than {limits.max_side}"
        )
    if width * height > most:
        raise DecodeError("too_many_pixels", f"{width} × {height}: more than {most} pixels")


def _check_scans(size: tuple[int, int], scans: int, limits: DecodeLimits) -> None:
    """Refuse a large JPEG with many scans: all of it is kept in memory, with a pass per scan."""
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
    """Return the part of a GIF's canvas that the frame to be loaded fills, xyxy; None: all of it.

    Call it before the frame is loaded.
    """
    tile = getattr(image, "tile", None)
    if image.format != "GIF" or not tile:
        return None
    x0, y0, x1, y1 = tile[0].extents or (0, 0, *image.size)
    box = (max(0, x0), max(0, y0), min(x1, image.width), min(y1, image.height))
    return None if box == (0, 0, *image.size) else box
