"""Edge cases of damaged files and bars, counted by hand."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo import decode as decoding
from pipeline.photo.borders import _thickness, content_view
from pipeline.photo.decode import decode
from pipeline.photo.decoded import Photo, described
from pipeline.photo.files.damaged import (
    _fillings,
    _gif_body,
    _jpeg_scans,
    _used_end,
    decoded_box,
    ends_unwritten,
    equal_rows,
    repeat_last_row,
)
from pipeline.photo.files.damaged_png import pixels_are_sound, recover_png
from pipeline.photo.files.png_shape import PngShape
from pipeline.photo.files.segments import _next_marker
from pipeline.photo.limits import DecodeLimits
from tests.support.odd_photos import png_chunk, raw_png, saved, scene


@pytest.mark.parametrize(
    ("orientation", "part"),
    [(1, (0, 0, 100, 30)), (2, (0, 0, 100, 30)), (3, (0, 30, 100, 60)), (4, (0, 30, 100, 60)),
     (5, (0, 0, 50, 60)), (6, (50, 0, 100, 60)), (7, (50, 0, 100, 60)), (8, (0, 0, 50, 60))],
)  # fmt: skip
def test_which_half_is_there(orientation: int, part: tuple[int, int, int, int]) -> None:
    """Of a photo of 100 by 60, stored so or turned; 15 of its view's 30 rows are there."""
    assert decoded_box((100, 60), 30, 15, orientation) == part


def test_rows_that_are_alike_and_rows_that_are_not() -> None:
    one = Image.fromarray(scene(8, 6))
    other = one.copy()
    assert equal_rows(one, other) == 6
    other.putpixel((7, 4), (1, 2, 3))
    assert equal_rows(one, other) == 4
    clear = one.convert("RGBA")
    clear.putpixel((0, 2), (*clear.getpixel((0, 2))[:3], 0))  # type: ignore[index]
    assert equal_rows(one.convert("RGBA"), clear) == 2
    repeat_last_row(one, 2)
    rows = np.asarray(one)
    np.testing.assert_array_equal(rows[2:], np.repeat(rows[1:2], 4, axis=0))
    np.testing.assert_array_equal(rows[:2], scene(8, 6)[:2])


@pytest.mark.parametrize(
    ("data", "unwritten"),
    [(b"x" + bytes(64), True), (b"x" + bytes(63), False), (b"\xff\xd9" + bytes(64), False),
     (b"\xd9" + bytes(900), True)],
)  # fmt: skip
def test_room_at_the_end(data: bytes, unwritten: bool) -> None:
    assert ends_unwritten(data) is unwritten


@pytest.mark.parametrize(
    ("data", "used"),
    [
        (b"abc", 3),
        (b"abc\xff\xd9", 3),
        (b"abc\xff", 3),
        (b"abc\xff\xff", 3),
        (b"abc" + bytes(63), 66),
        (b"abc" + bytes(64), 7),  # four of the zeros may be its own
        (b"abc\xff\xd9" + bytes(64), 3),
    ],
)
def test_where_data_end(data: bytes, used: int) -> None:
    assert _used_end(b"12" + data, 2, 2 + len(data)) == 2 + used


def test_what_stands_in_goes_on_with_the_next_marker() -> None:
    zeros, noise = _fillings(b"a\xff\xd0b\xff\xd1c")
    marks = [zeros[at + 1] for at in range(len(zeros)) if zeros[at] == 0xFF]
    assert marks == [0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD0, 0xD1]
    assert len(zeros) == len(noise) == 9 * 8192 + 8 * 2
    assert [one for one in noise if one == 0xFF] == [0xFF] * 8
    first = _fillings(b"\xff\xd0")[0]
    assert first[first.index(0xFF) + 1] == 0xD1
    none = _fillings(b"abc")[0]
    assert none[none.index(0xFF) + 1] == 0xD0


def scan(components: bytes, low: int, approximation: int) -> bytes:
    body = bytes([len(components)]) + b"".join(bytes([one, 0]) for one in components)
    body += bytes([low, 63, approximation])
    return b"\xff\xda" + struct.pack(">H", 2 + len(body)) + body


def test_scans_and_what_they_are_the_first_of() -> None:
    """ITU-T T.81, B.2.3: the first of a component begins at 0 and refines nothing."""
    data = b"\xff\xd8" + scan(b"\1\2", 0, 0) + b"ab\xff\0c\xff\xd0d" + b"\xff\xc4\0\4xx"
    data += (
        scan(b"\3", 0, 1) + b"e" + scan(b"\1", 1, 0) + b"f" + scan(b"\1", 0, 0x10) + b"g\xff\xd9"
    )
    found = list(_jpeg_scans(data, 2))
    assert [told for _, _, told in found] == [{1, 2}, {3}, set(), set()]
    assert data[found[0][1] :][:2] == b"\xff\xc4"
    assert [data[end - 1 : end] for _, end, _ in found] == [b"d", b"e", b"f", b"g"]
    assert list(_jpeg_scans(data[: found[0][0] + 6], 2)) == []


