"""The meaning of a file's values: expected colours follow from the colour spaces' definitions."""

import random
import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.photo.colour import SRGB, to_space, wide_space
from pipeline.photo.decode import Photo, decode
from pipeline.photo.files.media_boxes import media_facts
from pipeline.photo.spaces import Space, hdr_space, profile_of
from tests.support.colour_photos import (
    COLOURS,
    cicp,
    colour_cases,
    gama,
    levels,
    squares,
    tagged_avif,
    with_chunks,
)
from tests.support.icc_profiles import SRGB_CURVE, gamma_curve, rgb_profile
from tests.support.light import BT2020_TO_SRGB, P3_TO_SRGB, light, srgb
from tests.support.odd_photos import png_chunk, saved

CASES = colour_cases()


def shown(name: str) -> np.ndarray:
    return levels(decode(CASES[name]).pixels)


EXPONENTS = {
    "gama 1.png": 1.0, "gama 1.8.png": 1.8, "gama 3.png": 3.0, "cicp linear.png": 1.0,
    "cicp 2.2.png": 2.2, "cicp 2.8.png": 2.8, "cicp 709.png": 2.4, "gama chrm.png": 1.0,
    "gama 45455 chrm.png": 2.2, "icc linear srgb.png": 1.0, "gama 43000.png": 1 / 0.43,
    "cicp before icc.png": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("name", EXPONENTS)
def test_a_curve_is_applied(name: str) -> None:
    expected = srgb(light(COLOURS, EXPONENTS[name]))
    np.testing.assert_allclose(shown(name), expected, atol=1.2)


AS_STORED = [
    "plain.png", "gama 45455.png", "gama 47500.png", "gama 0.png", "gama srgb.png", "chrm p3.png",
    "chrm broken.png", "cicp srgb.png", "cicp unknown.png", "cicp narrow.png", "cicp log.png",
    "cicp no primaries.png", "icc srgb.png",
]  # fmt: skip


@pytest.mark.parametrize("name", AS_STORED)
def test_what_means_srgb_stays_as_stored(name: str) -> None:
    np.testing.assert_array_equal(decode(CASES[name]).pixels, squares())


@pytest.mark.parametrize(
    ("name", "matrix", "atol"),
    [
        ("cicp p3.png", P3_TO_SRGB, 1.2),
        ("icc before gama.png", P3_TO_SRGB, 1.2),
        ("nclx p3.avif", P3_TO_SRGB, 3),
        ("nclx p3 alone.avif", P3_TO_SRGB, 3),
        ("icc p3.webp", P3_TO_SRGB, 1.2),
        ("nclx 2020.avif", BT2020_TO_SRGB, 3),
    ],
)
def test_primaries_are_applied(name: str, matrix: np.ndarray, atol: float) -> None:
    stored = shown("nclx srgb.avif") if name.endswith("avif") else COLOURS  # as it was coded
    np.testing.assert_allclose(shown(name), srgb(light(stored) @ matrix.T), atol=atol)


def test_a_png_of_bt2020_has_a_screens_curve() -> None:
    expected = srgb(light(COLOURS, 2.4) @ BT2020_TO_SRGB.T)
    np.testing.assert_allclose(shown("cicp 2020.png"), expected, atol=1.2)


@pytest.mark.parametrize(
    ("transfer", "stored", "expected"),
    [
        # The reference white of 203 cd/m² is .5807 of PQ and .7500 of HLG: 148 and 191 of 255. It
        # becomes half of a screen's light, 188 of sRGB. 1,000 cd/m², the peak, becomes white.
        (16, 148, 188), (18, 191, 188), (16, 192, 255), (18, 255, 255), (16, 0, 0), (18, 0, 0),
        # PQ of 100 is 31.83 cd/m² (.3922 of PQ), .1568 of the reference white; half of that is
        # .0784, 79 of sRGB. HLG of 128 is .0840 of the scene, .0840 ** 1.2 x 1000 / 203 / 2 = .126.
        (18, 128, 99),
    ],
)  # fmt: skip
def test_bright_greys_are_mapped_by_the_reference_white(
    transfer: int, stored: int, expected: int
) -> None:
    grey = np.full(COLOURS.shape, stored, np.uint8)
    pixels = decode(tagged_avif(9, transfer, grey)).pixels
    np.testing.assert_allclose(levels(pixels), expected, atol=1.5)


def test_code_points_in_a_profile_go_before_its_curve() -> None:
    for name, same in (("icc pq.png", "cicp pq.png"), ("icc hlg.jpg", "cicp hlg.png")):
        np.testing.assert_allclose(shown(name), shown(same), atol=4)
    assert hdr_space(rgb_profile("p3", SRGB_CURVE)) is None
    assert hdr_space(rgb_profile("p3", SRGB_CURVE, points=bytes([12, 13, 0, 1]))) is None
    whole = rgb_profile("p3", SRGB_CURVE, points=bytes([9, 16, 0, 1]))
    assert hdr_space(whole) is not None
    assert [hdr_space(whole[:size]) for size in range(0, 400, 7)].count(None) > 20


def test_a_picture_that_says_how_bright_it_is_is_mapped_by_that() -> None:
    """A peak of 400 is .978 stops above the reference white, the usual one 2.300: white loses .787.

    PQ of 128 is 94.07 cd/m² (.4634 of the reference white), .3648 of a screen, 163 of sRGB. At 150
    nothing is mapped: .4634 is 181. At 4,000 white loses no more than at 1,000: .2317, 132.
    """
    assert {name: round(shown(f"cicp pq {name}.png")[0, 4, 0]) for name in ("400", "150", "4000")} \
        == {"400": 163, "150": 181, "4000": 132}  # fmt: skip
    assert round(shown("nclx pq 400.avif")[0, 4, 0]) == 163
    np.testing.assert_array_equal(shown("cicp pq 0.png"), shown("cicp pq.png"))
    # HLG of 128 is .2522 of the reference white, .787 of that .1985: 123.
    assert round(shown("cicp hlg 400.png")[0, 4, 0]) == 123


def test_grey_takes_a_profile_of_colours() -> None:
    grey = np.asarray(Image.fromarray(squares()).convert("L"))
    expected = srgb(light(levels(grey), 1.0))
    for end in ("png", "jpg"):
        found = levels(decode(CASES[f"icc rgb on grey.{end}"]).pixels)
        np.testing.assert_allclose(found, np.repeat(expected, 3, axis=2), atol=1.6)
        assert np.abs(levels(decode(CASES[f"icc grey on rgb.{end}"]).pixels) - COLOURS).max() < 3


def test_profiles_are_compared_by_what_they_do() -> None:
    """Another name and another way to write sRGB's curve change nothing, not even by rounding."""
    points = np.arange(1024) / 1023
    table = np.rint(65535 * light(255 * points)).astype(">u2").tobytes()
    curve = b"curv" + bytes(4) + (1024).to_bytes(4, "big") + table
    for name in ("sRGB", "holiday"):
        data = saved(squares(), "PNG", icc_profile=rgb_profile("srgb", curve, name))
        np.testing.assert_array_equal(decode(data).pixels, squares())
    wide = saved(squares(), "PNG", icc_profile=rgb_profile("p3", SRGB_CURVE, "sRGB"))
    assert np.abs(decode(wide).pixels.astype(int) - squares()).max() > 20


def test_a_profile_of_a_space_says_what_the_space_does() -> None:
    """Gamma 2.2 with sRGB's primaries, read back by Pillow's own engine."""
    profile = profile_of(Space((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 2.2))
    image = to_space(Image.fromarray(squares()), profile, SRGB)
    np.testing.assert_allclose(levels(np.asarray(image)), srgb(light(COLOURS, 2.2)), atol=1.2)
    assert profile_of(Space((0.3, 0.3, *(0.5, 0.5) * 3), 2.2)) is None  # all primaries the same


def test_four_channels_are_inverted_with_and_without_a_marker() -> None:
    """C, M, Y of the scene and K = 64: each channel times 191 / 255."""
    for name in ("cmyk adobe.jpg", "cmyk plain.jpg", "cmyk rgb profile.jpg"):
        np.testing.assert_allclose(shown(name), COLOURS * (191 / 255), atol=2.5)


def test_a_profile_of_inks_is_applied() -> None:
    """Its black counts twice: (1 - 64 / 255) ** 2."""
    expected = COLOURS * (191 / 255) ** 2
    np.testing.assert_allclose(shown("cmyk profile.jpg"), expected, atol=4)


def test_chunks_behind_the_pixels_say_nothing() -> None:
    plain = CASES["plain.png"]
    data = plain[:-12] + cicp(12, 8) + gama(100_000) + plain[-12:]
    np.testing.assert_array_equal(decode(data).pixels, squares())


def test_no_numbers_in_chunks_and_boxes_cost_the_picture() -> None:
    """Whatever a stranger writes there: extremes, and numbers drawn at random."""
    draw = random.Random(5)
    ends = (0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFF, 100_000, 31_270)
    plain = saved(squares()[:16, :16], "PNG")
    avif = saved(squares()[:16, :16], "AVIF")
    at = avif.index(b"colrnclx") + 8
    for turn in range(300):
        numbers = [draw.choice(ends) if turn % 2 else draw.getrandbits(32) for _ in range(9)]
        chunks = (
            png_chunk(b"gAMA", struct.pack(">I", numbers[0])),
            png_chunk(b"cHRM", struct.pack(">8I", *numbers[1:])),
            png_chunk(b"cICP", bytes(draw.choices(range(20), k=2)) + b"\0\1"),
            png_chunk(b"cLLI", struct.pack(">II", *numbers[:2])),
            png_chunk(b"mDCV", struct.pack(">6I", *numbers[3:])),
        )
        for some in (chunks[:1], chunks[:2], chunks[2:], (cicp(9, 16), *chunks[3:])):
            photo = decode(with_chunks(plain, *some), colour="keep")
            assert photo.pixels.shape == (16, 16, 3)
        points = struct.pack(">HH", *(number & 31 for number in numbers[:2]))
        tagged = avif[:at] + points + avif[at + 4 :]
        media_facts(tagged[: draw.randrange(len(tagged))])
        media_facts(tagged[:turn] + bytes([draw.randrange(256)]) + tagged[turn + 1 :])
        assert media_facts(tagged)[0] == 1


def test_a_broken_or_large_profile_is_no_profile() -> None:
    assert wide_space("RGB", b"no profile") is None
    image = Image.fromarray(squares())
    linear = rgb_profile("srgb", gamma_curve(1.0))
    np.testing.assert_array_equal(to_space(image, linear + bytes(4 << 20)), image)
    assert isinstance(decode(saved(image, "PNG", icc_profile=b"x" * 300)), Photo)
