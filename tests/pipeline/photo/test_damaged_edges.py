"""Damaged files, boxes of media files, bars and frames at their limits: counted by hand."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.photo.animation import _Painted, check_frames, decode_frames
from pipeline.photo.borders import content_view
from pipeline.photo.damaged import (
    _fillings,
    _gif_body,
    _jpeg_scans,
    _used_end,
    box_there,
    ends_unwritten,
    repeat_last_row,
    rows_alike,
)
from pipeline.photo.damaged_png import _PngShape, pixels_are_sound, png_rest
from pipeline.photo.decoded import Photo, described
from pipeline.photo.frames import MOST_FRAMES, gif_frame_count
from pipeline.photo.libwebp import chunk, container
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.media_boxes import (
    associations,
    coded_items,
    first_box,
    media_boxes,
    media_facts,
    primary_kind,
)
from pipeline.photo.old_avif import mended_avif
from pipeline.photo.opening import frame_box, opened_picture
from tests.support.odd_photos import png_chunk, raw_png, saved, scene


def box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def names_of(data: bytes) -> list[tuple[bytes, int, int]]:
    return list(media_boxes(data, 0, len(data)))


def test_boxes_of_every_kind_of_size() -> None:
    """ISO/IEC 14496-12, 4.2: 32 bits, 64 bits where they say 1, to the end where they say 0."""
    assert names_of(box(b"free", b"ab") + box(b"mdat")) == [(b"free", 8, 10), (b"mdat", 18, 18)]
    large = struct.pack(">I4sQ", 1, b"mdat", 18) + b"ab"
    assert names_of(large + box(b"free")) == [(b"mdat", 16, 18), (b"free", 26, 26)]
    assert names_of(struct.pack(">I4s", 0, b"mdat") + b"abc") == [(b"mdat", 8, 11)]
    assert names_of(struct.pack(">I4s", 7, b"mdat")) == []
    assert names_of(struct.pack(">I4sQ", 1, b"mdat", 15)) == []
    assert names_of(struct.pack(">I4sQ", 1, b"mdat", 16)) == [(b"mdat", 16, 16)]
    assert names_of(struct.pack(">I4s", 9, b"mdat")) == []  # beyond the end
    assert names_of(box(b"free")[:7]) == []
    assert len(names_of(box(b"free") * 5000)) == 4096
    assert first_box(box(b"a..a") + box(b"b..b", b"1") + box(b"b..b"), 0, 25, b"b..b") == (16, 17)


def meta(*boxes: bytes) -> bytes:
    return box(b"ftyp", b"avif") + box(b"meta", bytes(4) + b"".join(boxes))


def item(number: int, kind: bytes, version: int = 2) -> bytes:
    form = ">HH4s" if version == 2 else ">IH4s"
    return box(b"infe", bytes([version, 0, 0, 0]) + struct.pack(form, number, 0, kind))


def items(*entries: bytes, version: int = 0) -> bytes:
    count = struct.pack(">H" if version == 0 else ">I", len(entries))
    return box(b"iinf", bytes([version, 0, 0, 0]) + count + b"".join(entries))


def primary(number: int, version: int = 0) -> bytes:
    form = ">H" if version == 0 else ">I"
    return box(b"pitm", bytes([version, 0, 0, 0]) + struct.pack(form, number))


@pytest.mark.parametrize("wide", [0, 1])
def test_how_the_primary_picture_is_coded(wide: int) -> None:
    entries = (item(1, b"av01", 2 + wide), item(2, b"hvc1", 2 + wide), item(3, b"av01", 2 + wide))
    listed = items(*entries, version=wide)
    assert primary_kind(meta(primary(2, wide), listed)) == b"hvc1"
    assert primary_kind(meta(primary(1, wide), listed)) == b"av01"
    assert primary_kind(meta(primary(9, wide), listed)) is None
    assert primary_kind(meta(listed)) is None
    assert primary_kind(box(b"ftyp", b"avif")) is None
    data = meta(primary(1, wide), listed)
    start, end = first_box(data, 0, len(data), b"meta") or (0, 0)
    assert coded_items(data, start + 4, end, b"av01") == [1, 3]
    assert primary_kind(meta(primary(1), items(item(1, b"av01", 1)))) is None  # an older form


@pytest.mark.parametrize(("version", "flags"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_properties_of_items(version: int, flags: int) -> None:
    """ISO/IEC 23008-12: numbers of 7 or 15 bits; the highest bit says whether it is essential."""
    owner = ">H" if version == 0 else ">I"
    number = ">H" if flags else ">B"
    top = 0x8000 if flags else 0x80
    rows = struct.pack(owner, 5) + b"\2" + struct.pack(number, 3) + struct.pack(number, top | 4)
    rows += struct.pack(owner, 6) + b"\1" + struct.pack(number, top | 1)
    body = bytes([version, 0, 0, flags]) + struct.pack(">I", 2) + rows
    assert associations(body, 0) == {5: {3: False, 4: True}, 6: {1: True}}
    largest = top - 1
    body = bytes([version, 0, 0, flags]) + struct.pack(">I", 1) + struct.pack(owner, 7) + b"\1"
    assert associations(body + struct.pack(number, largest), 0) == {7: {largest: False}}


def turned(*properties: bytes, count: int | None = None) -> bytes:
    numbers = bytes(range(1, 1 + (len(properties) if count is None else count)))
    listed = bytes(4) + struct.pack(">IH", 1, 1) + bytes([len(numbers)]) + numbers
    groups = box(b"iprp", box(b"ipco", b"".join(properties)) + box(b"ipma", listed))
    return meta(primary(1), groups)


# Turned anticlockwise by quarters, then mirrored: top to bottom (0) or left to right (1); the EXIF
# number that does the same (MIAF, 7.3.6.7; EXIF 2.32, tag 274).
@pytest.mark.parametrize(
    ("quarters", "mirror", "orientation"),
    [(0, None, 1), (1, None, 8), (2, None, 3), (3, None, 6), (0, 0, 4), (0, 1, 2), (1, 0, 5),
     (1, 1, 7), (2, 0, 2), (2, 1, 4), (3, 0, 7), (3, 1, 5)],
)  # fmt: skip
def test_boxes_that_turn(quarters: int, mirror: int | None, orientation: int) -> None:
    boxes = [box(b"irot", bytes([0xFC | quarters]))]
    boxes += [] if mirror is None else [box(b"imir", bytes([0xFE | mirror]))]
    assert media_facts(turned(*boxes)) == (orientation, None)
    assert media_facts(turned(*boxes, count=0)) == (1, None)  # not of the primary picture
    assert media_facts(turned(*boxes, count=99))[0] == orientation  # numbers of no property


def test_light_that_boxes_tell() -> None:
    nclx = box(b"colr", b"nclx" + struct.pack(">HHH", 9, 16, 9) + b"\x80")
    screen = box(b"mdcv", bytes(16) + struct.pack(">II", 6_000_000, 50))
    content = box(b"clli", struct.pack(">HH", 400, 100))
    peaks = []
    for boxes in ((nclx,), (nclx, screen), (nclx, screen, content)):
        space = media_facts(turned(*boxes))[1]
        assert space is not None
        peaks.append(space.peak_nits)
    assert peaks == [1000, 600, 400]
    assert media_facts(turned(box(b"colr", b"prof" + bytes(9)))) == (1, None)


def test_only_avif_files_that_lack_something_are_mended() -> None:
    good = saved(scene(32, 32), "AVIF")
    assert mended_avif(good) is None
    for brands in ((b"mif1", b"miaf"), (b"miaf", b"mif1"), (b"av01", b"isom")):
        old = box(b"ftyp", brands[0] + bytes(4) + brands[1]) + box(b"free")
        found = mended_avif(old)
        assert found is not None
        at = 8 if brands[0] in (b"mif1", b"av01") else 16
        assert found == old[:at] + b"avif" + old[at + 4 :], brands
    assert mended_avif(box(b"ftyp", b"isom" + bytes(4) + b"avis") + box(b"free")) is None


@pytest.mark.parametrize(
    ("orientation", "part"),
    [(1, (0, 0, 100, 30)), (2, (0, 0, 100, 30)), (3, (0, 30, 100, 60)), (4, (0, 30, 100, 60)),
     (5, (0, 0, 50, 60)), (6, (50, 0, 100, 60)), (7, (50, 0, 100, 60)), (8, (0, 0, 50, 60))],
)  # fmt: skip
def test_which_half_is_there(orientation: int, part: tuple[int, int, int, int]) -> None:
    """Of a photo of 100 by 60, stored so or turned; 15 of its view's 30 rows are there."""
    assert box_there((100, 60), 30, 15, orientation) == part


