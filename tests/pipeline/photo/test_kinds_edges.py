"""Edge cases of the rules for kinds: steps, shares and sides, counted by hand."""

import numpy as np
import pytest

from pipeline.photo.kinds import (
    SCREENS,
    PictureKind,
    Surface,
    is_page,
    is_screen,
    picture_kind,
    surface_of,
)

# Screens of devices, upright, by their makers' data sheets.
DEVICES = {
    "iPhone 5": (640, 1136), "Galaxy S3": (720, 1280), "Galaxy A10": (720, 1520),
    "Galaxy A20e": (720, 1560), "Galaxy A12": (720, 1600), "iPhone 8": (750, 1334),
    "iPad 2": (768, 1024), "laptop HD": (768, 1366), "Nexus 7": (800, 1280),
    "iPhone XR": (828, 1792), "MacBook Air 2017": (900, 1440), "laptop HD+": (900, 1600),
    "monitor SXGA": (1024, 1280), "monitor WSXGA+": (1050, 1680), "monitor Full HD": (1080, 1920),
    "Pixel 3": (1080, 2160), "Galaxy S9, Full HD+": (1080, 2220), "Galaxy S10e": (1080, 2280),
    "Huawei P30 lite": (1080, 2312), "Vivo V11": (1080, 2316), "Galaxy S22": (1080, 2340),
    "Huawei P40 lite": (1080, 2376), "Pixel 6": (1080, 2400), "Galaxy A13": (1080, 2408),
    "OnePlus Nord CE 2": (1080, 2412), "Moto G Stylus": (1080, 2460), "iPhone X": (1125, 2436),
    "iPhone 12": (1170, 2532), "iPhone 15": (1179, 2556), "tablet WUXGA": (1200, 1920),
    "iPhone 16 Pro": (1206, 2622), "Xiaomi 13T": (1220, 2712), "iPhone 8 Plus": (1242, 2208),
    "iPhone XS Max": (1242, 2688), "iPhone 12 Pro Max": (1284, 2778),
    "iPhone 15 Plus": (1290, 2796),
    "iPhone 16 Pro Max": (1320, 2868), "Galaxy S7": (1440, 2560), "Galaxy S8": (1440, 2960),
    "Galaxy S10": (1440, 3040), "Galaxy S22 Ultra": (1440, 3088), "Pixel 6 Pro": (1440, 3120),
    "Galaxy S20": (1440, 3200), "monitor UWQHD": (1440, 3440), "iPad Air 2": (1536, 2048),
    "tablet WQXGA": (1600, 2560), "iPad 7": (1620, 2160), "iPad Air 4": (1640, 2360),
    "iPad Pro 10.5": (1668, 2224), "iPad Pro 11": (1668, 2388), "MacBook Pro 15": (1800, 2880),
    "MacBook Pro 14": (1964, 3024), "iPad Pro 12.9": (2048, 2732), "monitor 4K": (2160, 3840),
    "MacBook Pro 16": (2234, 3456), "iMac 5K": (2880, 5120),
}  # fmt: skip
# An even thing without grain that has edges: of a screen's size a screenshot, else a photo.
SOFT = Surface(flat=0.7, grain=0.25, edges=0.03, ground=0.1, ground_level=128)
PAGE = Surface(flat=0.9, grain=0.02, edges=0.05, ground=0.8, ground_level=250)


def pixels_of(*levels: int, rows: int = 8) -> np.ndarray:
    """Rows of these levels of green, uint8 [rows, n, 3]; red and blue are noise."""
    pixels = np.random.default_rng(1).integers(0, 256, (rows, len(levels), 3)).astype(np.uint8)
    pixels[..., 1] = levels
    return pixels


@pytest.mark.parametrize("device", DEVICES)
def test_what_a_device_shows_fills_its_screen(device: str) -> None:
    short, long = DEVICES[device]
    assert picture_kind(SOFT, short, long, "jpeg", 1) == ("screenshot", True)
    assert picture_kind(SOFT, long, short, "jpeg", 1) == ("screenshot", True)
    assert picture_kind(SOFT, short + 7, long, "jpeg", 1) == ("photo", False)


def test_no_screen_lacks_its_device() -> None:
    assert set(DEVICES.values()) == SCREENS


def test_steps_are_flat_grain_or_edges() -> None:
    """Steps 0 0 0 0 | 12 13 | 47 48 of eight neighbours; seven of nine levels lie near 100."""
    found = surface_of(pixels_of(100, 100, 100, 100, 100, 112, 99, 146, 98))
    assert (found.flat, found.grain, found.edges) == (0.5, 0.125, 0.125)
    assert (found.ground, found.ground_level) == (pytest.approx(7 / 9), 100)
    assert found.hardness == 0.25


def test_the_ground_reaches_six_levels_around_the_commonest() -> None:
    found = surface_of(pixels_of(100, 100, 100, 100, 100, 100, 94, 106, 93, 107))
    assert (found.ground, found.ground_level) == (0.8, 100)
    found = surface_of(pixels_of(3, 3, 3, 3, 3, 250))
    assert (found.ground, found.ground_level) == (pytest.approx(5 / 6), 3)
    found = surface_of(pixels_of(255, 255, 255, 255, 0, 249, 248))
    assert (found.ground, found.ground_level) == (pytest.approx(5 / 7), 255)