def test_a_gif_is_filled_up_behind_its_last_whole_block() -> None:
    body = b"head" + b"\3abc" + b"\5de"
    filled = _gif_body(body, 4, 300)
    assert filled == b"head\3abc\2de" + (b"\xff" + bytes(255)) * 2 + b"\0;"
    assert _gif_body(b"head\3abc\0rest", 4, 10) == b"head\3abc" + b"\xff" + bytes(255) + b"\0;"
    assert _gif_body(b"head\3abc", 4, 10) == b"head\3abc" + b"\xff" + bytes(255) + b"\0;"
    assert _gif_body(b"head\3abc\4", 4, 10) == b"head\3abc" + b"\xff" + bytes(255) + b"\0;"


@pytest.mark.parametrize(
    ("depth", "colour", "stride"),
    [(1, 0, 3), (2, 0, 5), (8, 0, 14), (16, 0, 27), (8, 2, 40), (16, 2, 79), (4, 3, 8), (8, 4, 27),
     (8, 6, 53), (8, 7, 14)],
)  # fmt: skip
def test_bytes_of_a_row_of_thirteen_pixels(depth: int, colour: int, stride: int) -> None:
    """PNG third edition, 11.2.1: samples of each kind of pixels; a byte more for the filter."""
    shape = PngShape.of(raw_png(13, 5, depth, colour, b""))
    assert shape.passes() == [(stride, 5)]
    assert shape.needed == 5 * stride
    sizes = (0, stride - 1, stride, 3 * stride, 99 * stride)
    assert [shape.complete_rows(size) for size in sizes] == [0, 0, 1, 3, 5]


def test_passes_of_an_interlaced_picture() -> None:
    """Adam7 (PNG third edition, 8.1), without the passes that have no pixels."""
    shape = PngShape(5, 3, 8, True)
    assert shape.passes() == [(2, 1), (2, 1), (2, 1), (4, 1), (3, 2), (6, 1)]
    assert PngShape(1, 1, 8, True).passes() == [(2, 1)]
    assert PngShape(8, 8, 8, True).passes() == [
        (2, 1), (2, 1), (3, 1), (3, 2), (5, 2), (5, 4), (9, 4),
    ]  # fmt: skip
    whole = PngShape(8, 8, 8, True)
    early = 2 + 2 + 3 + 6 + 10 + 20
    sizes = (early - 1, early, early + 9, early + 35, early + 36)
    assert [whole.complete_rows(size) for size in sizes] == [0, 1, 3, 7, 8]
    assert PngShape(8, 1, 8, True).complete_rows(99) == 1


def test_a_png_is_damaged_within_its_limits_alone() -> None:
    rows = b"".join(b"\0" + bytes([n]) * 30 for n in range(10))
    data = raw_png(10, 10, 8, 2, rows)[:-16]  # without its end
    found = recover_png(data, DecodeLimits(max_pixels=100, max_side=10))
    assert found is not None
    assert found.rows == 10
    assert recover_png(data, DecodeLimits(max_pixels=99)) is None
    assert recover_png(data, DecodeLimits(max_side=9)) is None
    assert recover_png(data[:33], DecodeLimits()) is None
    assert recover_png(data[:32], DecodeLimits()) is None
    assert recover_png(data.replace(b"IHDR", b"IHDX"), DecodeLimits()) is None
    assert recover_png(raw_png(0, 10, 8, 2, rows), DecodeLimits()) is None


def test_a_png_damaged_behind_its_last_row_has_its_rows_and_no_more() -> None:
    """The packed data have 400 rows, of which the header tells of 40; row 300 has no filter."""
    rows = np.random.default_rng(3).integers(0, 256, (400, 65), np.uint8)
    rows[:, 0] = 0
    rows[300, 0] = 200
    data = bytearray(raw_png(64, 40, 8, 0, rows.tobytes()))
    data[-16] ^= 255  # of the sum of the block
    photo = decode(bytes(data))
    assert (photo.complete, photo.there_px) == (1.0, None)
    assert np.array_equal(photo.pixels[..., 1], rows[:40, 1:])


def test_rows_before_the_damage_in_a_later_block_count() -> None:
    """A hundred rows are in the first block; the second is wrong from about its row 126 on."""
    pixels = scene()
    packer, blocks = zlib.compressobj(), []
    for part in (pixels[:100], pixels[100:]):
        rows = b"".join(b"\0" + row.tobytes() for row in part)
        blocks.append(packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH))
    bad = bytearray(png_chunk(b"IDAT", blocks[1]))
    at = int(len(bad) * 0.9)
    bad[at] ^= 0x55
    bad[at + 40] ^= 0x55
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 2, 0, 0, 0))
    tail = png_chunk(b"IDAT", packer.flush()) + png_chunk(b"IEND", b"")
    start = b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", blocks[0])
    photo = decode(start + bytes(bad) + tail)
    rows_there = len(photo.content.pixels)
    assert 200 <= rows_there <= 226
    np.testing.assert_array_equal(photo.content.pixels, pixels[:rows_there])