def test_rows_that_are_alike_and_rows_that_are_not() -> None:
    one = Image.fromarray(scene(8, 6))
    other = one.copy()
    assert rows_alike(one, other) == 6
    other.putpixel((7, 4), (1, 2, 3))
    assert rows_alike(one, other) == 4
    clear = one.convert("RGBA")
    clear.putpixel((0, 2), (*clear.getpixel((0, 2))[:3], 0))  # type: ignore[index]
    assert rows_alike(one.convert("RGBA"), clear) == 2
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
    shape = _PngShape.of(raw_png(13, 5, depth, colour, b""))
    assert shape.passes() == [(stride, 5)]
    assert shape.needed == 5 * stride
    sizes = (0, stride - 1, stride, 3 * stride, 99 * stride)
    assert [shape.rows_there(size) for size in sizes] == [0, 0, 1, 3, 5]


def test_passes_of_an_interlaced_picture() -> None:
    """Adam7 (PNG third edition, 8.1), without the passes that have no pixels."""
    shape = _PngShape(5, 3, 8, True)
    assert shape.passes() == [(2, 1), (2, 1), (2, 1), (4, 1), (3, 2), (6, 1)]
    assert _PngShape(1, 1, 8, True).passes() == [(2, 1)]
    assert _PngShape(8, 8, 8, True).passes() == [
        (2, 1), (2, 1), (3, 1), (3, 2), (5, 2), (5, 4), (9, 4),
    ]  # fmt: skip
    whole = _PngShape(8, 8, 8, True)
    early = 2 + 2 + 3 + 6 + 10 + 20
    sizes = (early - 1, early, early + 9, early + 35, early + 36)
    assert [whole.rows_there(size) for size in sizes] == [0, 1, 3, 7, 8]
    assert _PngShape(8, 1, 8, True).rows_there(99) == 1