def test_fewer_than_three_in_ten_flat_neighbours_are_plainly_a_photo() -> None:
    levels = [0, 50, 0, 50, 0, 50, 0, 50, 50, 50]  # two of nine
    assert surface_of(pixels_of(*levels)) == Surface(
        pytest.approx(2 / 9), pytest.approx(7 / 9), 0.0, 0.0, 0
    )
    found = surface_of(pixels_of(0, 50, 0, 50, 0, 50, 0, 50, 50, 50, 50))  # three of ten
    assert (found.flat, found.edges) == (pytest.approx(0.3), pytest.approx(0.7))
    assert (found.ground, found.ground_level) == (pytest.approx(7 / 11), 50)


def test_rows_are_looked_at_in_the_middle_of_their_steps() -> None:
    """Of 128 rows the quick look takes 8, 24, 40 ..., the whole one 1, 3, 5 ..."""
    pixels = pixels_of(*([7] * 20), rows=128)
    noise = np.arange(20) * 12
    pixels[::2, :, 1] = noise
    pixels[8::16, :, 1] = 7
    assert surface_of(pixels).flat == 1
    pixels[24, :, 1] = noise
    assert surface_of(pixels).flat == 1  # seven of eight
    pixels[8::16, :, 1] = noise
    assert surface_of(pixels).flat == 0


def test_a_picture_of_one_column_is_all_ground() -> None:
    assert surface_of(np.zeros((9, 1, 3), np.uint8)) == Surface(0.0, 0.0, 0.0, 1.0, 0)
    assert surface_of(np.zeros((9, 2, 3), np.uint8)).flat == 1


def test_hardness_is_the_share_of_edges_among_differences() -> None:
    assert Surface(0.5, 0.3, 0.1, 0.5, 9).hardness == 0.2
    assert Surface(1.0, 0.0, 0.0, 1.0, 9).hardness == 0.0


def surface(**change: float) -> Surface:
    return Surface(**{**vars(PAGE), **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "screen_sized", "lossless", "expected"),
    [
        ({"flat": 0.6, "grain": 0.25, "edges": 0.0641}, False, False, True),
        ({"flat": 0.6, "grain": 0.25, "edges": 0.0639}, False, False, False),
        ({"flat": 0.6, "grain": 0.25, "edges": 0.0}, True, False, True),
        ({"flat": 0.599, "grain": 0.25, "edges": 0.3}, False, False, False),
        ({"flat": 0.599, "grain": 0.25, "edges": 0.3}, True, False, False),
        ({"flat": 0.599, "grain": 0.25, "edges": 0.3}, True, True, True),
        ({"flat": 0.6, "grain": 0.251, "edges": 0.1}, False, True, False),
        ({"flat": 0.6, "grain": 0.251, "edges": 0.1}, True, False, False),
        ({"flat": 0.3, "grain": 0.7, "edges": 0.0}, True, True, True),
        ({"flat": 0.299, "grain": 0.7, "edges": 0.0}, True, True, False),
        ({"flat": 0.3, "grain": 0.7, "edges": 0.3}, False, True, False),
    ],
)
def test_what_a_screen_has_made(
    change: dict[str, float], screen_sized: bool, lossless: bool, expected: bool
) -> None:
    assert is_screen(surface(**change), screen_sized, lossless) is expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"ground": 0.6}, True),
        ({"ground": 0.599}, False),
        ({"ground_level": 64}, True),
        ({"ground_level": 65}, False),
        ({"ground_level": 191}, False),
        ({"ground_level": 192}, True),
        ({"edges": 0.04}, True),
        ({"edges": 0.0399}, False),
        ({"flat": 0.5, "edges": 0.0901}, True),  # of .5 that differ .18 are edges
        ({"flat": 0.5, "edges": 0.0899}, False),
        ({"flat": 0.499, "edges": 0.2}, False),
        ({"grain": 0.25}, True),
        ({"grain": 0.251}, False),
    ],
)
def test_what_is_a_page(change: dict[str, float], expected: bool) -> None:
    assert is_page(surface(**change)) is expected


@pytest.mark.parametrize(
    ("width", "height", "format", "frames", "kind", "by_screen"),
    [
        (1080, 1920, "png", 2, "animated", True),
        (500, 500, "gif", 2, "animated", True),
        (1000, 2501, "jpeg", 1, "long", True),
        (1000, 2500, "jpeg", 1, "text-heavy", True),
        (1080, 1920, "jpeg", 1, "screenshot", True),  # a page that fills a screen
    ],
)
def test_the_first_kind_that_holds_is_taken(
    width: int, height: int, format: str, frames: int, kind: PictureKind, by_screen: bool
) -> None:
    assert picture_kind(PAGE, width, height, format, frames) == (kind, by_screen)


@pytest.mark.parametrize(("format", "by_screen"), [("png", True), ("webp", True), ("jpeg", False)])
def test_only_lossless_formats_show_a_photo_on_a_screen(format: str, by_screen: bool) -> None:
    shown = Surface(flat=0.4, grain=0.5, edges=0.1, ground=0.2, ground_level=0)
    assert picture_kind(shown, 1080, 1920, format, 1)[1] is by_screen
    assert picture_kind(shown, 1081, 1920, format, 1) == ("photo", False)
