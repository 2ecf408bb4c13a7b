"""Thumbnails have the right pixels and size, and no metadata from the uploaded file."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import EncodeError, UsageError
from pipeline.photo.decode import Photo, decode
from pipeline.photo.encoding import thumbnail as module
from pipeline.photo.encoding.thumbnail import (
    ENCODED,
    circle_mask,
    cut,
    encode,
    resample,
    shrunk,
    thumbnail_size,
)
from pipeline.shapes import parse_shape
from tests.support.icc_profiles import SRGB_CURVE, rgb_profile
from tests.support.odd_photos import good_photos, saved, scene


def photo_of(pixels: np.ndarray, times: int = 1) -> Photo:
    height, width = pixels.shape[:2]
    return Photo(pixels, width * times, height * times, "png", 1)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_cut_without_a_size_takes_the_pixels_as_they_are() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut(photo_of(pixels), (3, 4, 23, 14)), pixels[4:14, 3:23])
    np.testing.assert_array_equal(cut(photo_of(pixels), (0, 0, 30, 20)), pixels)


def test_boxes_are_in_source_pixels() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    crop = cut(photo_of(pixels, times=4), (12, 16, 92, 56))
    np.testing.assert_array_equal(crop, pixels[4:14, 3:23])


@pytest.mark.parametrize("size", [(100, 75), (41, 30), (333, 260), (1, 1), (7, 90)])
def test_resampling_is_pillows_bicubic(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    off = cut(photo_of(pixels), (0, 0, 200, 150), size).astype(int) - np.array(expected)
    assert np.abs(off).max() <= 2  # noise is the worst case; each of two passes rounds


def cubic_weights(before: int, after: int) -> np.ndarray:
    """[after, before] in float64: Keys' cubic with a = -0.5, widened by the reduction."""
    widened = max(1.0, before / after)
    centres = (np.arange(after) + 0.5) * before / after
    x = np.abs((np.arange(before) + 0.5)[None] - centres[:, None]) / widened
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


def test_a_small_picture_is_made_of_few_rows_from_the_middle_of_its_own() -> None:
    """Of 240 rows, which tell their number, 80 read one in three: the second of each."""
    pixels = np.repeat(np.arange(240, dtype=np.uint8)[:, None, None], 20, axis=1).repeat(3, axis=2)
    for rows_per_pixel, rows in ((1, range(1, 240, 3)), (2, None), (3, None)):
        found = shrunk(pixels, (20, 80), rows_per_pixel)
        assert found.shape == (80, 20, 3)
        if rows is not None:
            assert found[:, 7, 1].tolist() == list(rows)
        else:  # 240 is not twice 160: all rows are read
            assert np.array_equal(found, resample(pixels, (20, 80)))
    assert np.array_equal(shrunk(pixels[:3], (1, 9), 2), resample(pixels[:3], (1, 9)))


