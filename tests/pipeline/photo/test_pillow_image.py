"""Pillow images are read like the files that they come from."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.decode import decode
from pipeline.photo.pillow_image import photo_of_image
from tests.support.icc_profiles import SRGB_CURVE, rgb_profile
from tests.support.odd_photos import exif, saved, scene, turned

# Levels of 16 bits, and what they are in 8: a 257th.
DEEP = np.array([[0, 257, 25_700, 65_535]] * 3)
LEVELS = [0, 1, 100, 255]
TEXT = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize(
    ("mode", "kind"), [("I;16", np.uint16), ("I", np.int32), ("F", np.float32)]
)
def test_grey_of_more_bits_is_read_as_of_a_file(mode: str, kind: type) -> None:
    image = Image.fromarray(DEEP.astype(kind))
    assert image.mode == mode
    assert photo_of_image(image).pixels[0, :, 1].tolist() == LEVELS
    if mode == "I;16":
        assert decode(saved(DEEP.astype(kind), "PNG")).pixels[0, :, 1].tolist() == LEVELS


def test_an_image_without_pixels_is_empty() -> None:
    with pytest.raises(DecodeError, match="a Pillow image of 0 x 5 pixels") as refused:
        photo_of_image(Image.new("RGB", (0, 5)))
    assert refused.value.status == "empty"


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_up_to_255_are_grey_of_8_bits(mode: str) -> None:
    image = Image.fromarray(np.array([LEVELS] * 3, np.uint8)).convert(mode)
    assert photo_of_image(image).pixels[0, :, 1].tolist() == LEVELS


def test_grey_that_a_filter_overshoots_is_no_black_photo() -> None:
    """Resizing keeps fractions, also below 0 and above 255: of an edge, -21 to 276."""
    edges = np.repeat(np.array([[0, 255, 0, 255]], np.float32), 3, axis=0).repeat(9, axis=1)
    image = Image.fromarray(edges).resize((50, 3), Image.Resampling.LANCZOS)
    least, most = image.getextrema()
    assert (least < -9, most > 264) == (True, True)
    found = photo_of_image(image).pixels[..., 1].astype(int)
    assert abs(found - np.clip(np.asarray(image), 0, 255)).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_grey_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(DecodeError, match="not finite") as refused:
        photo_of_image(Image.fromarray(np.array([[0, value, 255]] * 3, np.float32)))
    assert refused.value.status == "corrupt"


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA"])
def test_opacity_is_kept_in_every_mode_that_has_it(mode: str) -> None:
    """White with a black half; the left column can be seen through, and shows white."""
    left, right = (255, 255, 255, 0), (0, 0, 0, 255)
    image = Image.new("RGBA", (2, 3), left)
    image.paste(right, (1, 0, 2, 3))
    way = {"RGBa": ["RGBa"], "LA": ["LA"], "La": ["LA", "La"], "PA": ["PA"]}
    for step in way.get(mode, []):
        image = image.convert(step)
    assert image.mode == mode
    photo = photo_of_image(image)
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[0, 255]] * 3
    assert photo.pixels[:, :, 0].tolist() == [[255, 0]] * 3


def test_a_palette_may_have_opacities() -> None:
    """As `quantize` makes it; a palette of a PNG has them as `transparency` instead."""
    image = Image.new("RGBA", (16, 12), (200, 30, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 12))
    quantized = image.quantize()
    assert (quantized.mode, quantized.palette.mode) == ("P", "RGBA")
    found, whole = (photo_of_image(one) for one in (quantized, image))
    assert np.array_equal(found.pixels, whole.pixels)
    assert found.alpha is not None
    assert np.array_equal(found.alpha, whole.alpha)
    assert found.pixels[6, 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_opened_file_is_what_its_bytes_are(format: str, orientation: int) -> None:
    data = saved(turned(scene(90, 60), orientation), format, exif=exif(orientation))
    opened = Image.open(BytesIO(data))
    photo, expected = photo_of_image(opened), decode(data)
    np.testing.assert_array_equal(photo.pixels, expected.pixels)
    for fact in ("width_px", "height_px", "format", "orientation", "kind", "content_px"):
        assert getattr(photo, fact) == getattr(expected, fact), fact
    assert opened.size == ((60, 90) if orientation >= 6 else (90, 60))  # it stays as it is


def test_a_photo_of_a_screens_size_is_no_screenshot_where_a_lens_took_it() -> None:
    """Flat above and below: of a lossless file, as an image of no file counts, a screen's."""
    pixels = np.full((2400, 1080, 3), 240, np.uint8)
    pixels[600:1900] = np.random.default_rng(0).integers(0, 255, (1300, 1080, 3))
    data = saved(pixels, "JPEG", quality=90)
    assert decode(data).by_screen is False
    assert photo_of_image(Image.open(BytesIO(data))).by_screen is False
    assert photo_of_image(Image.fromarray(pixels)).by_screen is True


def test_no_image_is_turned_by_its_xmp() -> None:
    data = saved(scene(90, 60), "JPEG", xmp=TEXT)
    opened = Image.open(BytesIO(data))
    assert decode(data).width_px == photo_of_image(opened).width_px == 90
    assert photo_of_image(opened.convert("L")).width_px == 90


def test_an_image_that_a_program_made_is_turned_by_what_it_says() -> None:
    image = Image.fromarray(scene(90, 60))
    assert photo_of_image(image).width_px == 90
    image.getexif()[0x0112] = 6
    assert photo_of_image(image).width_px == 60
    image.getexif()[0x0112] = 9
    assert photo_of_image(image).width_px == 90


def test_a_profile_is_applied() -> None:
    data = saved(np.full((8, 8, 3), (200, 120, 90), np.uint8), "PNG",
                 icc_profile=rgb_profile("p3", SRGB_CURVE))  # fmt: skip
    opened = photo_of_image(Image.open(BytesIO(data)))
    assert opened.pixels[0, 0].tolist() != [200, 120, 90]
    np.testing.assert_array_equal(opened.pixels, decode(data).pixels)


def test_a_large_image_is_reduced_and_needs_no_file() -> None:
    """5,000 x 5,000: 75 MB as a file that is not packed, more than a file may have."""
    photo = photo_of_image(Image.new("RGB", (5000, 5000), (9, 8, 7)))
    assert (photo.width_px, photo.height_px) == (5000, 5000)
    assert photo.pixels.shape == (1000, 1000, 3)  # a fifth
    assert photo.pixels[500, 500].tolist() == [9, 8, 7]


def test_what_can_not_be_loaded_or_is_too_large_is_told() -> None:
    data = saved(scene(90, 60), "PNG")
    with pytest.raises(DecodeError) as caught:
        photo_of_image(Image.open(BytesIO(data[: len(data) // 2])))
    assert caught.value.status == "corrupt"
    with pytest.raises(DecodeError) as caught:
        photo_of_image(Image.new("1", (65_536, 1)))
    assert caught.value.status == "too_many_pixels"
