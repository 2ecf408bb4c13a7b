"""One wrong byte in a PNG is repaired; in a worse block, the rows before the damage count."""

import zlib

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.photo.decode import decode
from pipeline.photo.files.damaged_png import _rows_before
from pipeline.photo.files.png_shape import PngShape
from pipeline.photo.files.repaired_png import with_byte_corrected
from tests.support.odd_photos import png_chunk, raw_png, saved, scene

NOISE = np.random.default_rng(3).integers(0, 16, (240, 320, 3))
ROUGH = (scene(320, 240) // 2 + NOISE).astype(np.uint8)


@pytest.mark.parametrize("at", [8, 9, 300, -5])
@pytest.mark.parametrize("away", [1, 0x55, 0x80, 0xFF])
def test_the_sum_of_a_block_tells_its_one_wrong_byte(at: int, away: int) -> None:
    chunk = png_chunk(b"IDAT", bytes(range(256)) * 2)
    bad = bytearray(chunk)
    bad[at] ^= away
    assert with_byte_corrected(bytes(bad), b"IDAT", 8, len(chunk) - 4) == chunk
    bad[20] ^= 1
    assert with_byte_corrected(bytes(bad), b"IDAT", 8, len(chunk) - 4) != chunk


def test_what_has_no_sum_or_is_too_large_is_left() -> None:
    chunk = png_chunk(b"IDAT", b"abc")
    assert with_byte_corrected(chunk[:-1], b"IDAT", 8, len(chunk) - 4) is None
    large = bytearray(png_chunk(b"IDAT", bytes((1 << 20) + 1)))
    large[-5] ^= 1
    assert with_byte_corrected(bytes(large), b"IDAT", 8, len(large) - 4) is None


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_a_png_with_one_wrong_byte_is_whole(share: float) -> None:
    data = bytearray(saved(ROUGH, "PNG"))
    start, end = data.index(b"IDAT") + 4, data.index(b"IEND") - 8
    data[start + int(share * (end - start))] ^= 0x10
    photo = decode(bytes(data))
    assert (photo.complete, photo.there_px) == (1.0, None)
    np.testing.assert_array_equal(photo.pixels, ROUGH)


def one_block(pixels: np.ndarray) -> tuple[bytearray, int, int]:
    """A PNG whose pixels are in one block; where that begins and ends."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    data = bytearray(raw_png(320, 240, 8, 2, rows))
    return data, data.index(b"IDAT") + 4, data.index(b"IEND") - 8


@pytest.mark.parametrize("share", [0.8, 0.9, 0.97])
@pytest.mark.parametrize("filling", [bytes(100), bytes(range(100, 200))])
def test_rows_before_a_part_that_was_overwritten_count(share: float, filling: bytes) -> None:
    data, start, end = one_block(ROUGH)
    at = start + int(share * (end - start))
    data[at : at + len(filling)] = filling
    photo = decode(bytes(data))
    assert share - 0.1 < photo.complete <= share + 0.01
    there = photo.content.pixels
    np.testing.assert_array_equal(there, ROUGH[: len(there)])


def test_early_damage_is_refused_with_its_share() -> None:
    data, start, end = one_block(ROUGH)
    at = start + (end - start) // 2
    data[at : at + 100] = bytes(100)
    with pytest.raises(DecodeError, match=r"4\d % of its rows are there"):
        decode(bytes(data))


def test_damage_that_shows_nowhere_may_lie_anywhere() -> None:
    """Rows of other values in the middle: all unpacks, and both sums are wrong."""
    rows = [b"\0" + row.tobytes() for row in ROUGH]
    packed = zlib.compress(b"".join(rows))
    rows[120] = rows[120][:-2] + b"??"
    other = zlib.compress(b"".join(rows))[:-4] + packed[-4:]
    chunk = png_chunk(b"IDAT", other)[:-4] + png_chunk(b"IDAT", packed)[-4:]
    png = saved(ROUGH, "PNG")
    with pytest.raises(DecodeError, match=" 0 % of its rows are there"):
        decode(png[:33] + chunk + png_chunk(b"IEND", b""))


SHAPE = PngShape(width=9, height=50, bits=8, interlaced=False)  # ten bytes a row


def test_rows_before_damage_by_hand() -> None:
    """Of the bytes .4 could be filters: of eight rows in a row fewer than one in 1,000."""
    row = bytes([0, 90, 90, 90, 90, 90, 90, 4, 4, 4])
    share = 0.4
    assert share**8 < 0.001 < share**7
    assert _rows_before(row * 20 + b"\5", 0, False, SHAPE) == 20 - 8
    assert _rows_before(row * 20 + b"\5", 100, False, SHAPE) == 30 - 8
    assert _rows_before(row[6:] + row * 20 + b"\5", 106, False, SHAPE) == 31 - 8
    assert _rows_before(row * 20 + b"\4" + row, 0, False, SHAPE) == 0  # nothing fails
    assert _rows_before(row * 20 + b"\4ab", 0, True, SHAPE) == 20 - 8
    assert _rows_before(row * 50, 0, True, SHAPE) == 0  # all is there: the sum of all fails
    laced = PngShape(9, 50, 8, True)
    assert _rows_before(row * 20 + b"\5", 0, False, laced) == 0
    assert _rows_before(bytes(200) + b"\5", 0, False, SHAPE) == 0  # any byte could be a filter
    assert _rows_before(b"\5", 0, False, SHAPE) == 0
