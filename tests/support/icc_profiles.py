"""Pack small ICC profiles from their specification, for files with known colours."""

import struct
from itertools import product

import numpy as np

# A space's red, green and blue in XYZ, adapted to D50; published with each space.
COLORANTS = {
    "srgb": ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)),
    "p3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    "adobe": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    "prophoto": ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)),
}
SRGB_CURVE = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + struct.pack(
    ">5i", *(round(65536 * v) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)  # fmt: skip


def gamma_curve(gamma: float) -> bytes:
    """Pack an ICC tone curve with one exponent."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))


def rgb_profile(
    space: str, curve: bytes, name: str = "of a test", points: bytes | None = None
) -> bytes:
    """Pack an ICC profile with a matrix and one tone curve (ICC.1:2001-04).

    points: code points of ITU-T H.273, for the tag `cicp` (ICC.1:2022, 9.2.17).
    """
    tags = {} if points is None else {b"cicp": b"cicp" + bytes(4) + points}
    for letter, xyz in zip((b"r", b"g", b"b"), COLORANTS[space], strict=True):
        tags[letter + b"XYZ"], tags[letter + b"TRC"] = _xyz(xyz), curve
    return _profile(b"mntrRGB XYZ ", tags, name)


def grey_profile(curve: bytes) -> bytes:
    """Pack an ICC profile for grey."""
    return _profile(b"mntrGRAYXYZ ", {b"kTRC": curve})


def ink_profile(points: int = 9) -> bytes:
    """Pack an ICC profile for CMYK whose black is twice as strong as by multiplication.

    It is a table with `points` steps of each ink, in 16-bit Lab (ICC.1:2001-04, 6.5.7).
    """
    steps = np.linspace(0, 1, points)
    inks = np.array(list(product(steps, repeat=4)))
    rgb = (1 - inks[:, :3]) * (1 - inks[:, 3:]) ** 2
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = light @ np.array(COLORANTS["srgb"]) / (0.9642, 1.0, 0.8249)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
    stored = (lab + np.array([0, 128, 128])) * (0xFF00 / 100, 256, 256)
    table = np.clip(np.rint(stored), 0, 0xFFFF).astype(">u2").tobytes()
    line = struct.pack(">2H", 0, 0xFFFF)
    one = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    tag = b"mft2" + bytes(4) + bytes([4, 3, points, 0]) + one + struct.pack(">2H", 2, 2)
    return _profile(b"prtrCMYKLab ", {b"A2B0": tag + line * 4 + table + line * 3})


def _profile(kind: bytes, tags: dict[bytes, bytes], name: str = "of a test") -> bytes:
    text = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    white = _xyz((0.9642, 1.0, 0.8249))
    tags = {b"desc": described, b"wtpt": white, b"cprt": b"text\0\0\0\0none\0"} | tags
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    content = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4xI12s", 128 + len(content), 0x02400000, kind)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + content


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * v) for v in values))
