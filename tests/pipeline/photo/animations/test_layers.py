"""How frames of GIF and PNG are composed: calculated by hand, pixel by pixel."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.animations.animation import decode_frames
from pipeline.photo.animations.apng_layers import apng_layers
from pipeline.photo.animations.canvas import FrameLayer, composed
from pipeline.photo.animations.gif_layers import gif_layers
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.decoder import Decoder
from tests.support.drawn_pictures import moving, moving_file
from tests.support.odd_photos import png_chunk

LIMITS = DecodeLimits()
RED, GREEN, BLUE, NONE = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)
STAY, CLEAR, RESTORE = 1, 2, 3  # of a GIF


def gif(*frames: tuple[tuple[int, int], list[str], int]) -> bytes:
    """A GIF of 3 by 2 pixels. Frames: place, rows of colours r, g, b or - for none, disposal."""
    data = b"GIF89a" + struct.pack("<HH", 3, 2) + b"\x91\0\0" + bytes(
        [*RED[:3], *GREEN[:3], *BLUE[:3], 9, 9, 9]
    )  # fmt: skip
    for at, rows, disposal in frames:
        image = Image.frombytes(
            "P", (len(rows[0]), len(rows)), bytes("rgb-".index(one) for row in rows for one in row)
        )
        image.putpalette(bytes(range(12)))
        stream = io.BytesIO()
        image.save(stream, "GIF", interlace=0, optimize=False)
        one = stream.getvalue()
        start = one.index(b"\x2c", 13 + (3 << ((one[10] & 7) + 1)))
        data += b"\x21\xf9\4" + struct.pack("<BHB", disposal << 2 | 1, 7, 3) + b"\0"
        data += b"\x2c" + struct.pack("<HHHHB", *at, *image.size, 0) + one[start + 10 : -1]
    return data + b";"


def shown(data: bytes) -> list[list[str]]:
    """The frames as rows of letters; - is transparent."""
    found = decode_frames(data, LIMITS, 1024)
    letters = {RED[:3]: "r", GREEN[:3]: "g", BLUE[:3]: "b"}
    alphas = found.alphas if found.alphas is not None else np.full(found.views.shape[:3], 255)
    return [
        ["".join("-" if not a else letters[tuple(p)] for p, a in zip(*row, strict=True))
         for row in zip(view.tolist(), alpha.tolist(), strict=True)]
        for view, alpha in zip(found.views, alphas, strict=True)
    ]  # fmt: skip


WHOLE, DOT = ["rrr", "rrr"], ["g"]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([((0, 0), WHOLE, STAY), ((1, 0), DOT, STAY), ((2, 1), ["b"], STAY)],
         [["rrr", "rrr"], ["rgr", "rrr"], ["rgr", "rrb"]]),
        ([((0, 0), WHOLE, STAY), ((1, 0), DOT, CLEAR), ((2, 1), ["b"], STAY)],
         [["rrr", "rrr"], ["rgr", "rrr"], ["r-r", "rrb"]]),
        ([((0, 0), WHOLE, STAY), ((1, 0), DOT, RESTORE), ((2, 1), ["b"], STAY)],
         [["rrr", "rrr"], ["rgr", "rrr"], ["rrr", "rrb"]]),
        ([((0, 0), WHOLE, CLEAR), ((1, 0), DOT, STAY)], [["rrr", "rrr"], ["-g-", "---"]]),
        ([((0, 0), WHOLE, RESTORE), ((1, 0), DOT, STAY)], [["rrr", "rrr"], ["-g-", "---"]]),
        ([((0, 0), ["r"], STAY), ((0, 0), ["-g", "b-"], STAY)],
         [["r--", "---"], ["rg-", "b--"]]),
        ([((0, 0), WHOLE, STAY), ((0, 0), ["gg"], CLEAR), ((0, 0), ["-b-"], STAY)],
         [["rrr", "rrr"], ["ggr", "rrr"], ["-br", "rrr"]]),
        ([((0, 0), WHOLE, STAY), ((2, 1), ["gg", "gg"], CLEAR), ((9, 9), ["b"], STAY)],
         [["rrr", "rrr"], ["rrr", "rrg"], ["rrr", "rr-"]]),
    ],
    ids=["stays", "cleared", "restored", "first cleared", "first restored", "holes",
         "holes over what was cleared", "outside"],
)  # fmt: skip
def test_frames_of_a_gif(
    frames: list[tuple[tuple[int, int], list[str], int]], expected: list[list[str]]
) -> None:
    data = gif(*frames)
    assert shown(data) == expected
    assert decode_frames(data, LIMITS, 1024).durations_ms == (70,) * len(frames)
    with Decoder() as decoder:
        assert len(decoder.decode_frames(data).views) == len(frames)


def test_a_frame_of_a_gif_has_its_own_colours_or_those_of_all() -> None:
    data = bytearray(gif(((0, 0), WHOLE, STAY)))
    at = data.index(b"\x2c" + bytes(4) + b"\3\0\2\0")
    own = bytes([*BLUE[:3]]) + bytes(3)
    (layer,) = gif_layers(bytes(data[: at + 9] + b"\x80" + own + data[at + 10 :]), LIMITS)
    assert layer.image.getpixel((0, 0)) == BLUE
    data[10] = 0x11  # no colours of all: black
    (layer,) = gif_layers(bytes(data[:13] + data[25:]), LIMITS)
    assert layer.image.getpixel((0, 0)) == (0, 0, 0, 255)


@pytest.mark.parametrize("side", [5, 7])  # where the frame's width and height are stated
def test_a_frame_without_area_is_not_shown(side: int) -> None:
    data = bytearray(gif(((0, 0), WHOLE, STAY), ((1, 0), DOT, STAY), ((2, 1), ["b"], STAY)))
    assert len([*gif_layers(bytes(data), LIMITS)]) == 3
    at = data.index(struct.pack("<BHHHH", 0x2C, 1, 0, 1, 1))
    data[at + side] = 0
    first, last = gif_layers(bytes(data), LIMITS)
    assert (first.box, last.box) == ((0, 0, 3, 2), (2, 1, 3, 2))


def test_rows_of_an_interlaced_frame_come_in_four_passes() -> None:
    """GIF89a, appendix E: every eighth row, those between, every fourth, every second."""
    rows = np.arange(16, dtype=np.uint8)
    order = [*range(0, 16, 8), *range(4, 16, 8), *range(2, 16, 4), *range(1, 16, 2)]
    image = Image.frombytes("P", (1, 16), rows[order].tobytes())
    image.putpalette(bytes(n for n in range(16) for _ in range(3)))
    stream = io.BytesIO()
    image.save(stream, "GIF", interlace=0, optimize=False)
    data = bytearray(stream.getvalue())
    (plain,) = gif_layers(bytes(data), LIMITS)
    assert np.asarray(plain.image)[:, 0, 0].tolist() == order
    data[data.index(b"\x2c" + bytes(4) + b"\1\0\x10\0") + 9] |= 0x40
    (laced,) = gif_layers(bytes(data), LIMITS)
    assert np.asarray(laced.image)[:, 0, 0].tolist() == rows.tolist()


def test_a_frame_without_a_control_block_stays_a_tenth_of_a_second() -> None:
    data = gif(((0, 0), WHOLE, 5), ((0, 0), ["-"], STAY))
    first, second = gif_layers(data, LIMITS)
    assert (first.disposal, first.duration_ms, first.box) == ("stay", 70, (0, 0, 3, 2))
    assert second.image.getpixel((0, 0)) == NONE
    at = data.rindex(b"\x21\xf9")
    for other in (b"\x21\xfe\2ab\1c\0", b"\x21\xf9\3\1\7\0\0", b""):  # a comment, a short one
        _, bare = gif_layers(data[:at] + other + data[at + 8 :], LIMITS)
        assert (bare.duration_ms, bare.disposal, bare.over) == (100, "stay", True)
        assert bare.image.getpixel((0, 0)) == (9, 9, 9, 255)  # the colour that stood for none


def test_a_gif_that_ends_too_early_or_is_too_large() -> None:
    data = gif(((0, 0), WHOLE, STAY))
    with pytest.raises(OSError, match="ends before its last row"):
        list(gif_layers(data[:-4], LIMITS))
    with pytest.raises(DecodeError, match="a frame of 3 × 2"):
        list(gif_layers(data, DecodeLimits(max_pixels=5)))
    assert len(list(gif_layers(data, DecodeLimits(max_pixels=6)))) == 1


def test_a_gif_without_a_frame_that_has_pixels() -> None:
    data = gif(((0, 0), WHOLE, STAY))
    none = data.replace(b"\3\0\2\0\0", b"\0\0\0\0\0")
    assert list(gif_layers(none, LIMITS)) == []
    with pytest.raises(DecodeError) as caught:
        decode_frames(none, LIMITS, 1024)
    assert caught.value.status == "corrupt"


def test_one_layer_over_another_by_their_opacities() -> None:
    """Porter and Duff: .8 over .4 is .88, and colours count by what is seen of them."""
    under = FrameLayer(Image.new("RGBA", (2, 1), (102, 0, 0, 102)), (0, 0), 50)
    over = FrameLayer(Image.new("RGBA", (1, 1), (204, 0, 0, 204)), (1, 0), 60, "restore")
    instead = FrameLayer(Image.new("RGBA", (1, 1), (9, 9, 9, 9)), (1, 0), 70, over=False)
    frames = [(one.copy(), ms) for one, ms in composed([under, over, instead], (2, 1))]
    assert [ms for _, ms in frames] == [50, 60, 70]
    assert frames[1][0].getpixel((0, 0)) == (102, 0, 0, 102)
    red, _, _, opacity = frames[1][0].getpixel((1, 0))
    assert opacity == pytest.approx(0.88 * 255, abs=1)
    assert red == pytest.approx((204 * 0.8 + 102 * 0.4 * 0.2) / 0.88, abs=1)
    assert frames[2][0].getpixel((1, 0)) == (9, 9, 9, 9)


def apng(*frames: tuple[tuple[int, ...], bytes], more: bytes = b"", first: bytes = b"") -> bytes:
    """A PNG of 2 by 1 pixels, RGBA.

    Frames: width, height, x, y, time, its parts of a second, after, blend; pixels.
    """
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 6, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + more
    data += png_chunk(b"acTL", struct.pack(">II", len(frames), 0))
    data += png_chunk(b"IDAT", zlib.compress(b"\0" + first)) if first else b""
    count = itertools.count()
    for number, (control, pixels) in enumerate(frames):
        data += png_chunk(b"fcTL", struct.pack(">5I2H2B", next(count), *control))
        packed = zlib.compress(b"\0" + pixels)
        if number == 0 and not first:
            data += png_chunk(b"IDAT", packed)
        else:
            data += png_chunk(b"fdAT", struct.pack(">I", next(count)) + packed)
    return data + png_chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("after", "blend", "expected"),
    [
        (0, 0, [(RED, RED), (RED, GREEN), (BLUE, GREEN)]),
        (1, 0, [(RED, RED), (RED, GREEN), (BLUE, NONE)]),
        (2, 0, [(RED, RED), (RED, GREEN), (BLUE, RED)]),
        (0, 1, [(RED, RED), (RED, GREEN), (BLUE, GREEN)]),
    ],
)
def test_frames_of_a_png(after: int, blend: int, expected: list[tuple[object, object]]) -> None:
    data = apng(
        ((2, 1, 0, 0, 1, 10, 0, 0), bytes(RED * 2)),
        ((1, 1, 1, 0, 3, 0, after, blend), bytes(GREEN)),
        ((1, 1, 0, 0, 1, 20, 0, blend), bytes(BLUE)),
    )
    frames = [one.copy() for one, _ in composed(apng_layers(data, LIMITS), (2, 1))]
    assert [(one.getpixel((0, 0)), one.getpixel((1, 0))) for one in frames] == expected
    found = decode_frames(data, LIMITS, 1024)
    assert found.durations_ms == (100, 30, 50)
    with Decoder() as decoder:
        np.testing.assert_array_equal(decoder.decode_frames(data).views, found.views)


def test_a_clear_pixel_of_a_png_shows_what_lies_under_it_or_not() -> None:
    whole = ((2, 1, 0, 0, 1, 10, 0, 0), bytes(RED * 2))
    for blend, expected in ((1, RED), (0, NONE)):
        data = apng(whole, ((1, 1, 1, 0, 1, 10, 0, blend), bytes(NONE)))
        *_, last = (one.copy() for one, _ in composed(apng_layers(data, LIMITS), (2, 1)))
        assert last.getpixel((1, 0)) == expected


def test_a_default_image_lies_under_no_frame() -> None:
    clear = ((2, 1, 0, 0, 1, 10, 0, 1), bytes(NONE * 2))
    frames = list(apng_layers(apng(clear, clear, first=bytes(GREEN * 2)), LIMITS))
    assert [one.image.getpixel((0, 0)) for one in frames] == [NONE, NONE]


def test_every_frame_of_a_png_has_the_palette() -> None:
    images = [Image.frombytes("P", (2, 1), pixels) for pixels in (b"\0\1", b"\1\0")]
    for image in images:
        image.putpalette(bytes([*RED[:3], *GREEN[:3]]))
    stream = io.BytesIO()
    images[0].save(stream, "PNG", save_all=True, append_images=images[1:], transparency=b"\xff\x40")
    first, second = apng_layers(stream.getvalue(), LIMITS)
    assert [first.image.getpixel((n, 0)) for n in (0, 1)] == [RED, (*GREEN[:3], 0x40)]
    assert [second.image.getpixel((n, 0)) for n in (0, 1)] == [(*GREEN[:3], 0x40), RED]


def test_times_of_a_png_are_parts_of_a_second() -> None:
    red = bytes(RED * 2)
    times = ((3, 10), (3, 0), (1, 3), (0, 10))
    data = apng(*(((2, 1, 0, 0, time, parts, 0, 0), red) for time, parts in times))
    assert [one.duration_ms for one in apng_layers(data, LIMITS)] == [300, 30, 333, 0]


def test_a_frame_is_unpacked_from_its_own_bytes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handing over all the rest of a file for each frame takes time by the square of its size."""
    data = moving_file("GIF", moving(20), [50] * 20)
    given = []
    make = Image._getdecoder

    class Counting:
        def __init__(self, *arguments: object) -> None:
            self.decoder = make(*arguments)
            self.setimage, self.cleanup = self.decoder.setimage, self.decoder.cleanup

        def decode(self, codes: bytes) -> tuple[int, int]:
            given.append(len(codes))
            return tuple(self.decoder.decode(codes))

    monkeypatch.setattr(Image, "_getdecoder", Counting)
    assert len(list(gif_layers(data, LIMITS))) == len(given) == 20
    assert sum(given) < len(data)


def test_a_file_that_ends_behind_the_descriptor_of_a_frame() -> None:
    data = moving_file("GIF", moving(1), [50])
    start = data.rindex(b"\x2c\0\0\0\0")
    with pytest.raises(OSError, match="before its codes"):
        list(gif_layers(data[: start + 10], LIMITS))
