"""Edge cases of modes, opacities, colour keys, limits and messages of opened files."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo import tone_mapping
from pipeline.photo.colour import (
    ALPHA_BACKGROUND,
    MAX_PROFILE_BYTES,
    SRGB,
    WIDE,
    opacity,
    plain_mode,
    to_space,
    wide_space,
)
from pipeline.photo.decode import check_bytes, decode, render
from pipeline.photo.decode_errors import as_decode_errors
from pipeline.photo.encoding import libwebp
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.opening import _check_scans, check_size, opened_picture
from pipeline.photo.spaces import BT2020_XY, SRGB_XY, Space
from pipeline.photo.tone_mapping import _gain, tone_mapped
from tests.support.icc_profiles import SRGB_CURVE, gamma_curve, rgb_profile
from tests.support.odd_photos import png_chunk, raw_png, saved, scene

GREY = Image.fromarray(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8))


def keyed(image: Image.Image, key: object) -> Image.Image:
    image = image.copy()
    image.info["transparency"] = key
    return image


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (GREY, "L"), (GREY.convert("LA"), "LA"), (GREY.convert("RGB"), "RGB"),
        (GREY.convert("RGBA"), "RGBA"), (GREY.convert("CMYK"), "CMYK"), (GREY.convert("1"), "L"),
        (GREY.convert("P"), "RGB"), (GREY.convert("PA"), "RGBA"),
        (GREY.convert("RGBA").convert("RGBa"), "RGBA"),
        (GREY.convert("YCbCr"), "RGB"),
        (GREY.convert("F"), "L"), (GREY.convert("I"), "L"), (GREY.convert("I;16"), "L"),
        (keyed(GREY, 0), "LA"), (keyed(GREY.convert("1"), 0), "LA"),
        (keyed(GREY.convert("RGB"), (0, 0, 0)), "RGBA"), (keyed(GREY.convert("P"), 0), "RGBA"),
    ],
)  # fmt: skip
def test_every_mode_becomes_one_that_can_be_averaged(image: Image.Image, mode: str) -> None:
    assert plain_mode(image).mode == mode


def test_sixteen_bits_become_eight() -> None:
    """Divided by 257 and rounded: 128 is half a step, and so is 385."""
    values = np.array([[0, 128, 129, 257, 385, 386, 65_535, 70_000]], np.int32)
    image = Image.fromarray(values)
    assert np.asarray(plain_mode(image)).tolist() == [[0, 0, 1, 1, 1, 2, 255, 255]]
    image.info["transparency"] = 257
    found = plain_mode(image)
    assert found.mode == "LA"
    assert np.asarray(found)[0, :, 1].tolist() == [255, 255, 255, 0, 255, 255, 255, 255]


def test_opacity_is_told_where_something_is_clear() -> None:
    image = GREY.convert("RGBA")
    assert opacity(image) is None
    image.putpixel((3, 3), (0, 0, 0, 254))
    found = opacity(image)
    assert found is not None
    assert (found.mode, found.getpixel((3, 3)), found.getpixel((0, 0))) == ("L", 254, 255)
    assert opacity(GREY) is None
    assert opacity(image.convert("LA")) is not None


def test_clear_parts_lie_on_white() -> None:
    assert ALPHA_BACKGROUND == (255, 255, 255)
    image = Image.new("RGBA", (1, 1), (0, 100, 200, 128))
    found = np.asarray(to_space(image, None))[0, 0]
    np.testing.assert_allclose(found, [127, 177, 227], atol=1)  # 128 / 255 of it, the rest white
    grey = to_space(Image.new("LA", (1, 1), (100, 0)), None)
    assert (grey.mode, grey.getpixel((0, 0))) == ("RGB", (255, 255, 255))


@pytest.mark.parametrize(
    ("mode", "meaning", "space"),
    [
        ("RGB", None, None),
        ("RGB", SRGB, None),
        ("RGB", WIDE["p3"], "p3"),
        ("RGBA", WIDE["p3"], "p3"),
        ("L", WIDE["p3"], None),
        ("RGB", WIDE["adobe"], "adobe"),
        ("RGB", WIDE["bt2020"], "bt2020"),
        ("RGB", Space(BT2020_XY, "pq"), "p3"),  # mapped to what screens can show
        ("RGB", rgb_profile("p3", SRGB_CURVE), "p3"),
        ("CMYK", rgb_profile("p3", SRGB_CURVE), None),
        ("RGB", Space((0.3127, 0.329, 0.75, 0.29, 0.1, 0.85, 0.12, 0.03), 2.2), "bt2020"),
        ("RGB", Space((0.3127, 0.329, 0.645, 0.33, 0.3, 0.605, 0.15, 0.06), 2.2), None),
    ],
)
def test_the_smallest_space_that_holds_the_colours(
    mode: str, meaning: bytes | Space | None, space: str | None
) -> None:
    assert wide_space(mode, meaning) == space


def test_profiles_up_to_four_megabytes_are_applied() -> None:
    assert MAX_PROFILE_BYTES == 4 * 1024**2
    linear = rgb_profile("srgb", gamma_curve(1.0))
    image = Image.new("RGB", (1, 1), (64, 64, 64))
    large = linear + bytes(MAX_PROFILE_BYTES - len(linear))
    assert to_space(image, large).getpixel((0, 0)) == to_space(image, linear).getpixel((0, 0))
    assert to_space(image, linear).getpixel((0, 0)) != (64, 64, 64)
    assert to_space(image, large + b"\0").getpixel((0, 0)) == (64, 64, 64)


def test_gains_of_bright_light() -> None:
    """Half up to the reference white; from there the curve's x and y are those of its points."""
    peak = 1000 / 203
    values = np.array([0.0, 0.5, 1.0, peak, 2 * peak], np.float32)
    gains = _gain(values, 1000.0)
    np.testing.assert_allclose(gains[:3], 0.5, atol=1e-6)
    np.testing.assert_allclose(gains[3:], [1 / peak, 0.5 / peak], rtol=1e-5)
    # The middle of the curve, t = 1/2: a quarter of knee and peak and half of the middle point.
    middle_x, middle_y = 0.35 + 0.65 / 0.5, 0.35 * 0.5 + 0.65
    x, y = (1 + 2 * middle_x + peak) / 4, (0.5 + 2 * middle_y + 1) / 4
    np.testing.assert_allclose(_gain(np.array([x], np.float32), 1000.0), [y / x], rtol=1e-4)
    np.testing.assert_array_equal(_gain(values, 203 * 1.019), np.ones(5))
    assert _gain(np.array([1.0], np.float32), 203 * 1.021)[0] < 1
    np.testing.assert_allclose(_gain(values[:1], 4000.0), [0.5])  # no more than the usual peak


