"""Convert a Pillow image to a photo, with the modes, colours and orientation handled as for a file.

Facts that only a file's bytes contain are unknown for an image: the colours that a PNG's chunks or
an AVIF's code points define, a picture's other frames, missing rows.
"""

import numpy as np
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.decode_errors import MALFORMED
from pipeline.photo.decoded import Photo, described
from pipeline.photo.files.formats import DECODED
from pipeline.photo.files.strip import ORIENTATION, StrippedFile, orientation_of
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits
from pipeline.photo.opening import XMP_KEYS, Opened, check_size, meaning_of
from pipeline.photo.planes import upright, upright_size
from pipeline.photo.view import view_size

# Formats for which Pillow has other names: a JPEG with a second picture, and HEIC.
_FORMAT_OF = {"mpo": "jpeg", "heif": "heic"}
_LOSSLESS = "png"  # the format of an image without a file, or of a format that we do not decode
# Texts by which Pillow would turn a picture and browsers do not.
_TEXTS = (*XMP_KEYS, "Raw profile type exif")
_EXIF_STARTS = b"Exif\0\0"
# Values of 8 bits exceed 255 where a filter overshoots, by 22 in a photo that Lanczos resized. A
# photo of 16 bits whose values are no larger would be black: at most the level 2 of 255.
_MOST_8_BIT = 2 * 257


def photo_of_image(image: Image.Image, view_side: int = VIEW_SIDE) -> Photo:
    """Return a Pillow image as a photo; of a moving one the current frame. The image is unchanged.

    16-bit grey is divided by 257, in the modes I and F too, unless no value is above 514: such an
    image is taken as 8-bit, and clipped to 0 to 255. view_side: as for `decode.decode`.

    Raises DecodeError if the image is empty, can't be loaded, has values that are not finite, or
    exceeds the limits on pixels.
    """
    name = _format_of(image)
    limits = DecodeLimits()
    if not all(image.size):
        raise DecodeError("empty", f"a Pillow image of {image.width} x {image.height} pixels")
    check_size(image.size, name, limits)
    try:
        image.load()
        meaning = meaning_of(image, StrippedFile(b""))
        opened = Opened(image, name, _orientation_of(image), meaning, limits.max_pixels)
        planes = upright(opened, view_size(image.size, view_side), shown=_at_true_depth(image))
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


def _at_true_depth(image: Image.Image) -> Image.Image:
    """Return the image, converted to L if its mode has more than 8 bits but its values do not."""
    if image.mode not in ("I", "F"):
        return image
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise DecodeError("corrupt", "a Pillow image has values that are not finite")
    return image.convert("L") if values.max() <= _MOST_8_BIT else image


def _orientation_of(image: Image.Image) -> int:
    """Return how a loaded image has to be turned, by EXIF's numbers: 1 to 8.

    For an image with an EXIF block this is the block's value. Otherwise it is Pillow's, unless that
    comes from a text by which browsers do not turn.
    """
    block = image.info.get("exif")
    if isinstance(block, bytes):
        return orientation_of(block.removeprefix(_EXIF_STARTS))
    if any(text in image.info for text in _TEXTS):
        return 1
    orientation = image.getexif().get(ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1
