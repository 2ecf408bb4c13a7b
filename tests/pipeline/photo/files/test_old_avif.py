"""AVIF from old encoders: missing parts are added, and nothing else changes."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

from pipeline.errors import DecodeError
from pipeline.photo.decode import decode
from pipeline.photo.files.old_avif import repaired_avif
from tests.support.odd_photos import heic_photo, saved, scene

ALPHA = np.dstack([scene(), np.tile(np.linspace(0, 255, 320).astype(np.uint8), (240, 1))])
CLEAR, PLAIN = saved(ALPHA, "AVIF", quality=90), saved(scene(), "AVIF", quality=90)


def without_size_of_opacity(data: bytes) -> bytes:
    """The second picture of a file owns its `pixi` twice and no `ispe`, as early encoders wrote."""
    at = data.index(b"ipma") + 12
    first = data[at + 2]
    second = at + 3 + first
    assert struct.unpack_from(">H", data, second)[0] == 2
    assert data[second + 3] & 0x7F == 1  # the size, which both pictures own
    return data[: second + 3] + data[second + 4 : second + 5] + data[second + 4 :]


def with_brands(data: bytes, brand: bytes) -> bytes:
    end = int.from_bytes(data[:4], "big")
    return data[:end].replace(b"avif", brand) + data[end:]


def test_opacity_without_a_size_is_read() -> None:
    old = without_size_of_opacity(CLEAR)
    with pytest.raises(SyntaxError):
        AvifImageFile(io.BytesIO(old))
    photo, wanted = decode(old), decode(CLEAR)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, wanted.alpha)
    np.testing.assert_array_equal(photo.pixels, wanted.pixels)


@pytest.mark.parametrize("brand", [b"mif1", b"miaf"])
def test_a_picture_of_av1_needs_no_brand_of_its_own(brand: bytes) -> None:
    photo = decode(with_brands(PLAIN, brand))
    assert photo.format == "avif"
    np.testing.assert_array_equal(photo.pixels, decode(PLAIN).pixels)


def test_a_picture_of_hevc_needs_none_either() -> None:
    data = heic_photo()
    end = int.from_bytes(data[:4], "big")
    photo = decode(data[:end].replace(b"heic", b"mif1") + data[end:])
    assert photo.format == "heic"
    np.testing.assert_array_equal(photo.pixels, decode(data).pixels)


def test_what_lacks_nothing_is_not_mended() -> None:
    for data in (PLAIN, CLEAR):
        assert repaired_avif(data) is None
    for size in range(0, 400, 9):
        repaired_avif(CLEAR[:size])  # no error
    with pytest.raises(DecodeError) as caught:
        decode(PLAIN.replace(b"ispe", b"free"))
    assert caught.value.status == "corrupt"
    with pytest.raises(DecodeError, match="a video or an unknown"):
        decode(with_brands(PLAIN, b"isom").replace(b"mif1miaf", b"isomisom"))
    assert Image.open(io.BytesIO(PLAIN)).size == (320, 240)
