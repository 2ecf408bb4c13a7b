"""Frames are counted without decoding, whatever the file claims."""

import struct
import time

import pytest

from pipeline.photo.decode import decode
from pipeline.photo.files.frames import MOST_FRAMES, gif_frame_count
from tests.support.drawn_pictures import moving, moving_file
from tests.support.odd_photos import good_photos, png_chunk

SCREEN = b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x80\0\0" + bytes(6)  # 2 colours
PICTURE = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\2\2\x44\1\0"  # 1 pixel


@pytest.mark.parametrize("count", [1, 2, 7])
def test_frames_of_a_gif(count: int) -> None:
    assert gif_frame_count(moving_file("GIF", moving(count), [50] * count)) == count
    assert gif_frame_count(SCREEN + PICTURE * count + b";") == count


def test_blocks_that_are_no_pictures_do_not_count() -> None:
    comment = b"\x21\xfe\3\x2c\x2c\x2c\0"
    own_colours = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\x81" + bytes(12) + b"\2\1\x2c\0"
    assert gif_frame_count(SCREEN + comment + PICTURE + own_colours + comment + b";") == 2


def test_a_gif_that_ends_too_early_counts_as_far_as_it_goes() -> None:
    whole = moving_file("GIF", moving(5), [50] * 5)
    counts = [gif_frame_count(whole[:end]) for end in range(len(whole) + 1)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 5)


@pytest.mark.parametrize(
    "data", [SCREEN + PICTURE * 3_000_000, SCREEN + b"\x21\xfe" + b"\1x" * 20_000_000]
)
def test_a_hostile_gif_takes_no_time(data: bytes) -> None:
    start = time.process_time()
    assert 1 <= gif_frame_count(data) <= MOST_FRAMES
    assert time.process_time() - start < 3


def test_a_png_may_lie_about_its_frames() -> None:
    still = good_photos()["good.png"]
    after_header = 8 + 25
    lie = png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    photo = decode(still[:after_header] + lie + still[after_header:])
    assert (photo.frames, photo.kind) == (MOST_FRAMES, "animated")
