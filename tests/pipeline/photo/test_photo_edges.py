"""Small things of photos at their edges, each worked out by hand."""

import struct
import zlib

import numpy as np
import pytest

from pipeline.photo import wall
from pipeline.photo.damaged_png import _PngShape, _rows_before_failure
from pipeline.photo.decode import Photo
from pipeline.photo.strip import bare, png_chunks
from pipeline.photo.whole import draw_whole, place_whole
from pipeline.shapes import parse_shape
from tests.support.odd_photos import png_chunk

START = b"\x89PNG\r\n\x1a\n"
BACK = (10, 20, 30)


def grey_png(width: int, height: int, packed: bytes, *chunks: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [png_chunk(b"IHDR", head), *chunks, png_chunk(b"IDAT", packed), png_chunk(b"IEND", b"")]
    return START + b"".join(parts)


def test_rows_count_up_to_where_a_damaged_block_fails_to_unpack() -> None:
    """20 of 40 rows of 61 bytes in a stored block, then a block of a kind that there is none of.

    The failure is looked for in steps of 64 bytes: of the 1,220 bytes behind 7 of headers 1,209 are
    seen before the step of byte 1,227. They are 19 rows; 20 of them could be filters, so that two
    rows may have passed unseen (.0165 ** 2 is below .001).
    """
    rows = b"".join(bytes([row % 5]) + b"\xc8" * 60 for row in range(20))
    size = struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF)
    packed = b"\x78\x01\x00" + size + rows + b"\x07" + bytes(9)
    data = grey_png(60, 40, packed)
    sum_at = data.index(b"IEND") - 8
    data = data[:sum_at] + bytes(4) + data[sum_at + 4 :]
    assert _rows_before_failure(data, _PngShape(60, 40, 8, interlaced=False)) == 19 - 2


@pytest.mark.parametrize(("name", "length"), [(b"cLLI", 8), (b"mDCV", 24)])
def test_how_bright_a_picture_is_goes_to_no_decoder(name: bytes, length: int) -> None:
    packed = zlib.compress(bytes(2))
    found = bare(grey_png(1, 1, packed, png_chunk(name, b"\1" * length)), "png")
    assert [chunk for chunk, _, _ in png_chunks(found.data)] == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize("on_its_side", [False, True])
def test_of_a_very_thin_photo_one_line_of_pixels_is_drawn(on_its_side: bool) -> None:
    """2 × 400 on a square of 400: 0.16 of the canvas's 32 pixels, from 15.92 to 16.08."""
    photo = Photo(np.full((400, 2, 3), 200, np.uint8), 2, 400, "png", 1)
    if on_its_side:
        photo = Photo(np.full((2, 400, 3), 200, np.uint8), 400, 2, "png", 1)
    placed = place_whole((0, 0, photo.width_px, photo.height_px), parse_shape("1:1"))
    drawn = draw_whole(photo, placed, (32, 32), "pad", BACK)
    if on_its_side:
        drawn = drawn.transpose(1, 0, 2)
    assert np.flatnonzero((drawn != BACK).any(axis=(0, 2))).tolist() == [16]
    assert (drawn[:, 16] == 200).all()


def test_where_there_is_no_linux_there_is_no_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall.sys, "platform", "darwin")
    assert wall.make_undumpable() is False
    assert wall.filter_problem() == "darwin has none"
