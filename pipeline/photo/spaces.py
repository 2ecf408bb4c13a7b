"""Build ICC profiles from files' chunks and code points: primaries and a transfer curve.

Sources: ITU-T H.273 (2024), tables 2 and 3; PNG third edition, 4.3 and 11.3.2; ICC.1:2022, 10.6 and
10.18. Where browsers deviate from the table of a code point, this does as they do, and says so.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Curve = float | Literal["srgb", "st240", "st428", "pq", "hlg"]  # a number means an exponent
Matrix = NDArray[np.float64]  # [3, 3]

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
D50_XYZ = np.array([0.9642, 1.0, 0.8249])
# White, red, green, blue as x and y.
SRGB_XY = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_XY = (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
BT2020_XY = (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
ADOBE_XY = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_GAMMA = 563 / 256
_XY_OF: dict[int, tuple[float, ...]] = {
    1: SRGB_XY,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: BT2020_XY,
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: P3_XY,
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_CURVE_OF: dict[int, Curve] = {
    4: 2.2, 5: 2.8, 7: "st240", 8: 1.0, 13: "srgb", 16: "pq", 17: "st428", 18: "hlg",
}  # fmt: skip
# The curve of video cameras. Chromium shows it with a screen's exponent (BT.1886) if a PNG states
# it, and as sRGB if an AVIF does, since most such files were made from sRGB pictures.
_CAMERA_CURVES = frozenset({1, 6, 11, 12, 14, 15})
_MEANINGLESS = (0, 3)  # reserved curves, with which browsers ignore the code points
_EXTENDED = 12  # the camera curve of ITU-R BT.1361, which no browser supports in a PNG
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
PEAK_NITS = 1000.0  # if a file does not state it
_CURVE_POINTS = 4096
_TAGS, _MOST_TAGS = 132, 100  # of an ICC profile: start of its tag table; all have fewer tags
_FARTHEST = 4.0  # of red, green and blue in XYZ; all visible colours lie within 1 of white
_EXPONENTS = 0.001, 1000.0  # range of curves that a profile can represent


@dataclass(frozen=True)
class Space:
    """What the values of a picture mean.

    xy:    white, red, green and blue as x and y in CIE 1931: 8 numbers.
    curve: from stored values to light: an exponent, or the name of a curve.
    peak_nits: for PQ and HLG, the brightest light in the picture, cd/m².
    """

    xy: tuple[float, ...]
    curve: Curve
    peak_nits: float = PEAK_NITS

    @property
    def is_hdr(self) -> bool:
        """Whether it is brighter than paper white (HDR), so that it has to be tone-mapped."""
        return self.curve in ("pq", "hlg")


def png_space(primaries: int, transfer: int, matrix: int, full_range: int) -> Space | None:
    """Return the space of a PNG's cICP chunk; None if it is not allowed in a PNG or unknown."""
    is_camera_curve = transfer in _CAMERA_CURVES and transfer != _EXTENDED
    curve: Curve | None = 2.4 if is_camera_curve else _CURVE_OF.get(transfer)
    xy = _XY_OF.get(primaries)
    if xy is None or curve is None or matrix != 0 or full_range != 1:
        return None
    return Space(xy, curve)


def media_space(primaries: int, transfer: int) -> Space | None:
    """Return the space of an AVIF's or HEIC's code points; None if they are to be ignored.

    Unspecified ones, most reserved ones and camera curves count as those of sRGB, as in browsers.
    """
    if primaries == 0 or transfer in _MEANINGLESS:
        return None
    return Space(_XY_OF.get(primaries, SRGB_XY), _CURVE_OF.get(transfer, "srgb"))


def hdr_space(profile: bytes) -> Space | None:
    """Return the PQ or HLG space that an ICC profile names by code points; None if it names none.

    The tag `cicp` takes precedence over curves and tables, which can't represent light brighter
    than white (ICC.1:2022, 9.2.17).
    """
    if profile[16:20] != b"RGB ":
        return None
    tags = profile[_TAGS : _TAGS + 12 * min(_MOST_TAGS, int.from_bytes(profile[128:132], "big"))]
    for at in range(0, len(tags) - 11, 12):
        if tags[at : at + 4] == b"cicp":
            start = int.from_bytes(tags[at + 4 : at + 8], "big") + 8
            space = png_space(*points) if len(points := profile[start : start + 4]) == 4 else None
            return space if space is not None and space.is_hdr else None
    return None


