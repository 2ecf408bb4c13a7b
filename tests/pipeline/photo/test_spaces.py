"""Colour spaces by code points: the standards' numbers, and the ICC profiles made from them."""

import struct

import numpy as np
import pytest

from pipeline.photo.colour import WIDE
from pipeline.photo.spaces import (
    Curve,
    Space,
    hdr_space,
    media_space,
    png_space,
    profile_of,
    to_xyz,
    with_peak,
)
from pipeline.photo.tone_mapping import _light_of, _srgb_values
from tests.support.icc_profiles import SRGB_CURVE, rgb_profile

D65, C = (0.3127, 0.3290), (0.310, 0.316)
# White, red, green, blue as x and y: ITU-T H.273 (2024), table 2.
PRIMARIES = {
    1: (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
# The same, table 3: exponents, or names of curves. Those of cameras differ by file, see below.
TRANSFERS: dict[int, Curve] = {
    4: 2.2, 5: 2.8, 7: "st240", 8: 1.0, 13: "srgb", 16: "pq", 17: "st428", 18: "hlg",
}  # fmt: skip
CAMERAS = {1, 6, 11, 12, 14, 15}
# Linear sRGB to XYZ under D50, to four places (ICC's own sRGB profiles have these colorants).
SRGB_TO_XYZ = [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]]


@pytest.mark.parametrize("point", range(256))
def test_primaries_by_their_code_points(point: int) -> None:
    found = png_space(point, 13, 0, 1)
    assert (found and found.xy) == PRIMARIES.get(point)
    told = media_space(point, 13)
    assert (told and told.xy) == (PRIMARIES.get(point, PRIMARIES[1]) if point else None)


@pytest.mark.parametrize("point", range(256))
def test_curves_by_their_code_points(point: int) -> None:
    """Of cameras a PNG has a screen's exponent, an AVIF sRGB's curve; what is unknown is sRGB's.

    Chromium 150 reads BT.1361 (12) in no PNG, and reserved code points of an AVIF as sRGB's.
    """
    found = png_space(9, point, 0, 1)
    assert (found and found.curve) == (2.4 if point in CAMERAS - {12} else TRANSFERS.get(point))
    told = media_space(9, point)
    own = None if point in (0, 3) else TRANSFERS.get(point, "srgb")
    assert (told and told.curve) == own
    assert (found is not None and found.is_hdr) == (point in (16, 18))


@pytest.mark.parametrize(
    ("matrix", "full", "is_told"), [(0, 1, True), (1, 1, False), (0, 0, False)]
)
def test_a_png_has_rgb_of_the_full_range(matrix: int, full: int, is_told: bool) -> None:
    assert (png_space(9, 16, matrix, full) is not None) is is_told


def test_spaces_that_pictures_are_kept_in() -> None:
    """Display P3 (SMPTE EG 432-1), Adobe RGB (1998), BT.2020."""
    assert WIDE["p3"] == Space(PRIMARIES[12], "srgb")
    assert WIDE["adobe"] == Space((*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.19921875)
    assert WIDE["bt2020"] == Space(PRIMARIES[9], "srgb")


def test_primaries_under_d50() -> None:
    np.testing.assert_allclose(to_xyz(PRIMARIES[1]), SRGB_TO_XYZ, atol=3e-4)
    # White is D50's whatever the space's own white.
    for xy in PRIMARIES.values():
        np.testing.assert_allclose(to_xyz(xy).sum(axis=1), [0.9642, 1, 0.8249], atol=1e-9)


@pytest.mark.parametrize(
    "xy",
    [
        (*D65, *(0.3, 0.3) * 3),
        (0.3127, 0.0, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
        (0.3127, -0.1, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
        (*D65, 0.64, 0.33, 0.3, 0.6, 0.44, 0.44),  # nearly between red and green
    ],
)
def test_numbers_that_span_no_space(xy: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="primaries"):
        to_xyz(xy)
    assert profile_of(Space(xy, 2.2)) is None


def fixed(*values: float) -> bytes:
    """s15Fixed16Number of ICC profiles."""
    return struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))


def tags_of(profile: bytes) -> dict[bytes, bytes]:
    """The tags of a profile, ICC.1:2022, 7.3."""
    (count,) = struct.unpack_from(">I", profile, 128)
    found = {}
    for number in range(count):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        assert start % 4 == 0
        assert start + size <= len(profile)
        found[name] = profile[start : start + size]
    return found


def test_a_profile_is_laid_out_as_icc_says() -> None:
    """ICC.1:2022, 7.2 (header), 10.15 (texts), 10.18 (curves by parameters), 10.31 (XYZ)."""
    profile = profile_of(Space(PRIMARIES[1], "srgb"))
    assert profile is not None
    assert profile[:4] == len(profile).to_bytes(4, "big")
    assert profile[4:24] == bytes(4) + b"\x04\x30\0\0mntrRGB XYZ "  # version 4.3, of a display
    assert profile[24:36] == struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    assert profile[36:68] == b"acsp" + bytes(28)
    assert profile[68:128] == fixed(0.9642, 1, 0.8249) + bytes(48)
    tags = tags_of(profile)
    assert set(tags) == {b"desc", b"cprt", b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC",
                         b"bTRC"}  # fmt: skip
    for name in (b"desc", b"cprt"):
        head, text = tags[name][:28], tags[name][28:]
        assert head == b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(
            ">II", len(text), 28
        )  # fmt: skip
    assert tags[b"desc"][28:].decode("utf-16-be") == "Made of code points"
    assert tags[b"cprt"][28:].decode("utf-16-be") == "None"
    assert tags[b"wtpt"] == b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)
    for column, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ")):
        assert tags[name][:8] == b"XYZ " + bytes(4)
        found = np.array(struct.unpack(">3i", tags[name][8:])) / 65536
        np.testing.assert_allclose(found, np.array(SRGB_TO_XYZ)[:, column], atol=3e-4)
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0)
    curve += fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    assert tags[b"rTRC"] == tags[b"gTRC"] == tags[b"bTRC"] == curve


