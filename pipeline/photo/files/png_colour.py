"""Read the colour space that a PNG's chunks state (PNG third edition, 4.3 and 11.3.2)."""

import struct
from collections.abc import Mapping

from pipeline.photo.spaces import SRGB_XY, Space, png_space, with_peak

_SRGB_GAMMA = 45_455  # 1 / 2.2, times 100,000
_BRIGHTEST = 16  # offset of the screen's peak brightness in mDCV
_NEAR = 0.05  # a gAMA chunk within this share of _SRGB_GAMMA means sRGB, as in libpng and browsers


def png_meaning(chunks: Mapping[bytes, bytes]) -> Space | None:
    """Return the space that chunks state: cICP, else gAMA with cHRM; None for none, or sRGB.

    chunks: bodies by name, of the right lengths. iCCP takes precedence over gAMA, but not over
    cICP; the result is then None too, since the decoder returns the profile. cHRM without gAMA
    means nothing, as in browsers.
    """
    if (coded := chunks.get(b"cICP")) is not None and (space := png_space(*coded)) is not None:
        (content,) = struct.unpack_from(">I", chunks.get(b"cLLI", bytes(8)))
        (screen,) = struct.unpack_from(">I", chunks.get(b"mDCV", bytes(24)), _BRIGHTEST)
        return with_peak(space, content, screen)
    if b"iCCP" in chunks or b"sRGB" in chunks or b"gAMA" not in chunks:
        return None
    (gamma,) = struct.unpack(">I", chunks[b"gAMA"])
    xy = SRGB_XY
    if b"cHRM" in chunks:
        xy = tuple(value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"]))
        if not all(xy[1::2]):  # browsers ignore both where one is broken
            return None
    elif abs(gamma / _SRGB_GAMMA - 1) <= _NEAR:
        return None
    return Space(xy, 100_000 / gamma) if gamma else None