def with_peak(space: Space | None, content: int, screen: int) -> Space | None:
    """Return a PQ or HLG space with the peak that a file states, in .0001 cd/m²; 0: not stated.

    content: the peak of the picture (MaxCLL, CTA-861.3). screen: the peak of the screen that it was
    made on (SMPTE ST 2086).
    """
    peak = content or screen
    if space is None or not space.is_hdr or not peak:
        return space
    return replace(space, peak_nits=peak / 10_000)


def to_xyz(xy: tuple[float, ...]) -> Matrix:
    """Return the matrix from linear red, green and blue to XYZ, adapted from its white to D50.

    Adaptation by Bradford's transform (ICC.1:2022, annex E). Raises ValueError for primaries that
    span no space.
    """
    white, *primaries = (
        np.array([x / y, 1.0, (1 - x - y) / y]) if y else np.array([x, 0.0, 1 - x])
        for x, y in zip(xy[::2], xy[1::2], strict=True)
    )
    matrix = np.stack(primaries, axis=1)
    with np.errstate(all="ignore"):  # a file may contain any numbers
        if not abs(np.linalg.det(matrix)) > 1e-6 or not xy[1] > 0:
            raise ValueError(f"no primaries: {xy}")
        scaled: Matrix = matrix * np.linalg.solve(matrix, white)
        gain = (_BRADFORD @ D50_XYZ) / (_BRADFORD @ white)
        adapted: Matrix = np.linalg.solve(_BRADFORD, gain[:, None] * _BRADFORD) @ scaled
    if not np.abs(adapted).max() < _FARTHEST:
        raise ValueError(f"primaries that nobody sees: {xy}")
    return adapted


@lru_cache(maxsize=32)
def profile_of(space: Space) -> bytes | None:
    """Return an ICC profile of a space (matrix and one curve); None if its primaries span none."""
    try:
        colorants = to_xyz(space.xy)
    except ValueError:
        return None
    tags = {b"desc": _text("Made of code points"), b"cprt": _text("None"), b"wtpt": _xyz(D50_XYZ)}
    curve = _curve_tag(space.curve)
    for letter, colour in zip((b"r", b"g", b"b"), colorants.T, strict=True):
        tags[letter + b"XYZ"], tags[letter + b"TRC"] = _xyz(colour), curve
    return _packed(tags)


def _curve_tag(curve: Curve) -> bytes:
    if curve == "srgb":
        values = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        return b"para" + bytes(4) + struct.pack(">HH5i", 3, 0, *map(_fixed, values))
    if isinstance(curve, float | int):
        exponent = min(max(curve, _EXPONENTS[0]), _EXPONENTS[1])
        return b"para" + bytes(4) + struct.pack(">HHi", 0, 0, _fixed(exponent))
    stored = np.linspace(0, 1, _CURVE_POINTS)
    light = np.clip(np.rint(65535 * _LIGHT[curve](stored)), 0, 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(light)) + light.tobytes()


def _st240(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert stored values to light by SMPTE ST 240, H.273 transfer 7."""
    bent: NDArray[np.float64] = ((stored + 0.1115) / 1.1115) ** (1 / 0.45)
    return np.where(stored < 0.0912, stored / 4, bent)


def _st428(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert stored values to light by SMPTE ST 428-1, H.273 transfer 17, clipped at 1."""
    return np.minimum(1.0, 52.37 / 48 * stored**2.6)


_LIGHT: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "st240": _st240,
    "st428": _st428,
}


def _fixed(value: float) -> int:
    """Convert a number to s15Fixed16, as ICC profiles store it."""
    return round(65536 * value)


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(_fixed(float(v)) for v in values))


def _text(text: str) -> bytes:
    body = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(body), 28) + body


def _packed(tags: dict[bytes, bytes]) -> bytes:
    """Build a display profile of version 4.3 with these tags."""
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    content = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4xI4s4s4s", 128 + len(content), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(_fixed(float(v)) for v in D50_XYZ))
    return head.ljust(128, b"\0") + content
