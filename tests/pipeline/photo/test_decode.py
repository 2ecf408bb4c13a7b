"""Decoding in this process: the status of every odd photo, and pixels with the right colours.

Expected pixels come from the scene that was drawn, never from the decoder.
"""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from pipeline.errors import DecodeError
from pipeline.photo import opening as module
from pipeline.photo.decode import Photo, decode
from pipeline.photo.limits import DecodeLimits
from tests.support.odd_photos import (
    exif,
    good_photos,
    linear_profile,
    odd_photos,
    png_16_bit,
    png_chunk,
    raw_png,
    saved,
    scene,
    turned,
)

PHOTOS = odd_photos()
SCENE = scene()


def assert_close(pixels: np.ndarray, expected: np.ndarray, mean: float) -> None:
    assert pixels.shape == expected.shape
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected.astype(int)).mean() <= mean


@pytest.mark.parametrize("name", PHOTOS)
def test_every_odd_photo_has_its_status(name: str) -> None:
    data, expected = PHOTOS[name]
    if expected == "ok":
        photo = decode(data)
        assert photo.pixels.ndim == 3
        return
    with pytest.raises(DecodeError) as caught:
        decode(data)
    assert caught.value.status == expected
    assert caught.value.message


# All of these decode to the same scene; the number is the largest mean difference, in levels.
SAME_SCENE = {
    "good.jpg": 1, "good.png": 0, "good.webp": 0, "good.gif": 3, "good.avif": 1,
    "progressive.jpg": 2, "palette.png": 3, "16 bit.png": 0, "cmyk adobe.jpg": 2,
    "cmyk plain.jpg": 2, "profile broken.jpg": 2, "profile of another kind.jpg": 3,
    "animated.gif": 3, "broken exif.jpg": 2, "a jpeg.png": 2, "no ending": 2,
    "rotated by nonsense.jpg": 2, "rotated 6.png": 0, "rotated 6.webp": 2, "rotated 6.avif": 2,
} | {f"rotated {orientation}.jpg": 1.5 for orientation in range(1, 9)}  # fmt: skip


@pytest.mark.parametrize("name", SAME_SCENE)
def test_one_scene_from_many_encodings(name: str) -> None:
    photo = decode(PHOTOS[name][0])
    assert (photo.width_px, photo.height_px) == (320, 240)
    assert photo.scale_xy == (1.0, 1.0)
    assert_close(photo.pixels, SCENE, SAME_SCENE[name])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_and_noted(orientation: int) -> None:
    data = saved(turned(SCENE, orientation), "PNG", exif=exif(orientation))
    photo = decode(data)
    np.testing.assert_array_equal(photo.pixels, SCENE)
    assert photo.orientation == orientation


def test_heic() -> None:
    photo = decode(PHOTOS["phone.heic"][0])
    assert photo.format == "heic"
    assert_close(photo.pixels, SCENE, 2)


def test_heic_is_turned_once() -> None:
    stored = Image.fromarray(np.ascontiguousarray(turned(SCENE, 6)))
    stream = io.BytesIO()
    pillow_heif.from_pillow(stored).save(stream, quality=90, exif=exif(6))
    photo = decode(stream.getvalue())
    assert (photo.width_px, photo.height_px) == (320, 240)
    assert photo.orientation == 6
    assert_close(photo.pixels, SCENE, 2)


def test_heic_without_the_extra_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HeifImageFile", None)
    with pytest.raises(DecodeError, match="pillow-heif") as caught:
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    assert caught.value.status == "extra_missing"


def test_formats_are_named_by_content() -> None:
    assert decode(PHOTOS["a jpeg.png"][0]).format == "jpeg"
    assert decode(PHOTOS["no ending"][0]).format == "webp"
    assert decode(PHOTOS["two pictures.jpg"][0]).format == "jpeg"


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp", "animated.png"])
def test_first_frame_of_animations(name: str) -> None:
    expected = SCENE if name.endswith("gif") else scene(64, 48)
    assert_close(decode(PHOTOS[name][0]).pixels, expected, 5)


