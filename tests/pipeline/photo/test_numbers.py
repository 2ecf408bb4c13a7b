"""The first bytes of files, described in words, and the constants behind colours."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.encoding.moving import COUNTS_PLAYS, MOVING_FORMATS, encode_moving
from pipeline.photo.encoding.thumbnail import DEFAULT_QUALITY, ENCODED, encode
from pipeline.photo.files.formats import is_cut_short, sniff, webp_size
from pipeline.photo.kinds import (
    SCREENS,
    Surface,
    is_long,
    is_page,
    is_screen,
    picture_kind,
)
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits
from pipeline.photo.spaces import (
    BT2020_XY,
    P3_XY,
    SRGB_XY,
    Space,
    media_space,
    png_space,
    profile_of,
    to_xyz,
)
from pipeline.photo.tone_mapping import _gain, _light_of, _srgb_values
from tests.support.drawn_pictures import lens


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"II*\0", "a TIFF picture"), (b"MM\0*", "a TIFF picture"),
        (b"II+\0", "a BigTIFF picture"), (b"MM\0+", "a BigTIFF picture"),
        (b"BM", "a BMP picture"), (b"%!PS", "PostScript"),
        (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"), (b"%PDF", "a PDF document"),
        (b"8BPS", "a Photoshop picture"), (b"\0\0\1\0", "a Windows icon"),
        (b"\0\0\2\0\0\0\0\0", "a TGA picture"), (b"\0\0\2\0\1", "a Windows cursor (CUR)"),
        (b"\0\1\1\0", "a TGA picture"), (b"\0\1\x09\0", "a TGA picture"),
        (b"\0\0\x0a\0", "a TGA picture"), (b"\0\0\3\0", "a TGA picture"),
        (b"\0\0\x0b\0", "a TGA picture"), (b"DDS ", "a DDS texture"),
        (b"\x01\xda\0", "an SGI picture"), (b"\x01\xda\1", "an SGI picture"),
        (b"\x0a\0\1", "a PCX picture"), (b"\x0a\2\1", "a PCX picture"),
        (b"\x0a\3\1", "a PCX picture"), (b"\x0a\5\1", "a PCX picture"),
        (b"icns", "an Apple icon (ICNS)"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"), (b"\xff\x0a", "a JPEG XL picture"),
        (b"PK\3\4", "a ZIP archive"), (b"\x1f\x8b", "gzip data"), (b"Rar!", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
        (b"\x7fELF", "a program"), (b"MZ", "a program"),
        *((b"P%d\n" % number, "a Netpbm picture") for number in range(1, 7)),
        (b"\xef\xbb\xbf <SVG ", "an SVG or XML document"), (b"<?xml", "an SVG or XML document"),
        (b"\n<!DOCTYPE x", "an HTML page"), (b"\t<HTML>", "an HTML page"), (b"words", "a text"),
        (b"\tw\r\n\x0b\x0c\x1b", "a text"), (b"w\x0e", "unknown data"), (b"w\x7f", "unknown data"),
        (b"w\0", "unknown data"), (b"GIF88a", "a text"), (b"RIFF1234WAVE", "a text"),
        (b"0000ftypisom", "a video or an unknown ISO media file"),
    ],
)  # fmt: skip
def test_other_files_are_refused_by_what_they_are(start: bytes, told: str) -> None:
    with pytest.raises(DecodeError) as refused:
        sniff(start)
    assert refused.value.status == "unsupported_format"
    assert refused.value.message.startswith(told)


@pytest.mark.parametrize(
    ("start", "format"),
    [
        (b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"),
        (b"GIF89a", "gif"), (b"RIFF1234WEBP", "webp"),
        *((b"\0\0\0\x10ftyp" + brand, "avif") for brand in (b"avif", b"avis")),
        *((b"\0\0\0\x10ftyp" + brand, "heic")
          for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")),
        (b"\0\0\0\x14ftypmif1\0\0\0\0avif", "avif"),
    ],
)  # fmt: skip
def test_formats_that_are_read(start: bytes, format: str) -> None:
    assert sniff(start) == format


def test_brands_count_only_in_the_first_box_and_its_first_256_bytes() -> None:
    far = b"\0\0\x02\0ftypisom\0\0\0\0" + b"isom" * 60
    assert len(far) == 256
    with pytest.raises(DecodeError):
        sniff(far + b"avif")
    near = b"\0\0\x02\0ftypisom\0\0\0\0" + b"isom" * 59 + b"avif"
    assert sniff(near) == "avif"
    with pytest.raises(DecodeError):
        sniff(b"\0\0\0\x14ftypisomavifisom")  # the four bytes behind the first are no brand


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"VP8X\0\0\0\0" + bytes(4) + b"\x01\0\0\xff\xff\0", (2, 65_536)),
        (b"VP8L\0\0\0\0\x2f" + struct.pack("<I", 99 | 199 << 14 | 1 << 28) + bytes(5), (100, 200)),
        (b"VP8 \0\0\0\0" + bytes(6) + struct.pack("<HH", 0x4000 | 300, 0x8000 | 200), (300, 200)),
        (b"VP8X\0\0\0\0" + bytes(9), None),
        (b"ALPH\0\0\0\0" + bytes(10), None),
    ],
)  # fmt: skip
def test_the_canvas_of_a_webp(head: bytes, size: tuple[int, int] | None) -> None:
    assert webp_size(b"RIFF\0\0\0\0WEBP" + head) == size


def box(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", len(body) + 8 if size is None else size) + kind + body


@pytest.mark.parametrize(
    ("data", "name", "cut"),
    [
        (b"..\xff\xd9" + bytes(62), "jpeg", False),
        (b"..\xff\xd9" + bytes(63), "jpeg", True),
        (b"IEND" + bytes(60), "png", False),
        (b"IEND" + bytes(61), "png", True),
        (b"...;\0\0", "gif", False),
        (b"...;x", "gif", True),
        (b"RIFF" + struct.pack("<I", 4) + b"WEBP", "webp", False),
        (b"RIFF" + struct.pack("<I", 5) + b"WEBP", "webp", True),
        (box(b"ftyp", b"1234") + box(b"mdat", b"1"), "avif", False),
        (box(b"ftyp", b"1234") + box(b"mdat", b"1")[:-1], "avif", True),
        (box(b"ftyp", b"1234") + b"\0\0", "heic", True),
        (box(b"mdat", b"123", size=0), "heic", False),
        (box(b"mdat", b"123", size=7), "heic", False),
        (box(b"mdat", struct.pack(">Q", 20) + b"1234", size=1), "avif", False),
        (box(b"mdat", struct.pack(">Q", 21) + b"1234", size=1), "avif", True),
    ],
)
def test_what_lacks_its_end(data: bytes, name: str, cut: bool) -> None:
    assert is_cut_short(data, name) is cut


def test_what_is_refused_by_default() -> None:
    """docs/KINDS.md and the options' help give these numbers."""
    assert DecodeLimits() == DecodeLimits(
        64 * 1024**2, 50_000_000, 250_000_000, 100_000_000, 2_000_000_000, 65_535, 500,
        400_000_000, 0.75, 10.0, 2 * 1024**3,
    )  # fmt: skip
    assert VIEW_SIDE == 1024