def test_a_png_is_damaged_within_its_limits_alone() -> None:
    rows = b"".join(b"\0" + bytes([n]) * 30 for n in range(10))
    data = raw_png(10, 10, 8, 2, rows)[:-16]  # without its end
    found = png_rest(data, DecodeLimits(max_pixels=100, max_side=10))
    assert found is not None
    assert found.rows == 10
    assert png_rest(data, DecodeLimits(max_pixels=99)) is None
    assert png_rest(data, DecodeLimits(max_side=9)) is None
    assert png_rest(data[:33], DecodeLimits()) is None
    assert png_rest(data[:32], DecodeLimits()) is None
    assert png_rest(data.replace(b"IHDR", b"IHDX"), DecodeLimits()) is None
    assert png_rest(raw_png(0, 10, 8, 2, rows), DecodeLimits()) is None


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


def test_frames_of_a_gif_by_its_blocks() -> None:
    screen = b"GIF89a" + struct.pack("<HH", 1, 1) + b"\0\0\0"
    picture = b"\x2c" + bytes(8) + b"\0" + b"\2\1x\0"
    own = b"\x2c" + bytes(8) + b"\x82" + bytes(24) + b"\2\1x\0"  # 8 colours of its own
    assert gif_frame_count(screen + picture * 3 + b";") == 3
    assert gif_frame_count(screen + own + picture + b";") == 2
    assert gif_frame_count(screen[:10] + b"\x87\0\0" + bytes(768) + picture * 2 + b";") == 2
    assert gif_frame_count(screen + b"\x21\xff\3abc\2de\0" + picture + b";" + picture) == 1
    assert gif_frame_count(screen + picture + b"?" + picture) == 1
    assert gif_frame_count(screen + picture + picture[:9]) == 1  # cut within its descriptor
    assert gif_frame_count(screen + picture * (MOST_FRAMES + 5)) == MOST_FRAMES == 100_000


def test_frames_and_their_pixels_up_to_the_limits() -> None:
    check_frames(4, (10, 5), DecodeLimits(max_frames=4, max_animation_pixels=200))
    with pytest.raises(Exception, match="4 frames, more than 3"):
        check_frames(4, (10, 5), DecodeLimits(max_frames=3))
    with pytest.raises(Exception, match="200 pixels in all frames, more than 199"):
        check_frames(4, (10, 5), DecodeLimits(max_animation_pixels=199))


