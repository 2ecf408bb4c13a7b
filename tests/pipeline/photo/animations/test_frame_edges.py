"""Edge cases of an animation's frames, counted by hand."""

import struct

import pytest
from PIL import Image

from pipeline.photo.animations.animation import check_frames, decode_frames
from pipeline.photo.encoding.libwebp import chunk, container
from pipeline.photo.files.frames import MOST_FRAMES, gif_frame_count
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.opening import frame_box, opened_picture
from tests.support.odd_photos import png_chunk, saved, scene


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
    for part, expected in (
        ((0, 0, 4, 4), None),
        ((1, 0, 2, 3), (1, 0, 3, 3)),
        ((0, 1, 2, 2), (0, 1, 2, 3)),
    ):
        image = opened_picture(gif((part, 0)), "gif", limits).image
        assert frame_box(image) == expected
    assert frame_box(Image.new("RGB", (3, 3))) is None


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
