"""Every frame of an animation: pixels, timing, loops, limits; then the animated thumbnail."""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError, UsageError
from pipeline.photo.animations.animation import Animation, decode_frames
from pipeline.photo.decode import decode
from pipeline.photo.encoding.moving import encode_moving, without_repeats
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox import pipes
from pipeline.photo.sandbox.answers import animation_from
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.photo.sandbox.pipes import DiedError
from tests.support.drawn_pictures import moving, moving_file
from tests.support.odd_photos import good_photos, png_chunk, scene

FORMATS = ["GIF", "WEBP", "PNG", "AVIF"]
TIMES = [40, 120, 200]
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)


def decoded(data: bytes, view_side: int = 1024, **limits: int) -> Animation:
    return decode_frames(data, DecodeLimits(**limits), view_side)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def child() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(timeout_s=30)) as one:
        yield one


@pytest.mark.parametrize("format", FORMATS)
def test_frames_come_in_order_with_their_times(format: str, child: Decoder) -> None:
    data = moving_file(format, moving(3), TIMES)
    for found in (decoded(data), child.decode_frames(data)):
        assert found.views.shape == (3, 40, 60, 3)
        for view, colour in zip(found.views, (RED, GREEN, BLUE), strict=True):
            np.testing.assert_allclose(view[20, 30], colour, atol=12)  # GIF and AVIF are lossy
        assert found.durations_ms == tuple(TIMES)
        assert found.alphas is None


@pytest.mark.parametrize(
    ("format", "loop", "plays"),
    [("GIF", 0, 0), ("GIF", 3, 4), ("WEBP", 0, 0), ("WEBP", 3, 3), ("PNG", 0, 0), ("PNG", 5, 5)],
)
def test_how_often_it_is_played(format: str, loop: int, plays: int) -> None:
    assert decoded(moving_file(format, moving(2), [50, 50], loop)).plays == plays


def test_a_gif_that_says_nothing_of_repeating_is_played_once() -> None:
    stream = io.BytesIO()
    first, second = moving(2)
    first.save(stream, "GIF", save_all=True, append_images=[second], duration=50)
    assert decoded(stream.getvalue()).plays == 1


def test_a_part_that_a_frame_leaves_alone_shows_the_frame_before() -> None:
    """GIF frames may cover a part of the canvas; here a green corner over red, nothing disposed."""
    red = Image.new("RGB", (60, 40), RED)
    corner = red.copy()
    corner.paste(GREEN, (0, 0, 10, 10))
    found = decoded(moving_file("GIF", [red, corner], [50, 50]))
    np.testing.assert_allclose(found.views[1][5, 5], GREEN, atol=12)
    np.testing.assert_allclose(found.views[1][30, 30], RED, atol=12)


def test_opacity_of_frames(child: Decoder) -> None:
    clear = Image.new("RGBA", (60, 40), (0, 0, 255, 0))
    half = Image.new("RGBA", (60, 40), (0, 0, 255, 128))
    found = child.decode_frames(moving_file("WEBP", [clear, half], [50, 50]))
    assert found.alphas is not None
    assert (found.alphas[0].max(), found.alphas[1].min()) == (0, 128)
    assert found.views[0].min() == 255  # on white


