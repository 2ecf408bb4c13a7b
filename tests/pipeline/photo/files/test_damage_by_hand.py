"""Damaged pictures and long animations, counted by hand on bytes of a few rows."""

import struct
import warnings
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.animations import animation
from pipeline.photo.animations.animation import decode_frames
from pipeline.photo.borders import _thickness
from pipeline.photo.decode_errors import as_decode_errors
from pipeline.photo.files.damaged import _recover_gif, _recover_jpeg
from pipeline.photo.files.damaged_png import _rows_before
from pipeline.photo.files.png_shape import PngShape
from pipeline.photo.files.repaired_png import with_byte_corrected
from pipeline.photo.limits import DecodeLimits
from tests.support.odd_photos import saved, scene

GREY_ROW = b"\xc8" * 10  # ten pixels that could be no filter


def test_rows_before_damage_begin_where_the_sound_ones_end() -> None:
    """Rows of 11 bytes. 5 sound bytes: the next row begins 6 later, and the tenth is impossible."""
    shape = PngShape(10, 40, 8, interlaced=False)
    rows = b"".join(bytes([row % 5]) + GREY_ROW for row in range(9)) + b"\x63" + GREY_ROW
    # 9 of the 105 bytes before that row could be filters: three rows may have passed unseen
    # (.0857 ** 3 is below .001); 5 + 105 bytes are ten rows.
    assert _rows_before(GREY_ROW[:6] + rows, 5, True, shape) == 10 - 3


def test_an_interlaced_row_is_there_once_its_last_pass_is() -> None:
    """One row of 8 pixels: passes of 1, 1, 2 and 4 pixels, each with its filter."""
    shape = PngShape(8, 1, 8, interlaced=True)
    assert shape.passes() == [(2, 1), (2, 1), (3, 1), (5, 1)]
    assert [shape.complete_rows(size) for size in (0, 7, 11, 12)] == [0, 0, 0, 1]


def test_only_a_byte_of_the_block_itself_is_put_right() -> None:
    body = bytes(range(20))
    right = zlib.crc32(b"IDAT" + body).to_bytes(4, "big")
    for at in (0, 9, 19):
        wrong = body[:at] + bytes([body[at] ^ 0x41]) + body[at + 1 :]
        assert (
            with_byte_corrected(b"IDAT" + wrong + right, b"IDAT", 4, 24) == b"IDAT" + body + right
        )
    # The sum of a block of another name: only a byte of that name would make it right.
    assert with_byte_corrected(b"IDAU" + body + right, b"IDAU", 4, 24) is None


def test_a_cut_gif_beyond_the_limits_is_not_looked_at() -> None:
    data = saved(Image.fromarray(scene(40, 30)).quantize(8), "GIF")
    whole = data[: len(data) * 2 // 3]
    limits = DecodeLimits(max_pixels=40 * 30)
    assert _recover_gif(whole, limits) is not None
    assert _recover_gif(whole, replace(limits, max_pixels=40 * 30 - 1)) is None


def test_a_jpeg_whose_frame_ends_before_its_components() -> None:
    """Their number is the tenth byte of a frame's segment, its marker included; here are nine."""
    frame = b"\xff\xc0" + struct.pack(">H", 7) + bytes(5)
    assert _recover_jpeg(b"\xff\xd8" + frame) is None


def test_a_cut_jpeg_of_the_extended_kind_has_a_rest() -> None:
    """Marker 0xC1 (T.81, table B.1): baseline data may be called so."""
    data = saved(scene(64, 48), "JPEG", quality=80)
    cut = data.replace(b"\xff\xc0", b"\xff\xc1")[: len(data) - 60]
    assert cut.count(b"\xff\xc1") == 1
    assert _recover_jpeg(cut) is not None


def test_an_edge_may_be_exactly_as_straight_as_asked() -> None:
    strays, levels = np.array([0.0, 0.0, 0.0, 0.4, 0.4]), np.array([0.0, 0.0, 0.0, 20.0, 20.0])
    assert [_thickness(strays, levels, least) for least in (0.4, 0.41)] == [3, None]


def test_warnings_that_cost_no_picture_are_not_its_end() -> None:
    with as_decode_errors(b"", "png"):
        warnings.warn("Invalid APNG, will use default PNG image if possible", stacklevel=1)
    with pytest.raises(DecodeError, match="odd"), as_decode_errors(b"", "png"):
        warnings.warn("odd", UserWarning, stacklevel=1)


def test_frames_of_a_long_moving_picture_share_the_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """400 × 20, four frames, 4,000 pixels for all: each has 1,000: 141.4 × 7.07, rounded up."""
    frames = [Image.fromarray(scene(400, 20)).rotate(180 * turn) for turn in range(4)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    monkeypatch.setattr(animation, "MOST_VIEW_PIXELS", 4_000)
    monkeypatch.setattr(animation, "_side_within", lambda size, count: 400)
    assert decode_frames(data, DecodeLimits(), 400).views.shape[1:3] == (8, 142)
