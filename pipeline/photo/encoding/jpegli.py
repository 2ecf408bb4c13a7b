"""Encode JPEG by jpegli, the encoder that Google extracted from libjxl, if the extra is installed.

At the same SSIMULACRA2 its files are as small as WebP, for a fifth of the CPU time
(docs/PERFORMANCE.md). Any JPEG decoder reads them. Its only input is our own pixels.
"""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncodeError, UsageError

PACKAGE = "pyjpegli"
HOW_TO_INSTALL = "pip install 's2cnet-thumbnails[jpegli]'"
_MISSING = f"jpegli needs the package {PACKAGE}: {HOW_TO_INSTALL}"


def has_jpegli() -> bool:
    """Return whether the package is installed; nothing is imported."""
    return find_spec(PACKAGE) is not None


def check_jpegli() -> None:
    """Raise UsageError if the package is not installed; nothing is imported."""
    if not has_jpegli():
        raise UsageError(_MISSING)


def encode_jpegli(pixels: NDArray[np.uint8], quality: int, photo: bool = False) -> bytes:
    """Encode uint8 pixels [h, w, 3], sRGB, as a JPEG file without metadata.

    quality: 1 to 100, on jpegli's scale. photo: for a photo, take a faster way to the same look and
    size. Raises EncodeError, with "encoder_missing" if the package is not installed on this
    machine: the job was planned on another one.
    """
    if not has_jpegli():
        raise EncodeError("encoder_missing", _MISSING)
    from pipeline.photo.encoding import libjpegli  # imports Pillow, too slow for --help

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
