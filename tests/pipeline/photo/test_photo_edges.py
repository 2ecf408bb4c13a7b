"""Edge cases of small parts of the photo code, each calculated by hand."""

import io
import os
import signal
import struct
import threading
import time
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.photo.borders import STRAY, _thickness
from pipeline.photo.decode import Photo
from pipeline.photo.decode_errors import as_decode_errors
from pipeline.photo.decoded import _to_source
from pipeline.photo.encoding import libjpegli
from pipeline.photo.encoding.moving import encode_moving
from pipeline.photo.encoding.whole import _uncovered, draw_whole, place_whole
from pipeline.photo.files.damaged import repeat_last_row
from pipeline.photo.files.damaged_png import _rows_before_failure, _unpacked
from pipeline.photo.files.old_avif import _with_brand
from pipeline.photo.files.png_shape import PngShape
from pipeline.photo.files.strip import orientation_of, png_chunks, stripped
from pipeline.photo.sandbox import isolation
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.photo.view import jpeg_scale, view_size
from pipeline.shapes import parse_shape
from tests.support.odd_photos import png_chunk

START = b"\x89PNG\r\n\x1a\n"
BACK = (10, 20, 30)


def grey_png(width: int, height: int, packed: bytes, *chunks: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [png_chunk(b"IHDR", head), *chunks, png_chunk(b"IDAT", packed), png_chunk(b"IEND", b"")]
    return START + b"".join(parts)


def test_threads_that_decode_leave_the_filters_of_warnings_alone() -> None:
    """They belong to the process: the second to leave would put those of the first in place."""
    before, first, second = list(warnings.filters), threading.Event(), threading.Event()

    def early() -> None:
        with as_decode_errors(b"", "png"):
            first.set()
            second.wait(0.5)

    def late() -> None:
        first.wait(5)
        with as_decode_errors(b"", "png"):
            second.set()
            time.sleep(0.2)

    threads = [threading.Thread(target=one) for one in (early, late)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert list(warnings.filters) == before


def test_a_forked_child_decodes_while_a_thread_of_its_parent_does() -> None:
    inside, done = threading.Event(), threading.Event()

    def decoding() -> None:
        with as_decode_errors(b"", "png"):
            inside.set()
            done.wait(20)

    thread = threading.Thread(target=decoding)
    thread.start()
    inside.wait(5)
    child = os.fork()
    if child == 0:
        with as_decode_errors(b"", "png"):
            os._exit(0)
    ended, until = 0, time.monotonic() + 10
    while not ended and time.monotonic() < until:
        ended, _ = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    done.set()
    thread.join()
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended


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
    assert _rows_before_failure(data, PngShape(60, 40, 8, interlaced=False)) == 19 - 2


@pytest.mark.parametrize("is_right", [True, False])
def test_the_checksum_at_the_very_end_of_a_file_counts(is_right: bool) -> None:
    """A file that is cut right behind its block of pixels still has the block's checksum."""
    rows = bytes(range(40)) * 3
    data = bytearray(grey_png(39, 3, zlib.compress(rows))[: -len(png_chunk(b"IEND", b""))])
    if not is_right:
        data[-1] ^= 1
    assert b"".join(_unpacked(bytes(data))) == (rows if is_right else b"")


@pytest.mark.parametrize(("name", "length"), [(b"cLLI", 8), (b"mDCV", 24)])
def test_how_bright_a_picture_is_goes_to_no_decoder(name: bytes, length: int) -> None:
    packed = zlib.compress(bytes(2))
    found = stripped(grey_png(1, 1, packed, png_chunk(name, b"\1" * length)), "png")
    assert [chunk for chunk, _, _ in png_chunks(found.data)] == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize(
    ("name", "body", "nits"),
    [(b"cLLI", struct.pack(">II", 4_000_000, 9), 400),
     (b"mDCV", bytes(16) + struct.pack(">II", 6_000_000, 50), 600)],
)  # fmt: skip
def test_a_statement_of_another_length_says_nothing(name: bytes, body: bytes, nits: int) -> None:
    """Where a PNG in PQ does not state how bright it is, it counts as 1,000 nits."""
    coded = png_chunk(b"cICP", bytes([9, 16, 0, 1]))
    for stated, expected in ((body, nits), (body[:-1], 1000), (body + b"\0", 1000)):
        data = grey_png(1, 1, zlib.compress(bytes(2)), coded, png_chunk(name, stated))
        space = stripped(data, "png").space
        assert space is not None
        assert space.peak_nits == expected


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


def test_the_free_parts_are_inside_what_was_free() -> None:
    """What covers the upper left quarter of it reaches beyond; the other quarters stay free."""
    found = _uncovered((0.0, 0.0, 1.0, 1.0), [(-0.5, -0.5, 0.5, 0.5)])
    right, below = (0.5, 0.0, 1.0, 1.0), (0.0, 0.5, 1.0, 1.0)
    quarters = [(0.5, 0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0), (0.5, 0.5, 1.0, 1.0)]
    assert sorted(found) == sorted([right, below, *quarters])


def test_where_there_is_no_linux_there_is_no_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation.sys, "platform", "darwin")
    assert isolation.make_undumpable() is False
    assert isolation.filter_problem() == "darwin has none"


def test_a_view_needs_every_row_that_rounding_up_gives() -> None:
    """983 rows and 900 columns at an eighth are 123 and 113, as many as a view of 128 asks for."""
    assert view_size((900, 983), 128) == (113, 123)
    assert jpeg_scale((900, 983), 128, 1e9) == 8


def test_a_clear_frame_of_a_moving_png_shows_nothing_of_the_one_before() -> None:
    opaque = np.full((4, 4, 4), 255, np.uint8)
    clear = np.zeros((4, 4, 4), np.uint8)
    with Image.open(io.BytesIO(encode_moving([opaque, clear], (50, 50), 0, "png", 80))) as shown:
        shown.seek(1)
        assert np.asarray(shown.convert("RGBA"))[..., 3].max() == 0


def test_missing_rows_repeat_the_last_one_alone() -> None:
    image = Image.fromarray(np.arange(6, dtype=np.uint8)[:, None].repeat(2, 1) * 10)
    repeat_last_row(image, 3)
    assert np.asarray(image)[:, 0].tolist() == [0, 10, 20, 20, 20, 20]


def test_a_bar_s_line_may_hold_the_share_of_strays_that_is_allowed() -> None:
    """The edge is behind line 6; strays that are just allowed end no bar at line 1."""
    strays = np.array([0.0, STRAY, *[0.0] * 5, *[1.0] * 5])
    levels = np.array([*[0.0] * 7, *[90.0] * 5])
    assert _thickness(strays, levels, 0.9) == 7


def test_a_child_that_ends_while_it_is_asked_took_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder()

    def gone(_: int) -> float:
        raise OSError

    try:
        decoder.decode(grey_png(2, 1, zlib.compress(bytes(3))))
        monkeypatch.setattr("time.clock_gettime", gone)
        assert decoder.cpu_s() == 0
    finally:
        decoder.close()
    assert decoder.cpu_s() == 0


def test_a_colour_of_a_view_in_srgb_is_itself() -> None:
    """The view beside it has more colours, but the pixels that the colour is for have not."""
    pixels = np.zeros((1, 1, 3), np.uint8)
    photo = Photo(pixels, 1, 1, "png", 1, wide=pixels, wide_space="p3")
    assert photo.colour_of((250, 10, 20)) == (250, 10, 20)
    assert photo.in_own_colours.colour_of((250, 10, 20)) != (250, 10, 20)


def test_who_may_not_become_nobody_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: list[int]) -> None:
        raise PermissionError

    monkeypatch.setattr("os.setgroups", refuse)
    assert isolation._become_nobody() is False


