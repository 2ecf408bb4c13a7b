"""Transparency: grey and 16-bit colour keys, and areas that a GIF's frames do not fill."""

import numpy as np
import pytest
from PIL import Image

from pipeline.photo.animations.animation import decode_frames
from pipeline.photo.decode import decode
from pipeline.photo.limits import DecodeLimits
from tests.support.colour_photos import (
    COLOURS,
    colour_cases,
    levels,
    squares,
)
from tests.support.odd_photos import png_chunk, raw_png, saved

CASES = colour_cases()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_keys_of_every_depth_are_transparent(depth: int) -> None:
    photo = decode(CASES[f"grey key {depth}.png"])
    assert photo.alpha is not None
    stored = np.round(squares()[..., 1] / 255 * (2**depth - 1))
    np.testing.assert_array_equal(photo.alpha == 0, stored == stored[8, 4 * 16 + 8])
    assert (photo.pixels[photo.alpha == 0] == 255).all()


def test_a_deep_colour_key_is_transparent() -> None:
    photo = decode(CASES["deep key.png"])
    assert photo.alpha is not None
    clear = (squares() == squares()[8, 80]).all(axis=2)
    np.testing.assert_array_equal(photo.alpha == 0, clear)


def test_a_deep_colour_key_counts_with_all_its_bits() -> None:
    """Pixels that differ from it in their low bytes alone stay."""
    photo = decode(CASES["deep key low.png"])
    assert photo.alpha is not None
    clear = (squares() == squares()[8, 80]).all(axis=2)
    clear[:, ::2] = False  # whose low bytes are others
    np.testing.assert_array_equal(photo.alpha == 0, clear)
    shown = np.where(squares() == 255, 0, squares())  # 65,535 and 5 is 4, of 16 bits
    np.testing.assert_array_equal(photo.pixels[~clear], shown[~clear])


def test_a_short_palette_goes_on_with_its_last_colour() -> None:
    """As in browsers; Pillow shows black. Its opacity too, where all colours have one."""
    stored = np.arange(8, dtype=np.uint8).repeat(4)
    rows = b"".join(b"\0" + stored.tobytes() for _ in range(4))
    colours = np.array([(9, 8, 7), (50, 60, 70), (200, 100, 0)], np.uint8)
    table = png_chunk(b"PLTE", colours.tobytes())
    shown = colours[np.minimum(stored, 2)]
    photo = decode(raw_png(32, 4, 8, 3, rows, table))
    assert photo.alpha is None
    np.testing.assert_array_equal(photo.pixels[0], shown)
    for opacities, expected in ((b"\xff\xff\0", [255, 255] + [0] * 6), (b"\0", [0] + [255] * 7)):
        photo = decode(raw_png(32, 4, 8, 3, rows, table, png_chunk(b"tRNS", opacities)))
        assert photo.alpha is not None
        np.testing.assert_array_equal(photo.alpha[0], np.repeat(expected, 4))


def test_a_gif_is_clear_outside_its_first_frame() -> None:
    photo = decode(CASES["small frame.gif"])
    assert photo.alpha is not None
    assert (photo.width_px, photo.height_px) == (96, 64)
    np.testing.assert_array_equal(photo.alpha[:32, :48], 255)
    assert not photo.alpha[32:].any()
    assert not photo.alpha[:, 48:].any()
    assert (photo.pixels[32:] == 255).all()
    np.testing.assert_allclose(levels(photo.pixels)[:2, :3], COLOURS[:2, :3], atol=4)


def test_frames_of_a_gif_fill_their_canvas_bit_by_bit() -> None:
    one = saved(Image.new("P", (8, 4)), "GIF")
    at = one.index(b"\x2c", 13 + 3 * 2 ** (1 + (one[10] & 7)))
    frame = one[at:-1]
    moved = frame[:1] + (8).to_bytes(2, "little") + frame[3:]
    canvas = one[:6] + (16).to_bytes(2, "little") + (4).to_bytes(2, "little") + one[10:at]
    left, right = [255] * 8 + [0] * 8, [0] * 8 + [255] * 8
    kept = control(1) + frame + control(1) + moved  # each stays
    gone = control(2) + frame + control(2) + moved  # each is cleared after its time
    for frames, expected in ((kept, [left, [255] * 16]), (gone, [left, right])):
        found = decode_frames(canvas + frames + b";", DecodeLimits(), 1024)
        assert found.alphas is not None
        assert found.alphas[:, 0].tolist() == expected


def control(disposal: int) -> bytes:
    """The block before a GIF's frame that says what becomes of it (GIF89a, 23)."""
    return b"\x21\xf9\x04" + bytes([disposal << 2, 1, 0, 0, 0])
