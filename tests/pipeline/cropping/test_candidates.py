"""The published candidates against the golden file; the product's own against their contract."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from pipeline.cropping import candidates
from pipeline.errors import UsageError
from pipeline.shapes import parse_shape
from s2cnet.inputs import LONG_SIDE, MULTIPLE, SHORT_SIDE

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "preprocess.npz")
SOURCE_WH = [(1024, 768), (683, 1024), (500, 500), (777, 333)]
PHOTOS = range(4)


def input_wh(photo: int) -> tuple[int, int]:
    _, height, width = GOLDEN[f"tensor{photo}"].shape
    return width, height


@pytest.mark.parametrize("photo", PHOTOS)
def test_grid_is_the_published_one(photo: int) -> None:
    expected = GOLDEN[f"candidates_input{photo}"]
    np.testing.assert_allclose(candidates.grid(*input_wh(photo)), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("photo", PHOTOS)
def test_grid_in_source_pixels(photo: int) -> None:
    boxes = candidates.grid(*input_wh(photo))
    source = candidates.input_to_source(boxes, input_wh(photo), SOURCE_WH[photo])
    expected_yxyx = GOLDEN[f"candidates_source{photo}"]
    np.testing.assert_array_equal(source[:, [1, 0, 3, 2]], expected_yxyx)


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("ratio", candidates.PUBLISHED_RATIOS)
def test_ratio_lists_are_the_published_ones(photo: int, ratio: str) -> None:
    expected = GOLDEN[f"candidates_{ratio.replace(':', '_')}_{photo}"].reshape(-1, 4)
    boxes = candidates.published_ratio(*input_wh(photo), ratio)
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, expected)


def test_published_lists_can_be_empty() -> None:
    assert candidates.grid(1024, 256).shape == (0, 4)
    assert candidates.published_ratio(256, 1024, "16:9").shape == (0, 4)


def test_published_lists_have_at_most_the_documented_number() -> None:
    """On all inputs of the network: a short side of 256, a long one up to 20 times that."""
    counts = {
        (ratio, wide, high): len(candidates.published_ratio(wide, high, ratio))
        for ratio in candidates.PUBLISHED_RATIOS
        for long in range(SHORT_SIDE, LONG_SIDE + 1, MULTIPLE)
        for wide, high in ((SHORT_SIDE, long), (long, SHORT_SIDE))
    }
    assert counts["16:9", 896, 256] == max(counts.values()) == 2288
    assert min(counts.values()) == 0


def test_published_ratios_are_five() -> None:
    with pytest.raises(UsageError, match="no published candidates for '5:4'"):
        candidates.published_ratio(256, 256, "5:4")


SIDES = [1, 2, 3, 7, 50, 333, 4000]
RATIOS = [1 / 20, 9 / 16, 1.0, 4 / 3, 16 / 9, 20.0]


@pytest.mark.parametrize(("width", "height"), list(itertools.product(SIDES, SIDES)))
def test_own_lists_keep_their_promises(width: int, height: int) -> None:
    for ratio in RATIOS:
        boxes = candidates.for_ratio(width, height, ratio)
        assert 1 <= len(boxes) <= 336
        assert_whole_pixels_inside(boxes, width, height)
        assert_largest_comes_first(boxes[0], width, height, ratio)
        crop_w, crop_h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        # Within half a pixel a side of an exact crop of this ratio, unless a side is 1 pixel.
        off = np.abs(crop_w - crop_h * ratio) / (1 + ratio)
        assert (off[np.minimum(crop_w, crop_h) > 1] <= 0.51).all()
    free = candidates.for_free(width, height)
    assert len(free) <= 769
    np.testing.assert_array_equal(free[0], [0, 0, width, height])
    assert_whole_pixels_inside(free, width, height)


def assert_whole_pixels_inside(boxes: np.ndarray, width: int, height: int) -> None:
    np.testing.assert_array_equal(boxes, np.rint(boxes))
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= width
    assert boxes[:, 3].max() <= height
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert len(np.unique(boxes, axis=0)) == len(boxes)


def assert_largest_comes_first(box: np.ndarray, width: int, height: int, ratio: float) -> None:
    crop_w, crop_h = box[2] - box[0], box[3] - box[1]
    assert crop_w == width or crop_h == height
    if width / height > ratio:
        assert crop_h == height
    if width / height < ratio:
        assert crop_w == width


@pytest.mark.parametrize(
    ("width", "height"), [(20_000, 1_000), (1_000, 20_000), (1_024, 768), (1, 1)]
)
def test_positions_reach_all_edges(width: int, height: int) -> None:
    for ratio in (9 / 16, 1.0, 16 / 9):
        boxes = candidates.for_ratio(width, height, ratio)
        assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
        assert boxes[:, 2:].max(axis=0).tolist() == [width, height]


def test_sizes_go_down_to_five_eighths() -> None:
    boxes = candidates.for_ratio(1600, 900, "1:1")
    sides = np.unique(boxes[:, 2] - boxes[:, 0])
    assert sides.tolist() == [567, 648, 720, 774, 819, 860, 900]


def test_ratio_by_name_and_by_number_agree() -> None:
    by_name = candidates.for_ratio(640, 480, "16:9")
    np.testing.assert_array_equal(by_name, candidates.for_ratio(640, 480, 16 / 9))
    np.testing.assert_array_equal(
        candidates.for_ratio(640, 480, "circle"), candidates.for_ratio(640, 480, 1.0)
    )


@pytest.mark.parametrize("ratio", [0, -1, float("nan"), float("inf"), "free", "wide"])
def test_nonsense_ratios_are_refused(ratio: float | str) -> None:
    with pytest.raises(UsageError):
        candidates.for_ratio(640, 480, ratio)


def test_empty_photos_are_refused() -> None:
    for make in (candidates.grid, candidates.for_free):
        with pytest.raises(UsageError, match="at least 1 × 1"):
            make(0, 5)


@pytest.mark.parametrize("name", ["1:1", "16:9", "9:16", "circle", "free", "3:1"])
@pytest.mark.parametrize("size", [(1, 1), (7, 2000), (2000, 90), (640, 480)])
def test_every_photo_has_candidates_of_every_shape(name: str, size: tuple[int, int]) -> None:
    width, height = size
    found = candidates.for_shape(width, height, parse_shape(name))
    assert len(found) >= 1
    assert (found == np.rint(found)).all()
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2] <= width).all()
    assert (found[:, 3] <= height).all()
    assert (found[:, 2:] > found[:, :2]).all()


def counts_by_width(boxes: np.ndarray) -> dict[int, int]:
    widths, counts = np.unique(boxes[:, 2] - boxes[:, 0], return_counts=True)
    return dict(zip(widths.astype(int).tolist(), counts.tolist(), strict=True))


def test_positions_of_each_size_by_hand() -> None:
    """Steps of .06 of the side: 900 px have 700 to travel, so 1 + ceil(700 / 54) = 14 places.

    Of 567 px 32 x 11 would be over 48, so both are shrunk by the root of 48 / 352: 11 x 4.
    """
    boxes = candidates.for_ratio(1600, 900, "1:1")
    assert counts_by_width(boxes) == {
        900: 14, 860: 32, 819: 16 * 2, 774: 15 * 3, 720: 13 * 3, 648: 12 * 3, 567: 11 * 4,
    }  # fmt: skip
    assert boxes.dtype == candidates.dense_for_shape(9, 9, parse_shape("1:1")).dtype == np.float32
    first = boxes[:14]
    assert first[:, 1].tolist() == [0.0] * 14
    assert first[:, 0].tolist() == [round(700 * k / 13) for k in range(14)]
    second = boxes[14:16]  # y fastest
    assert second.tolist() == [[0, 0, 860, 860], [0, 40, 860, 900]]


def test_dense_lists_by_hand() -> None:
    """200 x 100: of 40 px 161 x 61 places at 1 px would be over 400: 32 x 12. Of 100 px 41."""
    shape = parse_shape("1:1")
    boxes = candidates.dense_for_shape(200, 100, shape)
    counts = counts_by_width(boxes)
    assert sorted(counts) == [*range(40, 101, 5)]
    assert (counts[40], counts[100]) == (32 * 12, 41)
    largest = candidates.largest_for_shape(200, 100, shape)
    assert counts_by_width(largest) == {100: 41}
    assert largest[:2].tolist() == [[0, 0, 100, 100], [2, 0, 102, 100]]  # 2.5 to even
    free = candidates.dense_for_shape(40, 30, parse_shape("free"))
    ratios = (free[:, 2] - free[:, 0]) / (free[:, 3] - free[:, 1])
    assert ratios.min() == pytest.approx(0.5, abs=0.05)
    assert ratios.max() == pytest.approx(2, abs=0.2)
    of_its_own = candidates.dense_for_shape(310, 500, parse_shape("free"))
    assert (248, 400) in {tuple(s) for s in (of_its_own[:, 2:] - of_its_own[:, :2]).tolist()}


def test_a_single_place_is_the_middle() -> None:
    """Where only one place is left, it is the middle, rounded down."""
    assert candidates._spread(5, 1).tolist() == [2]
    assert candidates._spread(6, 3).tolist() == [0, 3, 6]
    assert candidates._spread(5, 3).tolist() == [0, 2, 5]  # 2.5 to even


def test_the_free_list_by_ratio() -> None:
    """A photo of 3:1 has boxes of the seven ratios, and of its own held at 2."""
    free = candidates.for_free(600, 200)
    sides = free[:, 2:] - free[:, :2]
    full = {tuple(side) for side in sides.tolist() if side[1] == 200}
    assert full == {(600, 200), (100, 200), (133, 200), (150, 200), (200, 200), (267, 200),
                    (300, 200), (400, 200)}  # fmt: skip
    heights = {round(side[1]) for side in sides.tolist() if side[0] == 2 * side[1]}
    assert heights == {200, 186, 172, 158, 144, 128}
    own = candidates.for_free(310, 500)  # .62; of the seven ratios the nearest are .5 and .67
    assert (288, 465) in {tuple(s) for s in (own[:, 2:] - own[:, :2]).tolist()}
    tall = candidates.for_free(200, 600)
    assert {tuple(s) for s in (tall[:, 2:] - tall[:, :2]).tolist() if s[0] == 200} >= {
        (200, 600), (200, 400),
    }  # fmt: skip


def test_the_largest_crop_is_exact() -> None:
    assert candidates.largest(640, 480, 16 / 9) == (640, 360)
    assert candidates.largest(640, 480, 1) == (480, 480)
    assert candidates.largest(640, 480, 0.5) == (240, 480)
    for width, height in ((0, 1), (1, 0)):
        with pytest.raises(UsageError, match=f"at least 1 × 1 pixels, got {width} × {height}"):
            candidates.largest(width, height, 1)


def test_a_list_belongs_to_its_caller() -> None:
    """Lists are kept for the next photo of a size; who changes one changes no other."""
    square = parse_shape("1:1")
    first = candidates.for_shape(640, 480, square)
    expected = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(candidates.for_shape(640, 480, square), expected)
    assert len(candidates.for_shape(480, 640, parse_shape("free"))) > len(expected)