@pytest.mark.parametrize(
    ("exponent", "told"), [(2.2, 2.2), (1, 1.0), (0.0, 0.001), (5000.0, 1000.0)]
)
def test_an_exponent_is_a_curve_of_one_parameter(exponent: float, told: float) -> None:
    profile = profile_of(Space(PRIMARIES[9], exponent))
    assert profile is not None
    assert tags_of(profile)[b"gTRC"] == b"para" + bytes(4) + bytes(4) + fixed(told)


@pytest.mark.parametrize(
    ("curve", "points"),
    [
        # SMPTE ST 240: a quarter up to .0912, then ((v + .1115) / 1.1115) ** (1 / .45).
        ("st240", {0.0: 0.0, 0.06: 0.015, 0.5: 0.26504, 0.75: 0.56768, 1.0: 1.0}),
        # SMPTE ST 428-1: 52.37 / 48 * v ** 2.6, at most 1, which is reached at .967.
        ("st428", {0.0: 0.0, 0.25: 0.02968, 0.5: 0.17996, 0.75: 0.51641, 0.98: 1.0, 1.0: 1.0}),
    ],
)
def test_curves_that_are_tables(curve: Curve, points: dict[float, float]) -> None:
    profile = profile_of(Space(PRIMARIES[1], curve))
    assert profile is not None
    tag = tags_of(profile)[b"rTRC"]
    assert tag[:12] == b"curv" + bytes(4) + struct.pack(">I", 4096)
    table = np.frombuffer(tag, ">u2", offset=12) / 65535
    for stored, light in points.items():
        found = np.interp(stored, np.linspace(0, 1, 4096), table)
        assert found == pytest.approx(light, abs=3e-5), stored


def test_light_of_bright_values() -> None:
    """BT.2100-2: PQ of 128 is 94.07 cd/m², of 255 10,000; HLG of .5 a twelfth, of 1 all light."""
    pq, hlg = _light_of("pq") * 203, _light_of("hlg")
    assert pq[[0, 128, 255]] == pytest.approx([0, 94.07, 10_000], rel=2e-3)
    assert pq[64] == pytest.approx(5.226, abs=2e-3)
    assert hlg[[0, 51, 127, 255]] == pytest.approx([0, 0.01333, 0.08268, 1.0], abs=2e-4)
    assert hlg[191] == pytest.approx(0.2643, abs=1e-3)


def test_values_of_srgb() -> None:
    """IEC 61966-2-1: light .2140 is stored as 127.5, .0031308 as 10.3; a step up to 1 / 3294."""
    values = _srgb_values()
    steps = np.array([0.0, 0.0003, 0.0031308, 0.0513, 0.2159, 0.5271, 1.0]) * (len(values) - 1)
    assert values[np.rint(steps).astype(int)].tolist() == [0, 1, 10, 64, 128, 192, 255]


@pytest.mark.parametrize(
    ("content", "screen", "peak"),
    [(4_000_000, 10_000_000, 400.0), (0, 6_000_000, 600.0), (0, 0, 1000.0), (5_000, 0, 0.5)],
)
def test_the_brightest_light_is_that_of_the_picture(content: int, screen: int, peak: float) -> None:
    bright = Space(PRIMARIES[9], "pq")
    found = with_peak(bright, content, screen)
    assert found is not None
    assert found.peak_nits == peak
    assert with_peak(None, content, screen) is None
    usual = Space(PRIMARIES[9], 2.2)
    assert with_peak(usual, content, screen) is usual


def test_code_points_of_a_profile_are_found_among_its_tags() -> None:
    whole = rgb_profile("p3", SRGB_CURVE, points=bytes([9, 18, 0, 1]))
    assert hdr_space(whole) == Space(PRIMARIES[9], "hlg")
    assert hdr_space(whole.replace(b"RGB XYZ", b"GRAYXYZ")) is None
    (count,) = struct.unpack_from(">I", whole, 128)
    many = whole[:128] + struct.pack(">I", 1 << 31) + whole[132:]
    assert hdr_space(many) == Space(PRIMARIES[9], "hlg")
    at = whole.index(b"cicp")
    assert (at - 132) % 12 == 0
    before = (at - 132) // 12
    told = whole[:128] + struct.pack(">I", before) + whole[132:]
    assert before < count
    assert hdr_space(told) is None
    assert hdr_space(told[:128] + struct.pack(">I", before + 1) + told[132:]) is not None