def surface(flat: float = 0.0, grain: float = 0.0, edges: float = 0.0, ground: float = 0.0,
            level: int = 0) -> Surface:  # fmt: skip
    return Surface(flat, grain, edges, ground, level)


@pytest.mark.parametrize(
    ("given", "screen_sized", "lossless", "drawn"),
    [
        (surface(0.6, 0.25, 0.064), False, False, True),  # hardness .064 / .4 = .16
        (surface(0.6, 0.25, 0.063), False, False, False),
        (surface(0.6, 0.26, 0.2), False, False, False),
        (surface(0.59, 0.25, 0.2), False, False, False),
        (surface(0.6, 0.25), True, False, True),
        (surface(0.3, 0.9), True, True, True),
        (surface(0.29, 0.9), True, True, False),
        (surface(0.3, 0.9), True, False, False),
        (surface(0.3, 0.9), False, True, False),
        (surface(1.0), False, True, False),
    ],
)
def test_what_was_drawn_by_a_screen(
    given: Surface, screen_sized: bool, lossless: bool, drawn: bool
) -> None:
    assert is_screen(given, screen_sized, lossless) is drawn


@pytest.mark.parametrize(
    ("given", "page"),
    [
        (surface(0.5, 0.25, 0.09, 0.6, 255), True),  # hardness .18
        (surface(0.5, 0.25, 0.089, 0.6, 255), False),
        (surface(0.5, 0.25, 0.09, 0.59, 255), False),
        (surface(0.49, 0.25, 0.2, 0.6, 255), False),
        (surface(0.5, 0.26, 0.09, 0.6, 255), False),
        (surface(0.9, 0.0, 0.04, 0.6, 192), True),
        (surface(0.9, 0.0, 0.039, 0.6, 192), False),
        (surface(0.9, 0.0, 0.04, 0.6, 191), False),
        (surface(0.9, 0.0, 0.04, 0.6, 64), True),
        (surface(0.9, 0.0, 0.04, 0.6, 65), False),
    ],
)
def test_what_is_a_page(given: Surface, page: bool) -> None:
    assert is_page(given) is page