def test_alpha_is_blended_with_white() -> None:
    alpha = np.zeros((4, 4, 4), dtype=np.uint8)
    alpha[..., 0], alpha[..., 3] = 200, [[0, 51, 102, 255]] * 4
    pixels = decode(saved(alpha, "PNG")).pixels
    # value · a + 255 · (1 − a) with a = 0, .2, .4, 1
    np.testing.assert_array_equal(pixels[0, :, 0], [255, 244, 233, 200])
    np.testing.assert_array_equal(pixels[0, :, 1], [255, 204, 153, 0])
    grey = Image.fromarray(alpha, "RGBA").convert("LA")
    assert decode(saved(grey, "PNG")).pixels[0, 0].tolist() == [255, 255, 255]


def test_transparent_palette_and_colour_key() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    pixels = decode(saved(palette, "PNG", transparency=0)).pixels
    assert pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]
    pixels = decode(saved(palette, "GIF", transparency=0)).pixels
    assert pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]
    two = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    assert decode(saved(two, "PNG", transparency=(1, 2, 3))).pixels.tolist() == [
        [[255, 255, 255], [4, 5, 6]]
    ]


def test_sixteen_bits_keep_their_high_byte() -> None:
    values = np.array([[0, 257, 300, 0x8000, 65_535]], dtype=np.uint16)
    pixels = decode(png_16_bit(values)).pixels
    assert pixels[0, :, 0].tolist() == [0, 1, 1, 128, 255]
    assert pixels[0, :, 2].tolist() == [0, 1, 1, 128, 255]


def test_sixteen_bit_colour_key_is_transparent() -> None:
    rows = b"\0" + np.array([1000, 2000], dtype=">u2").tobytes()
    data = raw_png(2, 1, 16, 0, rows, png_chunk(b"tRNS", b"\x03\xe8"))
    assert decode(data).pixels[0, :, 0].tolist() == [255, 8]


def srgb_from_linear(value: float) -> float:
    """IEC 61966-2-1: the definition of sRGB's transfer curve, 0 to 255."""
    light = value / 255
    curve = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return 255 * curve


@pytest.mark.parametrize("space", [b"RGB ", b"GRAY"])
def test_embedded_profiles_are_applied(space: bytes) -> None:
    values = np.arange(0, 256, 15, dtype=np.uint8)[None, :]
    grey = values if space == b"GRAY" else np.repeat(values[..., None], 3, axis=2)
    pixels = decode(saved(grey, "PNG", icc_profile=linear_profile(space))).pixels
    expected = np.array([srgb_from_linear(value) for value in values[0]])
    np.testing.assert_allclose(pixels[0, :, 1], expected, atol=1.6)


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode(saved(SCENE, "PNG", icc_profile=profile)).pixels, SCENE)


def test_a_profile_called_srgb_that_is_not_is_applied() -> None:
    honest = linear_profile(b"RGB ").replace(b"linear light", b"sRGB or not!")
    swapped = honest.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
    red = np.full((2, 2, 3), (255, 0, 0), dtype=np.uint8)
    pixels = decode(saved(red, "PNG", icc_profile=swapped)).pixels
    assert pixels[0, 0, 1] > 200 > 60 > pixels[0, 0, 0]


def test_profile_under_alpha() -> None:
    pixel = np.full((1, 1, 4), (55, 55, 55, 255), dtype=np.uint8)
    pixels = decode(saved(pixel, "PNG", icc_profile=linear_profile(b"RGB "))).pixels
    assert abs(int(pixels[0, 0, 0]) - srgb_from_linear(55)) <= 1.6


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_large_photos_are_reduced_by_whole_factors(format: str) -> None:
    data = saved(scene(2000, 1500), format, quality=95)
    photo = decode(data, view_side=500)
    assert photo.pixels.shape == (375, 500, 3)
    assert (photo.width_px, photo.height_px, photo.scale_xy) == (2000, 1500, (4.0, 4.0))
    block_mean = scene(2000, 1500).reshape(375, 4, 500, 4, 3).mean(axis=(1, 3))
    assert_close(photo.pixels, block_mean, 1.5)