def gif(*frames: tuple[tuple[int, int, int, int], int]) -> bytes:
    """A GIF of 4 by 4 pixels whose frames fill a part (x, y, w, h), with a disposal method."""
    data = b"GIF89a" + struct.pack("<HH", 4, 4) + b"\x80\0\0" + b"\0\0\0\xff\0\0"
    for (x, y, w, h), disposal in frames:
        data += b"\x21\xf9\4" + bytes([disposal << 2, 5, 0, 0]) + b"\0"
        data += b"\x2c" + struct.pack("<HHHH", x, y, w, h) + b"\0\2"
        body = b"\x44\1"
        data += bytes([len(body)]) + body + b"\0"
    return data + b";"


def test_the_part_of_a_canvas_that_a_frame_fills() -> None:
    limits = DecodeLimits()
    for part, expected in (((0, 0, 4, 4), None), ((1, 0, 2, 3), (1, 0, 3, 3))):
        image = opened_picture(gif((part, 0)), "gif", limits).image
        assert frame_box(image) == expected
    assert frame_box(Image.new("RGB", (3, 3))) is None


class Frame:
    """As much of a GIF's frame as `_Painted` asks for."""

    format = "GIF"
    size = (4, 4)
    width = height = 4

    def __init__(
        self, number: int, extents: tuple[int, int, int, int] | None, disposal: int
    ) -> None:
        from PIL import ImageFile

        self.number, self.disposal_method = number, disposal
        self.tile = [ImageFile._Tile("gif", extents, 0, None)]

    def tell(self) -> int:
        return self.number


def mask_of(painted: _Painted, frame: Frame) -> list[list[int]] | None:
    found = painted.with_frame(frame)  # type: ignore[arg-type]
    return None if found is None else (np.asarray(found) // 255).tolist()


def test_a_canvas_is_filled_frame_by_frame() -> None:
    painted = _Painted()
    first = mask_of(painted, Frame(0, (0, 0, 2, 1), 2))
    assert first == [[1, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    second = mask_of(painted, Frame(1, (3, 3, 4, 4), 0))  # the first is cleared before it
    assert second == [[0] * 4, [0] * 4, [0] * 4, [0, 0, 0, 1]]
    third = mask_of(painted, Frame(2, (0, 0, 4, 4), 2))
    assert third == [[1] * 4] * 4
    fourth = mask_of(painted, Frame(3, (1, 1, 2, 2), 0))  # all of it was cleared
    assert fourth == [[0] * 4, [0, 1, 0, 0], [0] * 4, [0] * 4]
    whole = _Painted()
    assert mask_of(whole, Frame(0, (0, 0, 4, 4), 2)) is None
    assert mask_of(whole, Frame(1, (0, 0, 1, 1), 2)) is None


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


def test_chunks_of_a_webp() -> None:
    file = b"RIFF\0\0\0\0WEBP" + b"ALPH\3\0\0\0abc\0" + b"VP8 \2\0\0\0de"
    assert chunk(file, b"ALPH") == b"ALPH\3\0\0\0abc\0"
    assert chunk(file, b"VP8 ") == b"VP8 \2\0\0\0de"
    assert chunk(file, b"EXIF") is None
    assert chunk(file[:19], b"ALPH") is None
    whole = container(300, 5, b"ALPH\0\0\0\0", b"VP8 \0\0\0\0")
    head = b"VP8X\x0a\0\0\0" + b"\x10\0\0\0" + b"\x2b\1\0" + b"\4\0\0"
    body = b"WEBP" + head + b"ALPH\0\0\0\0" + b"VP8 \0\0\0\0"
    assert whole == b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_default_image_of_an_apng_is_not_among_its_times() -> None:
    control = png_chunk(b"acTL", struct.pack(">II", 1, 3))
    assert b"acTL" in control
    stream = saved(
        scene(8, 8), "PNG", save_all=True, append_images=[Image.fromarray(scene(8, 8)[::-1])],
        duration=[70, 90], loop=3,
    )  # fmt: skip
    found = decode_frames(stream, DecodeLimits(), 1024)
    assert (found.durations_ms, found.plays) == ((70, 90), 3)