def test_colours_keep_their_hue_when_they_are_mapped() -> None:
    """Linear light of BT.2020, red twice as bright as green: so it is behind the gain as well."""
    image = Image.fromarray(np.array([[[140, 120, 100]]] * 200, np.uint8))
    same = Space(BT2020_XY, "pq")
    found = np.asarray(tone_mapped(image, same, BT2020_XY)).astype(float)
    assert found.shape == (200, 1, 3)
    assert (found == found[0]).all()  # rows are mapped 128 at once
    light = np.where(found <= 10.31, found / 255 / 12.92, ((found / 255 + 0.055) / 1.055) ** 2.4)
    stored = tone_mapping._light_of("pq")[[140, 120, 100]]
    np.testing.assert_allclose(light[0, 0] / light[0, 0, 0], stored / stored[0], rtol=0.02)


def test_hlg_is_bent_by_its_luminance_in_bt2020_whatever_its_primaries() -> None:
    """BT.2100-2, table 5: the luminance of red of BT.709 is .2126, in BT.2020 as well."""
    image = Image.new("RGB", (1, 1), (128, 0, 0))
    found = np.asarray(tone_mapped(image, Space(SRGB_XY, "hlg"), SRGB_XY))[0, 0]
    light = (0.5 * 256 / 255) ** 2 / 3
    screen = light * (0.2126 * light) ** 0.2 * 1000 / 203 * 0.5  # a page is half as bright
    expected = 255 * (1.055 * screen ** (1 / 2.4) - 0.055)
    assert found[0] == pytest.approx(expected, abs=1.5)
    assert found[1:].max() <= 2


