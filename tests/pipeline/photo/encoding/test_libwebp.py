"""Calling libwebp directly gives Pillow's bytes; Pillow is used if libwebp is missing."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import EncodeError
from pipeline.photo.encoding import libwebp, thumbnail
from pipeline.photo.encoding.libwebp import MOST_OUTLINES, WebpEncoder, chunk
from tests.support.odd_photos import scene


def by_pillow(pixels: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "webp", quality=quality, method=2)
    return stream.getvalue()


def with_opacity(width: int, height: int, opacity: np.ndarray) -> np.ndarray:
    return np.dstack([scene(width, height), opacity.astype(np.uint8)])


@pytest.fixture
def encoder() -> WebpEncoder:
    found = libwebp.encoder()
    assert found is not None, "the library that Pillow has loaded can be reached"
    return found


@pytest.mark.parametrize("size", [(160, 120), (37, 53), (1, 1), (2, 500)])
@pytest.mark.parametrize("quality", [1, 80, 100])
def test_opaque_pixels_have_pillows_bytes(
    encoder: WebpEncoder, size: tuple[int, int], quality: int
) -> None:
    pixels = scene(*size)
    assert encoder.encode(pixels, quality, 2) == by_pillow(pixels, quality)
    noise = np.random.default_rng(1).integers(0, 256, pixels.shape, dtype=np.uint8)
    assert encoder.encode(noise, quality, 2) == by_pillow(noise, quality)


@pytest.mark.parametrize("size", [(128, 128), (41, 60)])
def test_pixels_with_opacity_have_pillows_bytes_at_first_and_later(
    encoder: WebpEncoder, size: tuple[int, int]
) -> None:
    circle = thumbnail.circle_mask(*size)
    some = np.random.default_rng(2).integers(0, 256, circle.shape)
    for opacity in (circle, some, np.zeros_like(circle), np.full_like(circle, 255)):
        for colours in (scene(*size), scene(*size)[::-1]):
            pixels = np.dstack([colours, opacity.astype(np.uint8)])
            expected = by_pillow(pixels, 80)
            assert encoder.encode(pixels, 80, 2) == expected
            assert encoder.encode(pixels, 80, 2) == expected


@pytest.mark.parametrize("method", [1, 2])
def test_pixels_beside_their_opacity_have_pillows_bytes_where_no_edge_cuts_four(
    encoder: WebpEncoder, method: int
) -> None:
    """Only where four pixels share a colour and not an opacity is it another mean."""
    parts = np.random.default_rng(3).integers(0, 2, (20, 30)) * 255
    opacity = np.kron(parts, np.ones((2, 2))).astype(np.uint8)  # [40, 60]
    pixels = scene(60, 40)
    stream = io.BytesIO()
    both = Image.fromarray(np.dstack([pixels, opacity]))
    both.save(stream, "webp", quality=80, method=method)
    for _ in range(2):
        assert encoder.encode_masked(pixels, opacity, 80, method) == stream.getvalue()
    flipped = np.asfortranarray(pixels)
    turned = np.asfortranarray(opacity)
    assert encoder.encode_masked(flipped, turned, 80, method) == stream.getvalue()


def test_a_circle_beside_its_opacity_looks_the_same(encoder: WebpEncoder) -> None:
    pixels, mask = scene(128, 128), thumbnail.circle_mask(128, 128)
    files = encoder.encode_masked(pixels, mask, 80, 2), by_pillow(np.dstack([pixels, mask]), 80)
    ours, theirs = (np.asarray(Image.open(io.BytesIO(file))).astype(int) for file in files)
    assert np.array_equal(ours[..., 3], mask)
    assert np.abs(ours - theirs)[mask > 0].mean() < 1
    assert mask[0, 0] == 0, "the array is libwebp's to read alone"


def test_pillow_encodes_a_round_crop_where_the_library_is_of_no_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels, stream = scene(64, 48), io.BytesIO()
    both = Image.fromarray(np.dstack([pixels, thumbnail.circle_mask(64, 48)]))
    both.save(stream, "webp", quality=61, method=1)
    monkeypatch.setattr(libwebp, "encoder", lambda: None)
    assert thumbnail.encode_circle(pixels, 61) == stream.getvalue()


def test_views_of_other_arrays_are_encoded_as_they_look(encoder: WebpEncoder) -> None:
    pixels = scene(90, 60)[5:55:2, ::-1]
    assert encoder.encode(pixels, 80, 2) == by_pillow(np.ascontiguousarray(pixels), 80)


def test_an_outline_is_kept_for_its_size_alone(encoder: WebpEncoder) -> None:
    """Same bytes in another shape: 20 × 30 and 30 × 20 are not one outline."""
    opacity = np.arange(600) % 256
    for width, height in ((20, 30), (30, 20)):
        pixels = with_opacity(width, height, opacity.reshape(height, width))
        assert encoder.encode(pixels, 80, 2) == by_pillow(pixels, 80)


def test_few_outlines_are_kept(encoder: WebpEncoder) -> None:
    for number in range(MOST_OUTLINES + 5):
        opacity = np.full((8, 8), 3)
        opacity[0, 0] = number
        encoder.encode(with_opacity(8, 8, opacity), 80, 2)
    assert len(encoder._outlines) == MOST_OUTLINES


def test_threads_can_share_the_encoder(encoder: WebpEncoder) -> None:
    circle = thumbnail.circle_mask(96, 96)
    pictures = [np.dstack([np.roll(scene(96, 96), n, 0), circle]) for n in range(24)]
    expected = [by_pillow(pixels, 80) for pixels in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda p: encoder.encode(p, 80, 2), pictures)) == expected


def test_what_the_encoder_refuses_is_an_encode_error(encoder: WebpEncoder) -> None:
    with pytest.raises(EncodeError, match="error 5"):  # VP8_ENC_ERROR_BAD_DIMENSION
        encoder.encode(np.zeros((1, 16384, 3), np.uint8), 80, 2)


@pytest.fixture
def fresh() -> Iterator[None]:
    libwebp.encoder.cache_clear()
    yield
    libwebp.encoder.cache_clear()


@pytest.mark.parametrize("problem", ["no function", "other bytes", "other interface"])
def test_pillow_encodes_where_the_library_is_of_no_use(
    problem: str, monkeypatch: pytest.MonkeyPatch, fresh: None
) -> None:
    expected = thumbnail.encode(scene(), circle=True)
    libwebp.encoder.cache_clear()
    if problem == "no function":
        monkeypatch.setattr(libwebp.ctypes, "CDLL", lambda _: object())
    elif problem == "other bytes":
        monkeypatch.setattr(WebpEncoder, "encode", lambda *_: b"RIFF")
    else:
        monkeypatch.setattr(libwebp, "ABI_VERSION", 0x0310)
    assert libwebp.encoder() is None
    assert thumbnail.encode(scene(), circle=True) == expected


def test_chunks_are_found_behind_odd_ones() -> None:
    file = b"RIFF\0\0\0\0WEBP" + b"ICCP\x03\0\0\0abc\0" + b"VP8 \x02\0\0\0xy"
    assert chunk(file, b"VP8 ") == b"VP8 \x02\0\0\0xy"
    assert chunk(file, b"ICCP") == b"ICCP\x03\0\0\0abc\0"
    assert chunk(file, b"ALPH") is None