def test_views_are_reduced_together(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.fromarray(np.roll(scene(400, 300), n, axis=1)) for n in range(4)]
    data = moving_file("PNG", frames, [50] * 4)
    assert decoded(data, view_side=200).views.shape == (4, 150, 200, 3)
    monkeypatch.setattr("pipeline.photo.animations.animation.MOST_VIEW_PIXELS", 4 * 400 * 300 // 4)
    assert decoded(data).views.shape == (4, 150, 200, 3)


@pytest.mark.parametrize("limits", [{"max_frames": 2}, {"max_animation_pixels": 3 * 60 * 40 - 1}])
@pytest.mark.parametrize("format", FORMATS)
def test_limits_on_frames_and_their_pixels(format: str, limits: dict[str, int]) -> None:
    data = moving_file(format, moving(3), TIMES)
    with pytest.raises(DecodeError) as refused:
        decoded(data, **limits)
    assert refused.value.status == "too_many_frames"
    with Decoder(DecodeLimits(**limits)) as child:  # type: ignore[arg-type]
        with pytest.raises(DecodeError) as refused:
            child.decode_frames(data)
        assert refused.value.status == "too_many_frames"
        assert child.decode(data).frames == 3  # its first frame is another matter


@pytest.mark.parametrize("format", FORMATS)
def test_hostile_files_are_told_by_a_status(format: str, child: Decoder) -> None:
    data = moving_file(format, moving(5, 200, 150), [50] * 5)
    middle = len(data) * 3 // 4
    for broken in (data[:middle], data[:middle] + bytes(40) + data[middle + 40 :]):
        try:
            found = child.decode_frames(broken)
        except DecodeError as error:
            assert error.status in ("truncated", "corrupt")  # noqa: PT017 - or it decodes
        else:
            assert len(found.views) == len(found.durations_ms)
    assert len(child.decode_frames(data).views) == 5


def test_a_file_that_states_more_frames_than_it_has(child: Decoder) -> None:
    data = moving_file("PNG", moving(3), TIMES)
    at = data.index(b"acTL") + 4
    lie = png_chunk(b"acTL", struct.pack(">II", 400, 0))
    found = child.decode_frames(data[: at - 8] + lie + data[at + 12 :])
    assert np.array_equal(found.views, child.decode_frames(data).views)


@pytest.mark.parametrize("format", ["GIF", "PNG"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_frames_before_damage_are_shown(format: str, damage: str, child: Decoder) -> None:
    """Of six frames the fourth is damaged, as browsers show them: the first three remain."""
    frames = [Image.fromarray(np.roll(scene(60, 40), 7 * n, axis=1)) for n in range(6)]
    data, three = (moving_file(format, frames[:n], [50] * n) for n in (6, 3))
    at = len(three) + (len(data) - len(three)) // 6  # in the middle of the fourth frame
    broken = data[:at] if damage == "cut" else data[:at] + bytes(200) + data[at + 200 :]
    found = child.decode_frames(broken)
    if damage == "changed" and format == "GIF":  # its codes have no check sum
        assert len(found.views) >= 3
    else:
        assert len(found.views) == 3
    assert np.array_equal(found.views[:3], child.decode_frames(data).views[:3])


@pytest.mark.parametrize("format", ["GIF", "PNG"])
def test_damage_in_the_first_frame_is_told(format: str, child: Decoder) -> None:
    data = moving_file(format, [Image.fromarray(scene(60, 40)), *moving(3)], [50] * 4)
    start = data.index(b"IDAT") if format == "PNG" else 900
    with pytest.raises(DecodeError) as refused:
        child.decode_frames(data[: start + 100])
    assert refused.value.status in ("truncated", "corrupt")


def test_a_still_picture_has_one_frame(child: Decoder) -> None:
    found = child.decode_frames(good_photos()["good.jpg"])
    assert len(found.views) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"durations_ms": []}, {"durations_ms": [5, -1]}, {"durations_ms": [5, 1.5]},
        {"durations_ms": [5, True]}, {"plays": -1}, {"view_wh": [0, 4]}, {"view_wh": [6, 99]},
        {"alpha": True}, {"alpha": 1}, {"plays": None},
    ],
)  # fmt: skip
def test_a_crafted_answer_is_no_animation(change: dict[str, object]) -> None:
    header = {"status": "ok", "view_wh": [6, 4], "durations_ms": [5, 5], "plays": 0, "alpha": False}
    pixels = bytearray(2 * 6 * 4 * 3)
    assert len(animation_from(DecodeLimits(), header, pixels).views) == 2
    with pytest.raises(DiedError):
        animation_from(DecodeLimits(), header | change, pixels)
    assert 500 * len("65535, ") < pipes.MAX_HEADER_BYTES


def frames_of(data: bytes) -> list[Image.Image]:
    image = Image.open(io.BytesIO(data))
    found = []
    for index in range(image.n_frames):
        image.seek(index)
        found.append(image.convert("RGBA"))
    return found


