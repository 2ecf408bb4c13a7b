"""Transparency is kept in thumbnails, or blended with a colour; both by hand on small pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.photo.decode import decode
from pipeline.photo.encoding.opacity import cut_with_opacity, on_colour
from pipeline.photo.encoding.thumbnail import encode
from tests.support.odd_photos import saved, scene


def half_clear() -> np.ndarray:
    """Uint8 [40, 60, 4]: blue, left third clear, middle third half clear, right third opaque."""
    picture = np.zeros((40, 60, 4), np.uint8)
    picture[..., 2] = 200
    picture[:, 20:40, 3], picture[:, 40:, 3] = 128, 255
    return picture


def test_colours_and_opacity_come_back() -> None:
    photo = decode(saved(half_clear(), "PNG"))
    cut = cut_with_opacity(photo, (0, 0, 60, 40), (60, 40))
    assert cut.shape == (40, 60, 4)
    for x, opacity in ((5, 0), (30, 128), (55, 255)):
        assert cut[20, x, 3] == opacity
    np.testing.assert_allclose(cut[20, 30, :3], (0, 0, 200), atol=2)
    np.testing.assert_array_equal(cut[20, 55, :3], (0, 0, 200))


def test_an_opaque_part_has_no_plane() -> None:
    photo = decode(saved(half_clear(), "PNG"))
    assert cut_with_opacity(photo, (45, 0, 60, 40), (15, 40)).shape == (40, 15, 3)
    opaque = decode(saved(scene(60, 40), "PNG"))
    assert cut_with_opacity(opaque, (0, 0, 60, 40), (30, 20)).shape == (20, 30, 3)
    assert on_colour(opaque, (0, 0, 0)) is opaque


def test_on_another_colour() -> None:
    """Blue 200 at opacity 128/255 on red: .498 of 255 red, .502 of 200 blue."""
    photo = on_colour(decode(saved(half_clear(), "PNG")), (255, 0, 0))
    np.testing.assert_array_equal(photo.pixels[20, 5], (255, 0, 0))
    np.testing.assert_allclose(photo.pixels[20, 30], (127, 0, 100), atol=1)
    np.testing.assert_array_equal(photo.pixels[20, 55], (0, 0, 200))
    assert photo.alpha is None


def test_resampling_keeps_hidden_colours_out() -> None:
    """A clear red half beside an opaque blue one: where they meet there is no red."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, :32] = (255, 0, 0, 0)
    picture[:, 32:] = (0, 0, 255, 255)
    cut = cut_with_opacity(decode(saved(picture, "PNG")), (0, 0, 64, 64), (13, 13))
    shown = cut[..., 3] > 40
    assert shown.any()
    assert cut[..., 0][shown].max() <= 25


@pytest.mark.parametrize("format", ["webp", "png", "avif"])
def test_files_have_the_opacity_and_circles_both(format: str) -> None:
    pixels = cut_with_opacity(decode(saved(half_clear(), "PNG")), (10, 0, 50, 40), (40, 40))
    image = Image.open(io.BytesIO(encode(pixels, format, 90)))
    assert image.mode == "RGBA"
    assert image.getpixel((20, 20))[3] == pytest.approx(128, abs=2)  # type: ignore[index]
    circle = Image.open(io.BytesIO(encode(pixels, format, 90, circle=True)))
    assert circle.getpixel((0, 0))[3] <= 3  # type: ignore[index]
    assert circle.getpixel((20, 20))[3] == pytest.approx(128, abs=2)  # type: ignore[index]
    assert circle.getpixel((39, 0))[3] <= 3  # type: ignore[index]
