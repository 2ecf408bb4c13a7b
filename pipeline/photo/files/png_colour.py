"""Read what a PNG's chunks say of its colours (PNG third edition, 4.3 and 11.3.2)."""

import struct
from collections.abc import Mapping

from pipeline.photo.spaces import SRGB_XY, Space, png_space, with_peak

_SRGB_GAMMA = 45_455  # 1 / 2.2, times 100,000
_BRIGHTEST = 16  # where mDCV has the brightest light of a screen
_NEAR = 0.05  # a gAMA chunk within this share of it means sRGB, as libpng and browsers take it


def png_meaning(chunks: Mapping[bytes, bytes]) -> Space | None:
    """The space that chunks say: cICP, else gAMA with cHRM; None where they say none, or sRGB.

    chunks: bodies by name, each as long as it has to be. iCCP comes after cICP and before gAMA:
    then None too, since the profile is the decoder's to give. cHRM alone says nothing, as in
    browsers.
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
