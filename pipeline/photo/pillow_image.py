"""Make a photo of a Pillow image, as decoding makes one of a file: the same modes, colours, turns.

What only a file's bytes tell is not known of an image: the colours that a PNG's chunks or an AVIF's
code points name, a picture's other frames, missing rows.
"""

import numpy as np
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.decode import MALFORMED
from pipeline.photo.decoded import Photo, described
from pipeline.photo.files.formats import DECODED
from pipeline.photo.files.strip import ORIENTATION, Bare, orientation_of
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits
from pipeline.photo.opening import TEXTS_THAT_TURN, Opened, check_size, meaning_of
from pipeline.photo.planes import upright, upright_size
from pipeline.photo.view import view_size

# What Pillow calls formats by other names: a JPEG with a second picture, and HEIC.
_FORMAT_OF = {"mpo": "jpeg", "heif": "heic"}
_LOSSLESS = "png"  # an image of no file, or of one that is not read otherwise, counts as one
# More of what Pillow would turn a picture by and browsers do not.
_TEXTS = (*TEXTS_THAT_TURN, "Raw profile type exif")
_EXIF_STARTS = b"Exif\0\0"
_MOST_OF_8_BITS = 255


def photo_of_image(image: Image.Image, view_side: int = VIEW_SIDE) -> Photo:
    """The photo that a Pillow image shows, which stays as it is; of a moving one the current frame.

    Grey of 16 bits is divided by 257, in the modes I and F too, unless no value is above 255: then
    it has 8 bits. view_side: as for `decode.decode`.

    Raises DecodeError for an image that can't be loaded, or has more pixels than the limits allow.
    """
    name = _format_of(image)
    limits = DecodeLimits()
    if not all(image.size):
        raise DecodeError("empty", f"a Pillow image of {image.width} x {image.height} pixels")
    check_size(image.size, name, limits)
    try:
        image.load()
        meaning = meaning_of(image, Bare(b""))
        opened = Opened(image, name, _orientation_of(image), meaning, limits.max_pixels)
        planes = upright(opened, view_size(image.size, view_side), shown=_of_its_depth(image))
    except MALFORMED as error:
        raise DecodeError("corrupt", f"a Pillow image: {error}"[:200]) from error
    return described(
        Photo(
            np.array(planes.image),
            *upright_size(opened, image.size),
            name,
            opened.orientation,
            alpha=None if planes.alpha is None else np.array(planes.alpha),
        )
    )


def _format_of(image: Image.Image) -> str:
    name = (image.format or _LOSSLESS).lower()
    name = _FORMAT_OF.get(name, name)
    return name if name in DECODED else _LOSSLESS


def _of_its_depth(image: Image.Image) -> Image.Image:
    """The image, in L where numbers of more bits hold no more than 8."""
    if image.mode not in ("I", "F"):
        return image
    least, most = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    return image.convert("L") if 0 <= least <= most <= _MOST_OF_8_BITS else image


def _orientation_of(image: Image.Image) -> int:
    """How a loaded image is to be turned, as EXIF counts: 1 to 8.

    Of a format that is read as a file too, by its EXIF alone; of another, or where a program made
    the image, by what Pillow knows of it.
    """
    block = image.info.get("exif")
    if isinstance(block, bytes):
        return orientation_of(block.removeprefix(_EXIF_STARTS))
    if any(text in image.info for text in _TEXTS):
        return 1
    told = image.getexif().get(ORIENTATION, 1)
    return told if told in range(1, 9) else 1
