"""Encode JPEG by jpegli, the encoder that Google took out of libjxl, where the extra is installed.

At the same SSIMULACRA2 its files are as small as the default's, WebP, for a tenth of the CPU time
(docs/PERFORMANCE.md). Any decoder of JPEG reads them. It is only ever given our own pixels.
"""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncodeError, UsageError

PACKAGE = "pyjpegli"


def check_jpegli() -> None:
    """Raise UsageError where the package is not installed; nothing is imported."""
    if find_spec(PACKAGE) is None:
        raise UsageError(
            f"jpegli needs the package {PACKAGE}: pip install 's2cnet-thumbnails[jpegli]'"
        )


def encode_jpegli(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Encode uint8 pixels [h, w, 3], sRGB, as a JPEG file without any other part.

    quality: 1 to 100. Raises UsageError where the package is missing, EncodeError where it fails.
    """
    check_jpegli()
    import pyjpegli

    height, width = pixels.shape[:2]
    try:
        data: bytes = pyjpegli.encode(np.ascontiguousarray(pixels), width, height, quality)
    except (RuntimeError, ValueError) as error:
        raise EncodeError("encoder_failed", f"jpegli: {error}") from error
    return data