def test_hlg_of_a_colour_is_bent_by_its_luminance() -> None:
    """BT.2100: scene light to the power of 1.2 by its luminance; green of 191 alone, .2643."""
    image = Image.fromarray(np.array([[[0, 191, 0]]], np.uint8))
    found = np.asarray(tone_mapped(image, Space(BT2020_XY, "hlg"), BT2020_XY)).astype(float)
    green = 0.2643 * (0.6780 * 0.2643) ** 0.2 * 1000 / 203  # .9227 of the reference white
    expected = 255 * (1.055 * (green / 2) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(found[0, 0], [0, expected, 0], atol=1)


@pytest.mark.parametrize(("size", "name", "refused"), [
    ((10, 5), "png", False), ((11, 5), "png", True), ((10, 10), "jpeg", False),
    ((10, 11), "jpeg", True), ((12, 1), "png", False), ((13, 1), "png", True),
    ((1, 13), "jpeg", True),
])  # fmt: skip
def test_sizes_up_to_the_limits(size: tuple[int, int], name: str, refused: bool) -> None:
    limits = DecodeLimits(max_pixels=50, max_jpeg_pixels=100, max_side=12)
    if not refused:
        check_size(size, name, limits)
        return
    with pytest.raises(DecodeError) as caught:
        check_size(size, name, limits)
    assert caught.value.status == "too_many_pixels"


def test_scans_up_to_the_limits() -> None:
    limits = DecodeLimits(max_progressive_pixels=100, max_scan_pixels=300)
    _check_scans((10, 10), 3, limits)
    with pytest.raises(DecodeError, match="in 4 scans: more than 300") as caught:
        _check_scans((10, 10), 4, limits)
    assert caught.value.status == "too_many_scans"
    with pytest.raises(DecodeError, match="progressive: more than 100") as caught:
        _check_scans((10, 11), 1, limits)
    assert caught.value.status == "too_many_pixels"


@pytest.mark.parametrize(
    ("depth", "key", "scaled"), [(2, 2, 170), (4, 5, 85), (4, 0x15, 85), (8, 5, 5)]
)
def test_keys_of_few_bits_are_scaled_as_their_pixels(depth: int, key: int, scaled: int) -> None:
    chunk = png_chunk(b"tRNS", struct.pack(">H", key))
    opened = opened_picture(raw_png(8, 1, depth, 0, bytes(9), chunk), "png", DecodeLimits())
    assert opened.image.info["transparency"] == scaled


def test_keys_of_sixteen_bits_keep_the_low_ones() -> None:
    key = struct.pack(">HHH", 0x1234, 0x00FF, 0xFF00)
    chunk = png_chunk(b"tRNS", key)
    others = [key[:n] + bytes([key[n] ^ 1]) + key[n + 1 :] for n in range(6)]
    photo = decode(raw_png(7, 1, 16, 2, b"\0" + key + b"".join(others), chunk))
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[0] + [255] * 6]


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (OSError("no  \n good"), "corrupt", "gif: it is damaged (no good)"),
        (ValueError(), "corrupt", "gif: it is damaged (ValueError)"),
        (OSError("x" * 300), "corrupt", "gif: it is damaged (" + "x" * 200 + ")"),
        (MemoryError(), "too_much_memory", "decoding this gif needs too much"),
        (DecodeError("too_large", "as it was"), "too_large", "as it was"),
        (UserWarning("odd"), "corrupt", "gif: it is damaged (odd)"),
        (ZeroDivisionError("x"), "corrupt", "gif: it is damaged (x)"),
    ],
)
def test_whatever_a_library_raises_is_told_in_one_line(
    error: Exception, status: str, told: str
) -> None:
    with pytest.raises(DecodeError) as caught, as_decode_errors(b"GIF89a;", "gif"):
        raise error
    assert (caught.value.status, caught.value.message) == (status, told)
    with pytest.raises(DecodeError) as caught, as_decode_errors(b"GIF89a", "gif"):
        raise OSError("cut")
    assert caught.value.status == "truncated"


def test_bytes_up_to_the_limit() -> None:
    check_bytes(b"123", DecodeLimits(max_bytes=3))
    for data, status in ((b"1234", "too_large"), (b"", "empty")):
        with pytest.raises(DecodeError) as caught:
            check_bytes(data, DecodeLimits(max_bytes=3))
        assert caught.value.status == status


def test_a_decoded_photo_has_all_planes() -> None:
    rgba = Image.fromarray(scene(8, 6)).convert("RGBA")
    rgba.putpixel((0, 0), (0, 0, 0, 0))
    stream = io.BytesIO()
    rgba.save(stream, "PNG", icc_profile=rgb_profile("p3", SRGB_CURVE))
    photo = decode(stream.getvalue(), colour="keep")
    assert photo.wide is not None
    assert photo.alpha is not None
    assert (photo.wide_space, photo.wide.shape, photo.alpha.shape) == ("p3", (6, 8, 3), (6, 8))
    assert photo.in_own_colours.profile is not None
    assert photo.profile is None
    assert decode(stream.getvalue()).wide is None
    assert decode(saved(scene(8, 6), "PNG"), colour="keep").wide is None
    assert render(stream.getvalue(), DecodeLimits(), 1024).planes.wide_space is None


def test_an_encoder_keeps_few_outlines() -> None:
    encoder = libwebp.WebpEncoder()
    assert (libwebp.MOST_OUTLINES, libwebp.LARGEST_OUTLINE) == (64, 1024**2)
    pixels = np.dstack([scene(16, 16), np.zeros((16, 16), np.uint8)])
    files = []
    for turn in range(70):
        pixels[0, 0, 3] = turn
        pixels[1, 1, 3] = 255 - turn
        files.append(encoder.encode(pixels, 75, 2))
    assert len(encoder._outlines) == 64
    again = encoder.encode(pixels, 75, 2)
    assert again == files[-1]
    assert encoder.encode(pixels, 75, 4)[:4] == b"RIFF"
    assert len(encoder._outlines) == 64


def test_light_on_a_white_page_is_white() -> None:
    page = Image.new("RGB", (1, 1), (255, 255, 255))
    assert tone_mapped(page, Space(SRGB_XY, "pq"), SRGB_XY).getpixel((0, 0)) == (255, 255, 255)
