"""Choose a crop's encoding if none is requested: the cheapest that can represent its pixels.

That is JPEG by jpegli if the crop is opaque, sRGB, still, not drawn and not too small, else WebP.
Both use one quality setting, on WebP's scale: docs/PERFORMANCE.md has the comparison. Drawn
pictures, recognised by their flat parts, take 1.4 to 4 times the bytes as JPEG.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.photo.kinds import DRAWN_FLAT, surface_of

AUTO: Final = "auto"
OPAQUE: Final = "jpeg"
OTHER: Final = "webp"
# A smaller crop is WebP. On 38 photos at quality 80, JPEG has 1.02 times the size of WebP with the
# same SSIMULACRA2 at 60,000 to 80,000 pixels, .95 to .98 times from 100,000 on, but 1.10 times
# below 60,000.
LEAST_PIXELS = 60_000
# For crops from that size on, the jpegli quality with which a picture has the same SSIMULACRA2 as
# with WebP: the mean over these photos, rounded.
WEBP_QUALITIES = (1, 30, 50, 60, 70, 75, 80, 85, 90, 95, 98, 100)
JPEGLI_QUALITIES = (1, 28, 49, 59, 66, 69, 77, 84, 89, 94, 95, 96)
# The same for circles of such photos and WebP with method 1, which takes .75 of the CPU time and
# 1.05 of the size of method 2. For small and drawn ones the size is 1.1 and 1.2: they use method 2.
METHOD_2_QUALITIES, METHOD_1_QUALITIES = (1, 60, 80, 90, 100), (1, 56, 79, 89.5, 100)
WORDS = {"webp": "WebP", "jpeg": "JPEG", "png": "PNG", "avif": "AVIF"}


def format_for(
    pixels: NDArray[np.uint8], circle: bool, profile: bytes | None
) -> Literal["jpeg", "webp"]:
    """Return the encoding of a still crop, uint8 [h, w, 3], or [h, w, 4] with opacity."""
    height, width, channels = pixels.shape
    opaque = channels == 3 and not circle
    fits = opaque and profile is None and width * height >= LEAST_PIXELS
    return OPAQUE if fits and surface_of(pixels).flat < DRAWN_FLAT else OTHER


def jpegli_quality(quality: int) -> int:
    """Return the jpegli quality, 1 to 100, with the same SSIMULACRA2 as a WebP quality."""
    return round(float(np.interp(quality, WEBP_QUALITIES, JPEGLI_QUALITIES)))


def circle_quality(quality: int) -> int:
    """Return the quality with which WebP's method 1 has the same SSIMULACRA2 as method 2."""
    return round(float(np.interp(quality, METHOD_2_QUALITIES, METHOD_1_QUALITIES)))


def in_words(format: str, jpegli: bool = False) -> str:
    """Describe the setting `format` for a person. jpegli: whether jpegli encodes a JPEG."""
    if format == AUTO:
        return "JPEG by jpegli; WebP where they are round, transparent, moving, drawn or small"
    return WORDS.get(format, format) + (" by jpegli" if jpegli and format == OPAQUE else "")
