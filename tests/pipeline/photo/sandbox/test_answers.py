"""A child's answer is accepted only if it is valid: every field at its limits."""

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.photo.files.frames import MOST_FRAMES
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.answers import animation_from, photo_from, plain_text, whole_numbers
from pipeline.photo.sandbox.pipes import DiedError, most_pixel_bytes

LIMITS = DecodeLimits()
PHOTO = {
    "status": "ok", "view_wh": [4, 2], "width_px": 8, "height_px": 4, "format": "jpeg",
    "orientation": 3,
}  # fmt: skip
MOVING = {"status": "ok", "view_wh": [4, 2], "durations_ms": [0, 65_535], "plays": 0,
          "alpha": False}  # fmt: skip
AREA = 8


def pixels_of(count: int) -> bytearray:
    return bytearray(n % 251 for n in range(count))


def test_a_photo_has_what_its_answer_says() -> None:
    more = {"frames": 7, "alpha": True, "complete": 0.5, "there_px": [0, 1, 8, 4],
            "wide_space": "p3"}  # fmt: skip
    found = photo_from(LIMITS, PHOTO | more, pixels_of(7 * AREA))
    assert (found.width_px, found.height_px, found.format) == (8, 4, "jpeg")
    assert (found.orientation, found.frames, found.complete) == (3, 7, 0.5)
    assert (found.there_px, found.wide_space) == ((0, 1, 8, 4), "p3")
    stored = np.array(pixels_of(7 * AREA), np.uint8)
    np.testing.assert_array_equal(found.pixels, stored[:24].reshape(2, 4, 3))
    np.testing.assert_array_equal(found.alpha, stored[24:32].reshape(2, 4))
    np.testing.assert_array_equal(found.wide, stored[32:].reshape(2, 4, 3))


def test_what_an_answer_need_not_say() -> None:
    found = photo_from(LIMITS, PHOTO, pixels_of(3 * AREA))
    assert (found.frames, found.complete, found.there_px) == (1, 1.0, None)
    assert (found.alpha, found.wide, found.wide_space) == (None, None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"view_wh": [8, 1]}, {"orientation": 1}, {"orientation": 8}, {"frames": 1},
        {"frames": MOST_FRAMES}, {"complete": 1.0}, {"complete": 1e-6}, {"there_px": [0, 0, 8, 4]},
        {"there_px": [6, 2, 8, 4]}, {"format": "heic"}, {"width_px": 65_535},
        {"height_px": 65_535},
    ],
)  # fmt: skip
def test_the_last_values_that_are_taken(change: dict[str, object]) -> None:
    found = photo_from(LIMITS, PHOTO | change, pixels_of(3 * AREA))
    assert found.pixels.size == 3 * AREA


@pytest.mark.parametrize(
    "change",
    [
        {"view_wh": [0, 2]}, {"view_wh": [4, 0]}, {"view_wh": [4]}, {"view_wh": [8, 1.0]},
        {"width_px": 3}, {"height_px": 1}, {"width_px": 8.0}, {"format": None},
        {"width_px": 65_536}, {"height_px": 65_536}, {"width_px": 10**30}, {"format": "x" * 50},
        {"format": "tiff"}, {"format": "jpeg\x1b[2J"}, {"format": ""}, {"complete": float("nan")},
        {"orientation": 0}, {"orientation": 9}, {"frames": 0}, {"frames": MOST_FRAMES + 1},
        {"complete": 0.0}, {"complete": 1.01}, {"complete": 1}, {"complete": -0.5},
        {"alpha": 1}, {"alpha": True}, {"wide_space": "p3"}, {"wide_space": "rec709"},
        {"wide_space": 3}, {"wide_space": ["p3"]},
        {"there_px": [0, 0, 9, 4]}, {"there_px": [0, 0, 8, 5]}, {"there_px": [-1, 0, 8, 4]},
        {"there_px": [0, -1, 8, 4]}, {"there_px": [8, 0, 8, 4]}, {"there_px": [0, 4, 8, 4]},
        {"there_px": [0, 0, 8]}, {"there_px": "all"}, {"there_px": [0, 0, 8, 4.0]},
        {"there_px": [0, 0, 8, 1]}, {"there_px": [0, 0, 1, 4]}, {"there_px": [0, False, 8, 4]},
        {"orientation": True}, {"frames": True},
    ],
)  # fmt: skip
def test_a_photo_that_can_not_be_is_no_answer(change: dict[str, object]) -> None:
    with pytest.raises(DiedError):
        photo_from(LIMITS, PHOTO | change, pixels_of(3 * AREA))


