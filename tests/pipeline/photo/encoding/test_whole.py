"""A whole photo on a canvas of another ratio: its position, by hand, and the drawing."""

from math import hypot

import numpy as np
import pytest

from pipeline.photo.decode import Photo
from pipeline.photo.encoding.thumbnail import thumbnail_size
from pipeline.photo.encoding.whole import draw_whole, place_whole
from pipeline.shapes import parse_shape

RED, GREEN, BACK = (200, 30, 30), (30, 200, 30), (10, 20, 30)


def halves(width: int, height: int) -> Photo:
    """Left half red, right half green."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, GREEN
    return Photo(pixels, width, height, "png", 1)


def test_a_wide_photo_gets_bars_above_and_below() -> None:
    placed = place_whole((0, 0, 400, 200), parse_shape("1:1"))
    assert placed.canvas_px == pytest.approx((0, -100, 400, 300))
    assert placed.box_rel == pytest.approx((0, 0.25, 1, 0.75))


def test_a_tall_photo_gets_bars_beside_it() -> None:
    """90 × 160 at 16:9: the canvas is 160 · 16 / 9 = 284.4 wide."""
    placed = place_whole((0, 0, 90, 160), parse_shape("16:9"))
    assert placed.canvas_px == pytest.approx((-97.2222, 0, 187.2222, 160))


def test_of_its_own_ratio_or_free_it_fills_the_canvas() -> None:
    for name in ("16:9", "free"):
        placed = place_whole((8, 4, 168, 94), parse_shape(name))
        assert placed.canvas_px == pytest.approx((8, 4, 168, 94))


def test_in_a_circle_all_corners_are_seen() -> None:
    """300 × 400 has a diagonal of 500, which is the circle's diameter."""
    placed = place_whole((0, 0, 300, 400), parse_shape("circle"))
    assert placed.canvas_px == pytest.approx((-100, -50, 400, 450))
    x0, y0, *_ = placed.box_rel
    assert hypot(x0 - 0.5, y0 - 0.5) == pytest.approx(0.5)
    assert place_whole((0, 0, 300, 400), parse_shape("1:1"), is_circle=True) == placed


def test_it_keeps_clear_of_what_lies_over_the_crop() -> None:
    caption = [(0.0, 0.8, 1.0, 1.0)]  # 4/5 of the height are left
    placed = place_whole((0, 0, 100, 100), parse_shape("1:1"), covered=caption)
    assert placed.box_rel == pytest.approx((0.1, 0, 0.9, 0.8))
    badge = [(0.75, 0.75, 1.0, 1.0)]  # beside or above it; both give .75, the first found counts
    x0, y0, x1, y1 = place_whole((0, 0, 100, 100), parse_shape("1:1"), covered=badge).box_rel
    assert (x1 - x0, y1 - y0) == pytest.approx((0.75, 0.75))
    assert x1 <= 0.75 + 1e-9 or y1 <= 0.75 + 1e-9
    # In a circle the free square of .7071 begins at .1464; left of the edge at .6 it has .4536.
    right = [(0.6, 0.0, 1.0, 1.0)]
    placed = place_whole((0, 0, 100, 100), parse_shape("circle"), covered=right)
    assert placed.box_rel == pytest.approx((0.1464, 0.2732, 0.6, 0.7268), abs=1e-4)
    everywhere = [(0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)]
    placed = place_whole((0, 0, 100, 100), parse_shape("1:1"), covered=everywhere)
    assert placed.box_rel == pytest.approx((0, 0, 1, 1))


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize(("covered", "centre"), [((0.3, 0.4), 0.7), ((0.6, 0.7), 0.3)])
def test_of_parts_that_are_as_good_the_middle_one_is_taken(
    covered: tuple[float, float], centre: float, upright: bool
) -> None:
    """A photo of 1:4 fits beside the strip on both sides: .15 and .7 are .35 and .2 off centre."""
    low, high = covered
    size, strip = (
        ((25, 100), (low, 0.0, high, 1.0)) if upright else ((100, 25), (0.0, low, 1.0, high))
    )
    x0, y0, x1, y1 = place_whole((0, 0, *size), parse_shape("1:1"), covered=[strip]).box_rel
    middle = (x0 + x1, y0 + y1)[0 if upright else 1] / 2
    assert middle == pytest.approx(centre)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("16:9", (512, 288)), ("9:16", (288, 512)), ("1:1", (512, 512)), ("4:3", (512, 384))],
)
def test_the_canvas_has_exactly_the_ratio(ratio: str, size: tuple[int, int]) -> None:
    shape = parse_shape(ratio)
    for width, height in ((1000, 37), (640, 480), (333, 999)):
        photo = halves(width, height)
        placed = place_whole((0, 0, width, height), shape)
        size_wh = thumbnail_size(shape, placed.canvas_px, 512)
        assert size_wh == size
        for ground in ("pad", "blur"):
            assert draw_whole(photo, placed, size_wh, ground).shape == (size[1], size[0], 3)


def test_nothing_is_enlarged() -> None:
    shape = parse_shape("16:9")
    placed = place_whole((0, 0, 90, 160), shape)
    assert thumbnail_size(shape, placed.canvas_px, 512) == (284, 160)


def test_on_a_colour_the_photo_lies_whole_in_the_middle() -> None:
    """100 × 50 on 100 × 100: rows 25 to 74 are the photo."""
    placed = place_whole((0, 0, 100, 50), parse_shape("1:1"))
    drawn = draw_whole(halves(100, 50), placed, (100, 100), "pad", BACK)
    assert (drawn[:25] == BACK).all()
    assert (drawn[75:] == BACK).all()
    assert (drawn[25:75, :50] == RED).all()
    assert (drawn[25:75, 50:] == GREEN).all()


def test_only_the_part_that_is_asked_for_is_shown() -> None:
    """The green half of the photo, as where its borders are left out."""
    placed = place_whole((50, 0, 100, 50), parse_shape("2:1"))
    drawn = draw_whole(halves(100, 50), placed, (100, 50), "pad", BACK)
    assert (drawn[:, 25:75] == GREEN).all()
    assert (drawn[:, :25] == BACK).all()


def test_its_own_blurred_self_is_behind_it() -> None:
    """Of halves of red and green it has the darker colours, mixed where they meet."""
    placed = place_whole((0, 0, 640, 320), parse_shape("1:1"))
    drawn = draw_whole(halves(640, 320), placed, (320, 320), "blur").astype(int)
    assert (drawn[80:240, :150] == RED).all()
    bars = np.concatenate([drawn[:80], drawn[240:]])
    left, right, middle = bars[:, 5], bars[:, -5], bars[:, 160]
    assert (left[:, 0] > 2 * left[:, 1]).all()
    assert (right[:, 1] > 2 * right[:, 0]).all()
    assert (np.abs(middle[:, 0] - middle[:, 1]) < 30).all()
    assert left[:, 0].max() < RED[0]  # darker, so that the photo stands out
    assert np.abs(np.diff(bars[:80].mean(axis=0), axis=0)).max() < 8  # no edge is left in it


def test_behind_a_tall_photo_is_its_middle() -> None:
    """The upper third is red, which is the upper sixth of the square in the middle."""
    photo = halves(320, 640)
    photo.pixels[:213], photo.pixels[213:] = RED, GREEN
    placed = place_whole((0, 0, 320, 640), parse_shape("1:1"))
    beside = draw_whole(photo, placed, (320, 320), "blur")[:, 5].astype(int)
    turns_green = np.flatnonzero(beside[:, 1] > beside[:, 0])[0]
    assert turns_green == pytest.approx(320 / 6, abs=12)