@pytest.mark.parametrize("side", [1, 7, 475, 949, 950, 1024, 1899, 1901, 4000, 7601])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_view_is_never_much_smaller_than_asked(side: int, format: str) -> None:
    data = saved(np.zeros((side * 2 // 3 + 1, side, 3), dtype=np.uint8), format)
    photo = decode(data, view_side=1000)
    assert min(side, 950) <= photo.pixels.shape[1] < 1901
    assert photo.width_px == side
    assert photo.pixels.shape[0] >= 1


def test_reduced_photos_are_turned_upright_too() -> None:
    upright = scene(1600, 1200)
    data = saved(turned(upright, 6), "JPEG", quality=95, exif=exif(6))
    photo = decode(data, view_side=400)
    assert (photo.width_px, photo.height_px) == (1600, 1200)
    assert_close(photo.pixels, upright.reshape(300, 4, 400, 4, 3).mean(axis=(1, 3)), 1.5)


@pytest.mark.parametrize(
    ("limits", "name", "status"),
    [
        (DecodeLimits(max_bytes=100), "good.jpg", "too_large"),
        (DecodeLimits(max_pixels=320 * 240 - 1), "good.png", "too_many_pixels"),
        (DecodeLimits(max_jpeg_pixels=320 * 240 - 1), "good.jpg", "too_many_pixels"),
        (DecodeLimits(max_side=319), "good.webp", "too_many_pixels"),
    ],
)
def test_limits_are_arguments(limits: DecodeLimits, name: str, status: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(PHOTOS[name][0], limits)
    assert caught.value.status == status
    assert caught.value.kind == "circumstances"


def test_a_photo_that_just_meets_the_limits_is_decoded() -> None:
    limits = DecodeLimits(max_pixels=320 * 240, max_jpeg_pixels=1, max_side=320)
    assert isinstance(decode(PHOTOS["good.png"][0], limits), Photo)


def test_jpeg_has_its_own_limit_on_pixels() -> None:
    data = saved(Image.new("L", (8000, 7000)), "JPEG")
    assert decode(data).width_px == 8000
    with pytest.raises(DecodeError, match="more than 50000000 pixels"):
        decode(raw_png(8000, 7000, 1, 0, bytes(1001) * 7000))


@pytest.mark.parametrize("end", ["jpg", "png", "webp", "gif", "avif"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7, 0.9])
def test_cut_anywhere_is_truncated(end: str, share: float) -> None:
    data = PHOTOS[f"good.{end}"][0]
    with pytest.raises(DecodeError) as caught:
        decode(data[: int(len(data) * share)], DecodeLimits(least_complete=1))
    assert caught.value.status == "truncated"


def test_opacity_comes_with_the_view_and_is_turned_with_it() -> None:
    """A gradient of alpha from left to right; EXIF 6 stores the photo turned by 90 degrees."""
    upright = scene(64, 48)
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    data = saved(np.dstack([upright, alpha]), "PNG")
    photo = decode(data)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, alpha)
    stored = np.ascontiguousarray(np.rot90(np.dstack([upright, alpha]), 1))
    turned = decode(saved(stored, "PNG", exif=exif(6)))
    assert turned.alpha is not None
    np.testing.assert_array_equal(turned.alpha, alpha)
    shares = alpha[..., None].astype(float) / 255
    np.testing.assert_allclose(photo.pixels, upright * shares + 255 * (1 - shares), atol=1)


@pytest.mark.parametrize("name", ["alpha.png", "alpha.webp", "alpha.avif", "grey alpha.png",
                                  "palette transparent.png", "palette transparent.gif",
                                  "colour key.png"])  # fmt: skip
def test_every_way_of_being_transparent_gives_opacity(name: str) -> None:
    photo = decode(good_photos()[name])
    assert photo.alpha is not None
    assert photo.alpha.shape == photo.pixels.shape[:2]
    assert photo.alpha.min() < 255


def test_a_plane_of_full_opacity_is_none() -> None:
    opaque = np.dstack([scene(64, 48), np.full((48, 64), 255, np.uint8)])
    assert decode(saved(opaque, "PNG")).alpha is None
    assert decode(good_photos()["good.jpg"]).alpha is None
