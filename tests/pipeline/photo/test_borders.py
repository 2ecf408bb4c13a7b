"""Borders: bars drawn around pictures, and pictures that only seem to have some."""

import numpy as np
import pytest

from pipeline.photo.decode import decode
from tests.support.drawn_pictures import framed, lens, night_sky, thing_on_white
from tests.support.odd_photos import saved

Box = tuple[int, int, int, int]


def content(pixels: np.ndarray, format: str = "PNG", **options: object) -> Box | None:
    return decode(saved(pixels, format, **options)).content_px


@pytest.mark.parametrize("level", [0, 16, 240, 255])
def test_bars_at_two_sides_or_all(level: int) -> None:
    inner = lens(320, 240)
    assert content(framed(inner, 0, 40, 0, 40, level)) == (0, 40, 320, 280)
    assert content(framed(inner, 60, 0, 60, 0, level)) == (60, 0, 380, 240)
    assert content(framed(inner, 20, 30, 20, 30, level)) == (20, 30, 340, 270)
    assert content(framed(inner, 0, 40, 0, 44, level)) == (0, 40, 320, 280)


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_bars_with_the_noise_of_jpeg(quality: int) -> None:
    for level in (0, 255):
        found = content(framed(lens(320, 240), 0, 45, 0, 45, level), "JPEG", quality=quality)
        assert found is not None
        assert np.abs(np.subtract(found, (0, 45, 320, 285))).max() <= 3


def test_bars_of_a_reduced_view_are_given_in_source_pixels() -> None:
    """A view at half size: its edge may be blended, so the content begins up to 2 pixels later."""
    found = content(framed(lens(2400, 1600), 0, 201, 0, 201, 0))
    assert found is not None
    x0, y0, x1, y1 = found
    assert (x0, x1) == (0, 2400)
    assert 201 <= y0 <= 205
    assert 1797 <= y1 <= 1801


@pytest.mark.parametrize(
    "pixels",
    [
        lens(),
        night_sky(),
        thing_on_white(),
        np.zeros((100, 120, 3), np.uint8),
        np.full((100, 120, 3), 255, np.uint8),
        framed(lens(320, 240), 0, 40, 0, 0, 0),  # one bar
        framed(lens(320, 240), 0, 40, 0, 80, 0),  # two of other thickness, as of a Polaroid
        framed(lens(320, 240), 0, 40, 0, 40, 128),  # grey
        framed(lens(320, 40), 0, 200, 0, 200, 0),  # a line in the dark
        framed(lens(320, 240), 0, 1, 0, 1, 0),  # thinner than a border
        np.concatenate([framed(lens(320, 240), 0, 40, 0, 0, 0), np.full((40, 320, 3), 255)]),
    ],
    ids=["lens", "night", "shop", "black", "white", "one", "uneven", "grey", "line", "thin", "two"],
)
def test_what_is_no_border(pixels: np.ndarray) -> None:
    assert content(pixels.astype(np.uint8)) is None


def test_a_dark_gradient_has_no_straight_edge() -> None:
    """Above and below, the picture fades into black, as stages and portraits do."""
    fade = np.clip(np.minimum(np.arange(400), np.arange(400)[::-1]) - 60, 0, 100) / 100
    assert content((lens(320, 400) * fade[:, None, None]).astype(np.uint8)) is None


def test_transparent_margins_are_no_borders() -> None:
    picture = framed(lens(320, 240), 0, 40, 0, 40, 255)
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:40] = alpha[-40:] = 0
    assert content(np.dstack([picture, alpha])) is None
    assert content(picture) == (0, 40, 320, 280)


def test_the_content_is_a_photo_of_its_own() -> None:
    inner = lens(320, 240)
    photo = decode(saved(framed(inner, 20, 30, 20, 30, 0), "PNG"))
    part = photo.content
    np.testing.assert_array_equal(part.pixels, inner)
    assert (part.width_px, part.height_px, part.origin_px) == (320, 240, (20, 30))
    assert part.content is part
    plain = decode(saved(inner, "PNG"))
    assert plain.content is plain


@pytest.mark.parametrize(("rows", "count"), [(2, False), (3, True)])
def test_bars_count_from_a_hundredth_of_the_side_on(rows: int, count: bool) -> None:
    """Of 244 and 246 rows, a hundredth is 2.4 and 2.5."""
    found = content(framed(lens(320, 240), 0, rows, 0, rows, 0))
    assert found == ((0, rows, 320, 240 + rows) if count else None)