def test_kinds_by_sides_and_frames() -> None:
    flat = surface(0.9, 0.0, 0.05, 0.7, 255)  # a page, and drawn
    assert picture_kind(flat, 1000, 1400, "png", 2) == ("animated", True)
    assert picture_kind(flat, 1000, 2501, "png", 1) == ("long", True)
    assert picture_kind(flat, 1000, 2500, "png", 1) == ("text-heavy", True)
    assert picture_kind(flat, 1080, 2400, "jpeg", 1) == ("screenshot", True)
    assert picture_kind(flat, 2400, 1080, "jpeg", 1) == ("screenshot", True)
    photo = surface(0.3, 0.7)
    assert picture_kind(photo, 1080, 2400, "webp", 1) == ("screenshot", True)
    assert picture_kind(photo, 1080, 2400, "jpeg", 1) == ("photo", False)
    assert picture_kind(photo, 1081, 2400, "png", 1) == ("photo", False)
    assert is_long(251, 100)
    assert not is_long(250, 100)
    assert is_long(100, 251)


def test_sides_of_screens_are_upright_and_likely() -> None:
    assert all(short < long <= 5120 for short, long in SCREENS)
    phones = {(640, 1136), (750, 1334), (828, 1792), (1125, 2436), (1170, 2532), (1179, 2556),
              (1242, 2208), (1242, 2688), (1284, 2778), (1290, 2796), (1080, 2400),
              (1440, 3200)}  # fmt: skip
    tablets = {(768, 1024), (1536, 2048), (1620, 2160), (1640, 2360), (1668, 2224), (1668, 2388),
               (2048, 2732), (1600, 2560), (1200, 1920)}  # fmt: skip
    desktops = {(768, 1366), (900, 1440), (900, 1600), (1024, 1280), (1050, 1680), (1080, 1920),
                (1440, 2560), (1440, 3440), (1800, 2880), (1964, 3024), (2160, 3840),
                (2234, 3456), (2880, 5120)}  # fmt: skip
    assert phones | tablets | desktops <= SCREENS


def test_primaries_give_the_known_matrices() -> None:
    """sRGB adapted to D50 as in the profile that every system has (ICC, sRGB2014), rounded."""
    expected = [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]]
    np.testing.assert_allclose(to_xyz(SRGB_XY), expected, atol=2e-4)
    p3 = [[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]]
    np.testing.assert_allclose(to_xyz(P3_XY), p3, atol=2e-4)  # Display P3's profile
    for xy in (SRGB_XY, P3_XY, BT2020_XY):
        np.testing.assert_allclose(to_xyz(xy).sum(axis=1), [0.9642, 1, 0.8249], atol=1e-6)
    for broken in ((0.3127, 0.329) + (0.3, 0.3) * 3, (0.3, 0.0, *SRGB_XY[2:])):
        with pytest.raises(ValueError, match=r"no primaries|nobody sees"):
            to_xyz(broken)
        assert profile_of(Space(broken, "srgb")) is None


H273 = {
    1: "0.64 0.33 0.30 0.60 0.15 0.06", 4: "0.67 0.33 0.21 0.71 0.14 0.08",
    5: "0.64 0.33 0.29 0.60 0.15 0.06", 6: "0.630 0.340 0.310 0.595 0.155 0.070",
    7: "0.630 0.340 0.310 0.595 0.155 0.070", 8: "0.681 0.319 0.243 0.692 0.145 0.049",
    9: "0.708 0.292 0.170 0.797 0.131 0.046", 10: "1 0 0 1 0 0",
    11: "0.680 0.320 0.265 0.690 0.150 0.060", 12: "0.680 0.320 0.265 0.690 0.150 0.060",
    22: "0.630 0.340 0.295 0.605 0.155 0.077",
}  # fmt: skip
WHITES = {4: (0.310, 0.316), 8: (0.310, 0.316), 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}


@pytest.mark.parametrize("code", H273)
def test_code_points_of_primaries(code: int) -> None:
    """ITU-T H.273, table 2, as red, green and blue; D65 where WHITES has no other."""
    space = png_space(code, 13, 0, 1)
    assert space is not None
    assert space.xy == (
        *WHITES.get(code, (0.3127, 0.3290)), *(float(x) for x in H273[code].split()),
    )  # fmt: skip
    assert media_space(code, 13) == space