@pytest.mark.parametrize("format", ["webp", "png", "avif"])
def test_a_moving_thumbnail_has_all_frames_and_times(format: str) -> None:
    frames = [np.array(image) for image in moving(3, 32, 24)]
    data = encode_moving(frames, TIMES, 2, format, quality=90)
    again = decoded(data)
    assert again.durations_ms == tuple(TIMES)
    assert again.plays == (0 if format == "avif" else 2)
    for view, colour in zip(again.views, (RED, GREEN, BLUE), strict=True):
        np.testing.assert_allclose(view[12, 16], colour, atol=12)
    assert not Image.open(io.BytesIO(data)).info.get("exif")


@pytest.mark.parametrize("format", ["webp", "png", "avif"])
def test_a_picture_that_stays_for_hours_is_a_frame_of_the_longest_time(format: str) -> None:
    """300 equal frames of 65.535 s are 19,660,500 ms; a frame of WebP has 24 bits for its time."""
    first, second = (np.array(image) for image in moving(2, 32, 24))
    frames, times = without_repeats([first] * 300 + [second], [65_535] * 300 + [40])
    assert times == [16_777_215, 40]
    assert len(frames_of(encode_moving(frames, times, 0, format))) == 2


def test_a_long_time_is_rounded_where_a_png_cannot_tell_it() -> None:
    """70.001 s would be 70,001 / 1,000; 65.535 s is 13,107 / 200."""
    frames = [np.array(image) for image in moving(3, 32, 24)]
    data = encode_moving(frames, [70_001, 65_535, 131_700], 0, "png")
    stated = data.split(b"fcTL")[1:]
    seconds = [Fraction(*struct.unpack_from(">HH", chunk, 20)) for chunk in stated]
    assert seconds == [70, Fraction(13_107, 200), 132]


@pytest.mark.parametrize("format", ["webp", "png", "avif"])
def test_moving_circles_and_opacity(format: str) -> None:
    opaque = [np.array(image) for image in moving(2, 32, 32)]
    corners = [
        one.getpixel((0, 0))[3]
        for one in frames_of(encode_moving(opaque, [50, 50], 0, format, circle=True))
    ]  # type: ignore[index]
    assert corners == [0, 0]
    half = [np.dstack([one, np.full((32, 32), 128, np.uint8)]) for one in opaque]
    found = frames_of(encode_moving([half[0], opaque[1]], [50, 50], 0, format))
    alphas = [one.getpixel((16, 16))[3] for one in found]  # type: ignore[index]
    assert alphas[0] == pytest.approx(128, abs=2)
    assert alphas[1] == 255


@pytest.mark.parametrize("format", ["webp", "png", "avif"])
def test_a_transparent_frame_shows_nothing_of_the_one_before(format: str) -> None:
    opaque = np.full((32, 32, 4), 255, np.uint8)
    first, second = frames_of(encode_moving([opaque, 0 * opaque], [50, 50], 0, format))
    alphas = [frame.getpixel((16, 16))[3] for frame in (first, second)]  # type: ignore[index]
    assert alphas == [255, 0]


def test_jpeg_does_not_move() -> None:
    with pytest.raises(UsageError, match="'jpeg' can't move"):
        encode_moving([scene(8, 8)], [50], 0, "jpeg")


def test_a_default_image_is_no_frame() -> None:
    """An APNG may have a picture for programs that know no APNG, which is not among its frames."""
    stream = io.BytesIO()
    first, *rest = moving(3)
    first.save(stream, "PNG", save_all=True, append_images=rest, default_image=True, duration=70)
    found = decoded(stream.getvalue())
    assert [int(view[20, 30].argmax()) for view in found.views] == [1, 2]
    photo = decode(stream.getvalue())  # shows what browsers show first
    assert photo.frames == 2
    np.testing.assert_array_equal(photo.pixels, found.views[0])


@pytest.mark.parametrize(("most", "status"), [(1 << 20, "empty"), (9, "too_large")])
def test_a_file_without_bytes_or_with_too_many_has_no_frames(most: int, status: str) -> None:
    data = b"" if status == "empty" else moving_file("GIF", moving(2), [50, 50])
    with pytest.raises(DecodeError) as told:
        decode_frames(data, DecodeLimits(max_bytes=most), 64)
    assert told.value.status == status