@pytest.mark.parametrize("place", [8, 16, 20, 24])
def test_a_file_that_names_avif_anywhere_keeps_its_brands(place: int) -> None:
    head = bytearray(struct.pack(">I", 28) + b"ftypmif1" + bytes(4) + b"miafMA1Bmeta")
    head[place : place + 4] = b"avif"
    assert _with_brand(bytes(head)) == bytes(head)


def test_avif_takes_the_place_of_a_brand_that_stands_for_it() -> None:
    head = struct.pack(">I", 28) + b"ftypmif1" + bytes(4) + b"miafMA1Bmeta"
    found = _with_brand(head + b"rest")
    assert found.count(b"avif") == 1
    assert (len(found), found[-4:]) == (32, b"rest")


def test_the_edge_of_a_view_of_half_the_size_is_one_pixel_less() -> None:
    """Edges at 2, 3, 8 and 9 of ten pixels, drawn in by one, are twice that in source pixels."""
    view = np.zeros((10, 10, 3), np.uint8)
    found = _to_source((2, 3, 8, 9), view, Photo(view, 20, 20, "png", 1))
    assert found == (6, 8, 14, 16)


def test_a_photo_is_no_part_of_another_one() -> None:
    assert Photo(np.zeros((1, 1, 3), np.uint8), 1, 1, "png", 1).origin_px == (0, 0)


def test_a_directory_of_exif_that_begins_at_the_last_byte_tells_nothing() -> None:
    assert orientation_of(b"II*\0" + struct.pack("<I", 9) + bytes(2)) == 1


def test_a_filter_that_can_not_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(isolation, "filter_problem", lambda: "")
    monkeypatch.setattr(isolation, "make_undumpable", lambda: True)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(isolation, "_load_filter", refuse)
    assert isolation.enter_sandbox() == [f"{isolation.FILTER} (not permitted)"]


def test_an_encoder_whose_plain_codes_are_not_the_package_s_is_not_taken() -> None:
    pytest.importorskip("pyjpegli")
    whole = libjpegli.JpegliEncoder()

    class AlwaysOptimal(libjpegli.JpegliEncoder):
        def encode(self, *given: Any, alike: bool = False, **_: Any) -> bytes:
            pixels, quality, *_optimal = given
            return whole.encode(pixels, quality, alike=alike)

    pixels = np.random.default_rng(1).integers(0, 255, (40, 40, 3), np.uint8)
    assert libjpegli._matches_package(whole, pixels)
    assert not libjpegli._matches_package(AlwaysOptimal(), pixels)