@pytest.mark.parametrize(
    ("change", "planes"),
    [({}, 3), ({"alpha": True}, 4), ({"wide_space": "p3"}, 6),
     ({"alpha": True, "wide_space": "bt2020"}, 7)],
)  # fmt: skip
def test_pixels_are_as_many_as_the_planes_need(change: dict[str, object], planes: int) -> None:
    assert photo_from(LIMITS, PHOTO | change, pixels_of(planes * AREA)).pixels.shape == (2, 4, 3)
    for count in (planes * AREA - 1, planes * AREA + 1):
        with pytest.raises(DiedError):
            photo_from(LIMITS, PHOTO | change, pixels_of(count))


def test_a_refusal_has_its_message_in_plain_text() -> None:
    with pytest.raises(DecodeError) as caught:
        photo_from(LIMITS, {"status": "too_large", "message": "9\n" + "x" * 300}, pixels_of(24))
    assert caught.value.status == "too_large"
    assert caught.value.message == "9?" + "x" * 198
    with pytest.raises(DecodeError, match="None"):
        photo_from(LIMITS, {"status": "empty"}, bytearray())
    assert plain_text("a\tb\u200fc d") == "a?b?c d"


def test_an_animation_has_what_its_answer_says() -> None:
    found = animation_from(DecodeLimits(), MOVING | {"alpha": True, "plays": 9}, pixels_of(64))
    stored = np.array(pixels_of(64), np.uint8)
    np.testing.assert_array_equal(found.views, stored[:48].reshape(2, 2, 4, 3))
    np.testing.assert_array_equal(found.alphas, stored[48:].reshape(2, 2, 4))
    assert (found.durations_ms, found.plays) == ((0, 65_535), 9)


@pytest.mark.parametrize(
    ("change", "limits"),
    [
        ({"plays": 65_535}, {}), ({}, {"max_frames": 2}), ({}, {"max_side": 4}),
        ({"view_wh": [2, 4]}, {"max_side": 4}),
    ],
)  # fmt: skip
def test_the_last_animations_that_are_taken(
    change: dict[str, object], limits: dict[str, int]
) -> None:
    found = animation_from(DecodeLimits(**limits), MOVING | change, pixels_of(48))  # type: ignore[arg-type]
    assert len(found.views) == 2


@pytest.mark.parametrize(
    ("change", "limits"),
    [
        ({"plays": 65_536}, {}), ({"plays": -1}, {}), ({}, {"max_frames": 1}),
        ({}, {"max_side": 3}), ({"view_wh": [2, 4]}, {"max_side": 3}), ({"view_wh": [0, 2]}, {}),
        ({"view_wh": [4, 0]}, {}), ({"durations_ms": [0, 65_536]}, {}),
        ({"durations_ms": []}, {}), ({"durations_ms": [1, 2, 3]}, {}), ({"alpha": True}, {}),
        ({"status": "fine"}, {}), ({"status": 1}, {}), ({"plays": True}, {}),
    ],
)  # fmt: skip
def test_an_animation_that_can_not_be_is_no_answer(
    change: dict[str, object], limits: dict[str, int]
) -> None:
    with pytest.raises(DiedError):
        animation_from(DecodeLimits(**limits), MOVING | change, pixels_of(48))  # type: ignore[arg-type]


def test_pixels_that_an_answer_may_have() -> None:
    """The largest view of the default: 22 squares of 1,024, up to 1.2 times as wide and as high."""
    largest = 7 * 22 * 1.2**2 * 1024**2
    assert largest < most_pixel_bytes(1024) < 500 << 20
    # Frames of 192 × 3,836 have views of 79 × 1,570; halved they are 96 × 1,918, and near enough.
    assert most_pixel_bytes(300) > 383 * 4 * 96 * 1918 > 4 * 64_000_000
    assert most_pixel_bytes(4096) > 7 * 22 * 1.2**2 * 4096**2


def test_whole_numbers_are_no_truths_and_no_fractions() -> None:
    assert whole_numbers([0, 5, 6, -1, True, 2.0, "3", None], 5) == (0, 5)