@pytest.mark.parametrize("size", [(100, 75), (41, 30), (333, 260), (7, 90), (200, 150)])
@pytest.mark.parametrize("package", ["cykooz_resizer", "Pillow"])
def test_resampling_uses_keys_cubic_kernel(
    package: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "Pillow":  # as on a machine for which cykooz_resizer has no wheel
        monkeypatch.setattr(module, "Resizer", None)
    pixels = np.random.default_rng(3).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    columns, rows = cubic_weights(200, size[0]), cubic_weights(150, size[1])
    # The first pass is rounded and cut off to 8 bits, as both packages do. [150, w, 3]
    between = np.clip(np.rint(np.einsum("xi,yic->yxc", columns, pixels)), 0, 255)
    expected = np.clip(np.einsum("yi,ixc->yxc", rows, between), 0, 255)  # [h, w, 3]
    found = resample(pixels, size)
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1.6  # .5 to round, and one level of the first pass


def test_read_only_views_can_be_cut() -> None:
    pixels = scene(40, 30)
    pixels.flags.writeable = False
    assert cut(photo_of(pixels), (0, 0, 40, 30), (20, 15)).shape == (15, 20, 3)


def test_boxes_narrower_than_a_view_pixel_keep_one() -> None:
    pixels = scene(40, 30)
    for box in ((0.2, 0.2, 0.3, 0.3), (39.6, 29.6, 40, 30), (7.4, 7.4, 7.6, 7.6)):
        crop = cut(photo_of(pixels), box)
        assert crop.shape == (1, 1, 3)
        np.testing.assert_array_equal(crop[0, 0], pixels[int(box[1]), int(box[0])])


def test_boxes_that_reach_outside_the_photo_are_cut_off() -> None:
    pixels = scene(30, 20)
    np.testing.assert_array_equal(cut(photo_of(pixels), (-5, -5, 40, 40)), pixels)


@pytest.mark.parametrize(
    "box",
    [(0, 0, float("nan"), 5), (0, 0, float("inf"), 5), (5, 5, 5, 9), (9, 9, 5, 5), (40, 0, 50, 9)],
)
def test_impossible_boxes_are_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(EncodeError) as caught:
        cut(photo_of(scene(30, 20)), box)
    assert caught.value.status == "bad_box"


@pytest.mark.parametrize(
    ("shape", "box", "side", "expected"),
    [
        ("16:9", (0, 0, 1600, 900), 512, (512, 288)),
        ("9:16", (0, 0, 900, 1600), 512, (288, 512)),
        ("circle", (5, 5, 905, 905), 256, (256, 256)),
        ("free", (0, 0, 1000, 400), 500, (500, 200)),
        ("4:3", (0, 0, 120, 90), 512, (120, 90)),  # never enlarged
        ("16:9", (0, 0, 1, 1), 512, (1, 1)),
        ("50:1", (0, 0, 100, 2), 10, (10, 1)),
        # A box of whole pixels is up to one off the ratio: its longer side gives it up.
        ("1:1", (0, 0, 425, 426), 512, (425, 425)),
        ("circle", (3, 4, 480, 480), 512, (476, 476)),
        ("4:3", (0, 0, 281, 210), 512, (280, 210)),
        ("3:4", (0, 0, 210, 281), 512, (210, 280)),
        ("16:9", (0, 0, 100, 56), 512, (100, 56)),  # 99.6
        ("16:9", (0, 0, 100, 57), 512, (100, 56)),  # 56.25
        ("1:1", (0, 0, 513, 512), 512, (512, 512)),
        ("free", (0, 0, 33, 71), 512, (33, 71)),
        # A canvas may be no whole number of pixels, or one but for rounding.
        ("16:9", (0, 0, 284.6, 160.0875), 512, (284, 160)),
        ("circle", (-0.85, 0, 499.85, 500.7), 512, (500, 500)),
        ("circle", (0, 0, 499.9999999, 500.0000001), 512, (500, 500)),
        ("1:1", (0, 0, 0.4, 0.4), 512, (1, 1)),
    ],
)
def test_thumbnail_sizes(
    shape: str, box: tuple[float, ...], side: int, expected: tuple[int, int]
) -> None:
    assert thumbnail_size(parse_shape(shape), box, side) == expected


def test_no_side_of_a_box_is_enlarged() -> None:
    """Of boxes a pixel off their ratio: one side stays as it is or has the thumbnail's size."""
    rng = np.random.default_rng(3)
    for name in ("1:1", "4:3", "9:16", "1.91:1", "circle"):
        shape = parse_shape(name)
        assert shape.ratio is not None
        for width, off in zip(rng.integers(2, 700, 200), rng.integers(-1, 2, 200), strict=True):
            height = max(1, round(width / shape.ratio) + off)
            found = thumbnail_size(shape, (0, 0, float(width), float(height)), 512)
            assert found[0] <= width, (name, width, height)
            assert found[1] <= height, (name, width, height)
            assert found[0] == width or found[1] == height or max(found) == 512
            assert abs(found[0] - found[1] * shape.ratio) <= max(1, shape.ratio) / 2 + 1e-9


@pytest.mark.parametrize("format", ENCODED)
def test_files_open_with_their_pixels(format: str) -> None:
    image = opened(encode(scene(), format, quality=90))
    assert image.format == format.upper()
    assert image.mode == "RGB"
    off = np.asarray(image).astype(int) - scene()
    assert np.abs(off).mean() < (1e-9 if format == "png" else 2)


@pytest.mark.parametrize("format", ENCODED)
def test_no_metadata_of_the_uploaded_file_survives(format: str) -> None:
    upload = good_photos()["where it was taken.jpg"]
    assert b"SecretCamera" in upload
    photo = decode(upload)
    data = encode(cut(photo, (0, 0, photo.width_px, photo.height_px), (100, 133)), format)
    assert b"SecretCamera" not in data
    image = opened(data)
    assert not image.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & set(image.info)


@pytest.mark.parametrize("format", ["webp", "png", "avif"])
def test_circles_have_transparent_corners(format: str) -> None:
    image = opened(encode(scene(101, 101), format, circle=True))
    alpha = np.asarray(image.getchannel("A"))
    assert alpha[0, 0] == alpha[0, -1] == alpha[-1, 0] == alpha[-1, -1] == 0
    assert min(alpha[50, 50], alpha[50, 2], alpha[2, 50]) >= 253  # AVIF's alpha is lossy


def test_circles_in_jpeg_have_a_background() -> None:
    data = encode(scene(96, 96), "jpeg", quality=95, circle=True, background=(10, 200, 30))
    pixels = np.asarray(opened(data)).astype(int)
    assert np.abs(pixels[1, 1] - (10, 200, 30)).max() < 12
    assert np.abs(pixels[40, 20] - scene(96, 96)[40, 20]).max() < 12


def test_circle_mask_covers_a_disc_with_a_soft_edge() -> None:
    mask = circle_mask(200, 200)
    np.testing.assert_array_equal(mask, mask.T)
    np.testing.assert_array_equal(mask, mask[::-1])
    assert mask.sum() / 255 == pytest.approx(np.pi * 100**2, rel=1e-3)
    assert len(np.unique(mask)) > 30


def test_smallest_crops_can_be_encoded() -> None:
    for format in ENCODED:
        image = opened(encode(np.full((1, 1, 3), 9, np.uint8), format, circle=True))
        assert image.size == (1, 1)


@pytest.mark.parametrize("error", [OSError, ValueError, MemoryError])
def test_an_encoder_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error("too much")

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(EncodeError, match="encoder_failed: png: too much"):
        encode(np.zeros((4, 4, 3), np.uint8), "png")


@pytest.mark.parametrize("format", ENCODED)
@pytest.mark.parametrize("jpegli", [False, True])
def test_the_file_has_the_profile_of_its_pixels(format: str, jpegli: bool) -> None:
    given = rgb_profile("p3", SRGB_CURVE)
    for profile in (given, None):
        data = encode(scene(16, 16), format, profile=profile, jpegli=jpegli)
        assert Image.open(io.BytesIO(data)).info.get("icc_profile") == profile


def test_wrong_options_are_refused() -> None:
    with pytest.raises(UsageError, match="one of webp"):
        encode(scene(), "tiff")
    with pytest.raises(UsageError, match="quality"):
        encode(scene(), "webp", quality=0)
    with pytest.raises(UsageError, match="at least 1 pixel"):
        thumbnail_size(parse_shape("1:1"), (0, 0, 5, 5), 0)


def test_a_thumbnail_of_a_reduced_view_matches_that_of_the_full_photo() -> None:
    """Decoding JPEG at a reduced scale costs little quality if the thumbnail is smaller still."""
    rng = np.random.default_rng(4)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    upload = saved(coarse.resize((2000, 1500), Image.Resampling.BICUBIC), "JPEG", quality=92)
    box = (200, 100, 1800, 1300)
    small = cut(decode(upload, view_side=500), box, (200, 150)).astype(int)
    large = cut(decode(upload, view_side=4000), box, (200, 150)).astype(int)
    assert np.sqrt(np.mean((small - large) ** 2)) < 2.5  # above 40 dB