@pytest.mark.parametrize(
    ("transfer", "png", "media"),
    [(1, 2.4, "srgb"), (4, 2.2, 2.2), (5, 2.8, 2.8), (6, 2.4, "srgb"), (7, "st240", "st240"),
     (8, 1.0, 1.0), (11, 2.4, "srgb"), (12, None, "srgb"), (13, "srgb", "srgb"),
     (14, 2.4, "srgb"), (15, 2.4, "srgb"), (16, "pq", "pq"), (17, "st428", "st428"),
     (18, "hlg", "hlg"), (2, None, "srgb"), (3, None, None), (0, None, None), (9, None, "srgb")],
)  # fmt: skip
def test_code_points_of_curves(transfer: int, png: object, media: object) -> None:
    for found, curve in ((png_space(1, transfer, 0, 1), png), (media_space(1, transfer), media)):
        assert (found.curve if found else None) == curve
        assert found is None or found.is_hdr == (curve in ("pq", "hlg"))


def test_code_points_that_a_png_may_not_have() -> None:
    for given in ((3, 13, 0, 1), (2, 13, 0, 1), (1, 13, 1, 1), (1, 13, 0, 0)):
        assert png_space(*given) is None
    assert media_space(2, 2) == Space(SRGB_XY, "srgb")
    assert media_space(3, 8) == Space(SRGB_XY, 1.0)


def test_light_by_hand() -> None:
    """PQ: 0 is none, 1 is 10,000 cd/m², .508 is 100 cd/m² (BT.2100); HLG: a half is 1/12."""
    pq, hlg = _light_of("pq"), _light_of("hlg")
    assert (pq[0], pq[255]) == (0, pytest.approx(10_000 / 203, rel=1e-5))
    assert np.interp(0.5081, np.arange(256) / 255, pq) == pytest.approx(100 / 203, rel=0.01)
    assert hlg[0] == 0
    assert hlg[255] == pytest.approx(1, abs=1e-6)
    assert np.interp(0.5, np.arange(256) / 255, hlg) == pytest.approx(1 / 12, rel=0.01)
    assert np.interp(0.75, np.arange(256) / 255, hlg) == pytest.approx(0.26496, rel=0.01)


def test_values_of_srgb_by_hand() -> None:
    """The inverse of sRGB's curve: value 1 is 1 / 255 / 12.92 of light, 128 is .2159."""
    values = _srgb_values()
    light = np.arange(len(values)) / (len(values) - 1)
    assert (values[0], values[-1]) == (0, 255)
    assert values[int(0.2159 * (len(values) - 1))] == 128
    assert values[np.searchsorted(light, 5.2 / 255 / 12.92)] == 5
    assert (np.diff(values.astype(int)) >= 0).all()


def test_the_gain_of_bright_light() -> None:
    """Half up to the reference white; the peak of 1,000 cd/m² becomes 1; beyond it is cut off."""
    peak = 1000 / 203
    found = _gain(np.array([0.0, 0.5, 1.0, peak, 2 * peak], np.float32), 1000.0)
    assert found == pytest.approx([0.5, 0.5, 0.5, 1 / peak, 1 / (2 * peak)], rel=1e-5)
    light = np.linspace(1, peak, 50, dtype=np.float32)
    assert (np.diff(_gain(light, 1000.0) * light) > 0).all()


def test_less_is_lost_where_the_peak_is_lower() -> None:
    """Half of the stops above white: three quarters of the white; none: nothing is mapped."""
    white = np.array([1.0], np.float32)
    assert _gain(white, 203 * (1000 / 203) ** 0.5) == pytest.approx([0.75])
    assert _gain(white, 203.0) == _gain(white, 150.0) == [1.0]
    assert _gain(white, 4000.0) == pytest.approx([0.5])
    top = np.array([406 / 203], np.float32)
    assert _gain(top, 406.0) * top == pytest.approx([1.0])


@pytest.mark.parametrize("format", ["webp", "jpeg", "avif"])
def test_quality_makes_files_smaller_and_worse(format: str) -> None:
    pixels = lens(96, 64)
    small, usual, best = (encode(pixels, format, quality) for quality in (10, 60, 100))
    assert len(small) < len(usual) < len(best)

    def off(data: bytes) -> float:
        found = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        return float(np.abs(found - pixels).mean())

    assert off(small) > off(usual) > off(best)
    assert encode(pixels, format) == encode(pixels, format, DEFAULT_QUALITY)
    frames = [pixels, pixels[::-1].copy()]
    if format in MOVING_FORMATS:
        moving = [encode_moving(frames, [40, 80], format=format, quality=q) for q in (10, 100)]
        assert len(moving[0]) < len(moving[1])
        for data in moving:
            assert Image.open(io.BytesIO(data)).n_frames == 2  # type: ignore[attr-defined]


def test_formats_that_are_written() -> None:
    assert set(ENCODED) == {"webp", "jpeg", "png", "avif"}
    assert DEFAULT_QUALITY == 80
    assert MOVING_FORMATS == ("webp", "png", "avif")
    assert COUNTS_PLAYS == ("webp", "png")
