"""Views, crops and canvases at exact limits of side, ratio or size: calculated by hand."""

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import EncodeError, UsageError
from pipeline.photo.decoded import Photo
from pipeline.photo.encoding.thumbnail import circle_mask, cut, encode, thumbnail_size
from pipeline.photo.encoding.whole import place_whole
from pipeline.photo.hashes import small_picture
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.view import jpeg_scale, reduced, view_size
from pipeline.shapes import parse_shape
from tests.support.odd_photos import scene


def photo_of(pixels: np.ndarray, width: int, height: int, **more: object) -> Photo:
    return Photo(pixels, width, height, "png", 1, **more)  # type: ignore[arg-type]


def test_what_a_photo_may_cost() -> None:
    """docs/KINDS.md and the options name these."""
    limits = DecodeLimits()
    assert (limits.max_bytes, limits.memory_bytes) == (64 * 1024**2, 2 * 1024**3)
    assert (limits.max_pixels, limits.max_jpeg_pixels) == (50_000_000, 250_000_000)
    assert (limits.max_progressive_pixels, limits.max_scan_pixels) == (100_000_000, 2_000_000_000)
    assert (limits.max_side, limits.max_frames) == (65_535, 500)
    assert (limits.max_animation_pixels, limits.least_complete) == (400_000_000, 0.75)
    assert limits.timeout_s == 10


@pytest.mark.parametrize(
    ("size_wh", "view_side", "view_wh"),
    [
        ((1945, 1500), 1024, (1945, 1500)),  # 1,945 is one less than twice .95 of 1,024
        ((1946, 1500), 1024, (973, 750)),
        ((1947, 1501), 1024, (974, 751)),  # a pixel that is left over has one of its own
        ((10, 8), 1, (1, 1)),
        ((5, 5), 0, (1, 1)),
    ],
)
def test_whole_factors(size_wh: tuple[int, int], view_side: int, view_wh: tuple[int, int]) -> None:
    assert view_size(size_wh, view_side) == view_wh


def test_a_long_view_has_no_more_pixels_than_it_may() -> None:
    assert view_size((4000, 1000), 1024, 40_000) == (400, 100)
    assert view_size((1000, 4000), 1024, 40_000) == (100, 400)
    assert view_size((4000, 1000), 100) == (318, 80)  # .794 of 100 is 79.4


@pytest.mark.parametrize(
    ("size_wh", "most", "scale"),
    [
        ((3001, 2250), 1e9, 2),  # at 1/4 751 by 563 is too small for 1,001 by 750 at 1/3
        ((8000, 5000), 8000 * 5000 / 64, 8),
        ((8000, 5000), 8000 * 5000 / 64 - 1, 8),  # as small as it goes
        ((2000, 1000), 500_000, 2),
        ((2000, 1000), 499_999, 4),
        ((1500, 8866), 1e9, 1),
    ],
)
def test_scales_of_a_jpeg(size_wh: tuple[int, int], most: float, scale: int) -> None:
    assert jpeg_scale(size_wh, 1024, most) == scale


@pytest.mark.parametrize(
    ("size", "view_wh", "expected"),
    [
        ((100, 80), (100, 80), (100, 80)),
        ((100, 80), (50, 40), (50, 40)),
        ((101, 81), (51, 41), (51, 41)),  # the last block is half a block
        ((99, 80), (50, 40), (50, 40)),
        ((100, 80), (49, 39), (50, 40)),  # 1/2 is the next whole one
        ((100, 20), (90, 18), (100, 20)),  # 1.11 times what it needs: left as it is
        ((100, 20), (80, 16), (80, 16)),  # 1.25 times: blurred
        ((100, 60), (80, 48), (100, 60)),  # not long: by whole factors alone
        ((5000, 200), (4500, 180), (5000, 200)),  # 1:25
        ((5200, 200), (4680, 180), (4680, 180)),  # 1:26: no more pixels than the view may have
        ((200, 5200), (180, 4680), (180, 4680)),
    ],
)
def test_images_are_reduced_to_their_view(
    size: tuple[int, int], view_wh: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert reduced(Image.new("L", size), view_wh).size == expected


@pytest.mark.parametrize(
    ("shape", "box", "side", "size"),
    [
        ("16:9", (0, 0, 1600, 900), 320, (320, 180)),
        ("9:16", (0, 0, 900, 1600), 320, (180, 320)),
        ("1:1", (10, 10, 60, 60), 320, (50, 50)),
        ("free", (100, 0, 400, 100), 150, (150, 50)),
        ("free", (0, 100, 100, 400), 150, (50, 150)),
        ("50:1", (0, 0, 50, 1), 10, (10, 1)),
        ("1:1", (0, 0, 9, 9), 1, (1, 1)),
    ],
)
def test_sizes_of_thumbnails(
    shape: str, box: tuple[float, ...], side: int, size: tuple[int, int]
) -> None:
    assert thumbnail_size(parse_shape(shape), box, side) == size


def test_a_thumbnail_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="got 0"):
        thumbnail_size(parse_shape("1:1"), (0, 0, 9, 9), 0)


@pytest.mark.parametrize("quality", [0, 101])
def test_qualities_beyond_their_ends_are_refused(quality: int) -> None:
    with pytest.raises(UsageError, match=f"got {quality}"):
        encode(scene(8, 8), "jpeg", quality)
    assert encode(scene(8, 8), "jpeg", min(max(quality, 1), 100))


PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((0, 0, 12, 8), (0, 4), (0, 6)),
        ((2, 4, 8, 8), (2, 4), (1, 4)),
        ((2.9, 0, 3.2, 8), (0, 4), (1, 2)),  # less than a pixel of the view is one
        ((11.9, 7.9, 12, 8), (3, 4), (5, 6)),
        ((-5, -5, 1, 3), (0, 2), (0, 1)),  # 1.5 rounds to the even 2
        ((10, 6, 99, 99), (3, 4), (5, 6)),
    ],
)
def test_boxes_in_a_view_at_half_the_size(
    box: tuple[float, ...], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    found = cut(photo_of(PIXELS, 12, 8), box)
    np.testing.assert_array_equal(found, PIXELS[slice(*rows), slice(*columns)])


@pytest.mark.parametrize(
    "box",
    [(0, 0, 5), (0, 0, 5, float("nan")), (0, 0, float("inf"), 5), (12, 0, 20, 8), (0, 8, 5, 9),
     (-9, 0, 0, 5), (5, 5, 5, 7), (5, 5, 7, 5)],
)  # fmt: skip
def test_boxes_that_show_nothing(box: tuple[float, ...]) -> None:
    with pytest.raises(EncodeError) as caught:
        cut(photo_of(PIXELS, 12, 8), box)
    assert caught.value.status == "bad_box"


def test_a_circle_covers_its_square_by_pi_quarters() -> None:
    mask = circle_mask(40, 40)
    assert mask.mean() / 255 == pytest.approx(np.pi / 4, abs=0.003)
    assert (mask[20, 20], mask[0, 0], mask[20, 0], mask[20, 39]) == (
        255,
        0,
        mask[0, 20],
        mask[0, 20],
    )
    np.testing.assert_array_equal(mask, mask.T)
    # Half a pixel inside the edge is covered whole, half a pixel outside not at all: radius 20.
    centre = np.hypot(*np.meshgrid(np.arange(40) - 19.5, np.arange(40) - 19.5))
    assert mask[centre <= 19.5].min() == 255
    assert mask[centre >= 20.5].max() == 0
    assert (
        circle_mask(60, 20)[10, [0, 30, 59]].tolist()
        == circle_mask(60, 20)[9, [0, 30, 59]].tolist()
    )


def test_a_small_photo_is_not_enlarged_for_its_hash() -> None:
    small, alpha = small_picture(photo_of(scene(50, 40), 50, 40))
    assert (small.shape, alpha) == ((40, 50, 3), None)
    small, _ = small_picture(photo_of(scene(300, 200), 300, 200))
    assert small.shape == (67, 100, 3)
    small, _ = small_picture(photo_of(scene(400, 1), 400, 1))
    assert small.shape == (1, 100, 3)


def test_the_part_inside_the_borders() -> None:
    pixels = scene(60, 40)
    alpha = np.arange(2400, dtype=np.uint8).reshape(40, 60)
    whole = photo_of(pixels, 120, 120, alpha=alpha, wide=pixels[::-1], wide_space="p3",
                     content_px=(20, 30, 100, 90), there_px=(0, 0, 120, 90))  # fmt: skip
    part = whole.content
    assert (part.width_px, part.height_px, part.origin_px) == (80, 60, (20, 30))
    assert (part.content_px, part.there_px) == (None, None)
    np.testing.assert_array_equal(part.pixels, pixels[10:30, 10:50])
    assert part.alpha is not None
    assert part.wide is not None
    np.testing.assert_array_equal(part.alpha, alpha[10:30, 10:50])
    np.testing.assert_array_equal(part.wide, pixels[::-1][10:30, 10:50])
    assert whole.scale_xy == (2.0, 3.0)
    assert whole.with_borders().content_px == (0, 0, 120, 90)


@pytest.mark.parametrize(
    ("covered", "middle"),
    [
        ([], (0.5, 0.5)),
        ([(0.0, 0.0, 1.0, 0.2)], (0.5, 0.6)),  # a strip at the top: the rest below it
        ([(0.0, 0.0, 0.2, 1.0)], (0.6, 0.5)),
        ([(0.0, 0.0, 0.2, 0.1)], (0.5, 0.55)),  # a corner: below it more is left than beside it
        ([(0.0, 0.9, 1.0, 1.0), (0.0, 0.0, 1.0, 0.1)], (0.5, 0.5)),
        ([(0.0, 0.0, 1.0, 1.0)], (0.5, 0.5)),  # no place is left
    ],
)
def test_a_whole_photo_keeps_clear_of_what_is_covered(
    covered: list[tuple[float, float, float, float]], middle: tuple[float, float]
) -> None:
    """A square on a square; the place is where its middle lies on the canvas."""
    placed = place_whole((0, 0, 100, 100), parse_shape("1:1"), covered=covered)
    x0, y0, x1, y1 = placed.box_rel
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == (pytest.approx(middle[0]), pytest.approx(middle[1]))
    assert not any(
        a < x1 - 1e-9 and x0 + 1e-9 < c and b < y1 - 1e-9 and y0 + 1e-9 < d
        for a, b, c, d in covered
        if (a, b, c, d) != (0.0, 0.0, 1.0, 1.0)
    )


def test_a_photo_of_two_to_one_on_a_circle() -> None:
    """Its corners lie on the circle: half its width is 1 / √5 of the canvas's side."""
    for shape, is_circle in (("circle", False), ("1:1", True)):
        x0, y0, x1, y1 = place_whole((0, 0, 200, 100), parse_shape(shape), is_circle).box_rel
        assert (x0, x1) == (pytest.approx(0.5 - 5**-0.5), pytest.approx(0.5 + 5**-0.5))
        assert (y0, y1) == (pytest.approx(0.5 - 5**-0.5 / 2), pytest.approx(0.5 + 5**-0.5 / 2))
    wide = place_whole((0, 0, 200, 100), parse_shape("1:1"))
    assert wide.canvas_px == (0, -50, 200, 150)
