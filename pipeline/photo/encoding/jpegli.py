"""Encode JPEG by jpegli, the encoder that Google took out of libjxl, where the extra is installed.

At the same SSIMULACRA2 its files are as small as WebP, for a fifth of the CPU time
(docs/PERFORMANCE.md). Any decoder of JPEG reads them. It is only ever given our own pixels.
"""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncodeError, UsageError

PACKAGE = "pyjpegli"
HOW_TO_INSTALL = "pip install 's2cnet-thumbnails[jpegli]'"
_MISSING = f"jpegli needs the package {PACKAGE}: {HOW_TO_INSTALL}"


def has_jpegli() -> bool:
    """Whether the package is installed; nothing is imported."""
    return find_spec(PACKAGE) is not None


def check_jpegli() -> None:
    """Raise UsageError where the package is not installed; nothing is imported."""
    if not has_jpegli():
        raise UsageError(_MISSING)


def encode_jpegli(pixels: NDArray[np.uint8], quality: int, photo: bool = False) -> bytes:
    """Encode uint8 pixels [h, w, 3], sRGB, as a JPEG file without any other part.

    quality: 1 to 100, of jpegli's scale. photo: take the cheapest way to the same look and size
    that there is for photos. Raises EncodeError, "encoder_missing" where the package
    is not installed on this machine: the job has been planned on another one.
    """
    if not has_jpegli():
        raise EncodeError("encoder_missing", _MISSING)
    from pipeline.photo.encoding import libjpegli  # Pillow is slow to import, and not for --help

    direct = libjpegli.jpegli_encoder()
    if direct is not None:
        return direct.encode_photo(pixels, quality) if photo else direct.encode(pixels, quality)
    import pyjpegli

    height, width = pixels.shape[:2]
    try:
        data: bytes = pyjpegli.encode(np.ascontiguousarray(pixels), width, height, quality)
    except (RuntimeError, ValueError) as error:
        raise EncodeError("encoder_failed", f"jpegli: {error}") from error
    return data
