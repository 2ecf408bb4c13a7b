"""Choose the encoding of a crop where none is asked for: the cheapest that holds its pixels.

That is JPEG by jpegli where it is opaque, sRGB, still, not drawn and not too small, else WebP. Both
have one quality, on WebP's scale: docs/PERFORMANCE.md has the comparison. Drawn pictures, told by
their flat parts, take JPEG 1.4 to 4 times the bytes.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.photo.kinds import DRAWN_FLAT, surface_of

AUTO: Final = "auto"
OPAQUE: Final = "jpeg"
OTHER: Final = "webp"
# A smaller crop is WebP: of 38 photos at quality 80, JPEG has 1.02 of the size of WebP of the same
# SSIMULACRA2 at 60,000 to 80,000 pixels and .95 to .98 from 100,000 on, but 1.10 below.
LEAST_PIXELS = 60_000
# Of crops from there on: the means over these photos of the quality of jpegli at which a picture
# has the SSIMULACRA2 that WebP's has, rounded.
WEBP_QUALITIES = (1, 30, 50, 60, 70, 75, 80, 85, 90, 95, 98, 100)
JPEGLI_QUALITIES = (1, 28, 49, 59, 66, 69, 77, 84, 89, 94, 95, 96)
# Of circles of such photos: the same for WebP of method 1, which takes .75 of the CPU time and 1.05
# of the size of method 2. Of small and of drawn ones the size is 1.1 and 1.2: they stay with 2.
METHOD_2_QUALITIES, METHOD_1_QUALITIES = (1, 60, 80, 90, 100), (1, 56, 79, 89.5, 100)
WORDS = {"webp": "WebP", "jpeg": "JPEG", "png": "PNG", "avif": "AVIF"}


def format_for(
    pixels: NDArray[np.uint8], circle: bool, profile: bytes | None
) -> Literal["jpeg", "webp"]:
    """The encoding of a still crop of uint8 pixels [h, w, 3], or [h, w, 4] with opacity."""
    height, width, channels = pixels.shape
    opaque = channels == 3 and not circle
    fits = opaque and profile is None and width * height >= LEAST_PIXELS
    return OPAQUE if fits and surface_of(pixels).flat < DRAWN_FLAT else OTHER


def jpegli_quality(quality: int) -> int:
    """The quality of jpegli at which a picture has the SSIMULACRA2 that WebP's has, 1 to 100."""
    return round(float(np.interp(quality, WEBP_QUALITIES, JPEGLI_QUALITIES)))


def round_quality(quality: int) -> int:
    """The quality of WebP, method 1, at which a circle has the SSIMULACRA2 of method 2."""
    return round(float(np.interp(quality, METHOD_2_QUALITIES, METHOD_1_QUALITIES)))


def in_words(format: str, jpegli: bool = False) -> str:
    """What the setting `format` means, for a person. jpegli: what encodes where JPEG is asked."""
    if format == AUTO:
        return "JPEG by jpegli; WebP where they are round, transparent, moving, drawn or small"
    return WORDS.get(format, format) + (" by jpegli" if jpegli and format == OPAQUE else "")