def test_pixels_of_a_png_are_sound_by_one_sum_or_the_other() -> None:
    rows = b"".join(b"\0" + bytes([n]) * 30 for n in range(10))
    good = raw_png(10, 10, 8, 2, rows)
    assert pixels_are_sound(good)
    end = good.index(b"IEND") - 4
    wrong = good[: end - 1] + bytes([good[end - 1] ^ 1]) + good[end:]
    assert pixels_are_sound(wrong)  # the sum of all pixels is right
    packed = zlib.compress(rows)
    both = good[:33] + struct.pack(">I", len(packed)) + b"IDAT" + packed[:-1] + b"x" + b"sum?"
    assert not pixels_are_sound(both)
    more = zlib.compress(rows + b"\0")
    long = good[:33] + struct.pack(">I", len(more)) + b"IDAT" + more + b"sum?"
    assert not pixels_are_sound(long)  # more than its rows
    cut = good[:33] + struct.pack(">I", len(packed)) + b"IDAT" + packed[:-5] + b"sum?" + b"x"
    assert not pixels_are_sound(cut)


def barred(bar: int, level: int, side: int = 100, content: int = 128) -> np.ndarray:
    pixels = np.full((side, 50, 3), content, np.uint8)
    pixels[:, ::2] += 20
    pixels[:bar] = level
    pixels[side - bar :] = level
    return pixels


@pytest.mark.parametrize(
    ("level", "found"),
    [(0, True), (24, True), (25, False), (231, False), (232, True), (255, True)],
)
def test_bars_are_near_black_or_near_white(level: int, found: bool) -> None:
    assert content_view(barred(10, level)) == ((0, 10, 50, 90) if found else None)


@pytest.mark.parametrize(("bar", "found"), [(1, False), (2, True), (40, True), (41, False)])
def test_bars_have_a_least_thickness_and_leave_a_fifth(bar: int, found: bool) -> None:
    assert content_view(barred(bar, 0)) == ((0, bar, 50, 100 - bar) if found else None)


@pytest.mark.parametrize(
    ("top", "bottom", "found"), [(20, 23, True), (20, 24, False), (2, 5, True), (2, 6, False)]
)
def test_bars_have_nearly_one_thickness(top: int, bottom: int, found: bool) -> None:
    """They may differ by three lines, or by .15 of the thicker one."""
    pixels = barred(top, 0)
    pixels[100 - bottom :] = 0
    assert content_view(pixels) == ((0, top, 50, 100 - bottom) if found else None)


@pytest.mark.parametrize(("behind", "found"), [(12.0, 3), (11.9, None), (30.0, 3)])
def test_an_edge_is_a_step_of_twelve_levels(behind: float, found: int | None) -> None:
    strays = np.array([0.0, 0.0, 0.0, 0.5, 1.0, 1.0])
    levels = np.array([0.0, 0.0, 0.0, 5.0, behind, behind])
    assert _thickness(strays, levels, 0.4) == found


def test_edges_of_a_reduced_view_lose_a_pixel() -> None:
    pixels = np.repeat(np.repeat(barred(10, 0), 2, axis=1), 1, axis=0)
    full = described(Photo(pixels, 100, 100, "jpeg", 1))
    assert full.content_px == (0, 10, 100, 90)
    half = described(Photo(pixels, 200, 200, "jpeg", 1))
    assert half.content_px == (0, 22, 200, 178)
    part = described(Photo(pixels, 200, 200, "jpeg", 1, there_px=(0, 0, 200, 198)))
    assert part.content_px == (0, 22, 200, 178)  # of 99 rows the last 9 are the bar
    clear = described(Photo(pixels, 100, 100, "jpeg", 1, alpha=np.full((100, 100), 9, np.uint8)))
    assert clear.content_px is None


def test_where_saving_the_rows_fails_too_the_first_failure_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = saved(scene(), "jpeg")

    def fails(*_: object) -> None:
        raise ValueError("nothing can be saved")

    monkeypatch.setattr(decoding, "_render_recovered", fails)
    with pytest.raises(DecodeError, match="0 % of its rows are there") as told:
        decode(data[: len(data) // 2], DecodeLimits(least_complete=0.001))
    assert told.value.status == "truncated"
    assert "nothing can be saved" not in told.value.message


def test_a_whole_png_may_end_in_black_rows() -> None:
    pixels = scene(64, 48)
    pixels[-3:] = 0
    found = decode(saved(pixels, "png"), DecodeLimits(least_complete=1))  # nothing is recovered
    np.testing.assert_array_equal(found.pixels, pixels)


def test_without_a_marker_there_is_no_next_one() -> None:
    assert _next_marker(b"\xd9\x00\xd8", 0) is None
    assert _next_marker(b"\xd9\x00\xff\xd8", 0) == 2
    assert _next_marker(b"\xd9\x00\xff", 0) is None  # the data end before its name


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_no_share_is_told_of_a_format_that_is_not_measured(name: str) -> None:
    data = saved(Image.fromarray(scene(64, 48)), name)
    with pytest.raises(DecodeError) as told:
        decode(data[:-1])
    assert told.value.status == "truncated"
    assert "rows" not in told.value.message
