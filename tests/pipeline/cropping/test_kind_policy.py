"""The policy for each kind of photo, without a network; boxes are calculated by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.cropping.decision import overridden
from pipeline.cropping.kind_policy import KindPolicy, kind_with_objects, leading_box, text_share
from pipeline.cropping.overrides import Override
from pipeline.detectors import Detections
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shapes

SHAPES = parse_shapes("1:1,16:9,free")
NOTHING = Detections()


def photo_of(width: int, height: int, **facts: object) -> Photo:
    pixels = np.zeros((height // 10, width // 10, 3), np.uint8)
    return Photo(pixels, width, height, "png", 1, **facts)  # type: ignore[arg-type]


def text_at(*boxes: tuple[float, ...]) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.ones(count, np.float32), ["text"] * count
    )


TALL = photo_of(400, 2000, kind="long")
TALL_SCREEN = replace(TALL, by_screen=True)


def test_long_photos_by_each_rule() -> None:
    assert KindPolicy().override_for(TALL, NOTHING, SHAPES) is None
    assert KindPolicy("look").override_for(TALL_SCREEN, NOTHING, SHAPES) is None
    top = Override("", boxes_px={"1:1": (0, 0, 400, 400), "16:9": (0, 0, 400, 225),
                                 "free": (0, 0, 400, 800)}, reason="long_top")  # fmt: skip
    assert KindPolicy().override_for(TALL_SCREEN, NOTHING, SHAPES) == top
    assert KindPolicy("top").override_for(TALL, NOTHING, SHAPES) == top
    pad = Override("", never_crop=True, reason="long_pad")
    assert KindPolicy("pad").override_for(TALL, NOTHING, SHAPES) == pad
    short = photo_of(400, 900, by_screen=True)
    assert KindPolicy("pad").override_for(short, NOTHING, SHAPES) is None


def test_the_beginning_of_a_wide_photo_is_its_left_end() -> None:
    one, wide, free = SHAPES
    assert leading_box(3000, 600, one) == (0, 0, 600, 600)
    assert leading_box(3000, 600, wide) == (0, 0, 1067, 600)
    assert leading_box(3000, 600, free) == (0, 0, 1200, 600)


def test_a_beginning_thinner_than_the_photo_is_its_middle() -> None:
    """In whole pixels: 399 - 250 leaves 74 on one side and 75 on the other."""
    (thin, flat) = parse_shapes("1:4,4:1")
    assert leading_box(399, 1000, thin) == (74, 0, 324, 1000)
    assert leading_box(1000, 399, flat) == (0, 74, 1000, 324)


@pytest.mark.parametrize(
    ("boxes", "share"),
    [
        ([], 0.0),
        ([(0, 0, 100, 50)], 0.5),
        ([(0, 0, 100, 50), (0, 25, 100, 75)], 0.75),  # they overlap
        ([(0, 0, 50, 50), (50, 50, 100, 100)], 0.5),
    ],
)
def test_the_share_of_text_counts_no_part_twice(
    boxes: list[tuple[float, ...]], share: float
) -> None:
    assert text_share(text_at(*boxes), 100, 100) == share


def test_a_photo_full_of_text_is_text_heavy_and_kept_whole() -> None:
    photo, full, little = photo_of(100, 100), text_at((0, 0, 100, 25)), text_at((0, 0, 100, 24))
    assert kind_with_objects(photo, full) == "text-heavy"
    assert kind_with_objects(photo, little) == "photo"
    assert kind_with_objects(replace(photo, kind="screenshot"), full) == "screenshot"
    wide = photo_of(400, 100)
    assert kind_with_objects(wide, text_at((0, 0, 200, 60))) == "text-heavy"
    assert kind_with_objects(wide, text_at((0, 0, 90, 100))) == "photo"
    faces = replace(full, labels=["face"])
    assert kind_with_objects(photo, faces) == "photo"
    said = KindPolicy().override_for(photo, full, SHAPES)
    assert said == Override("", never_crop=True, reason="text_pad")
    assert KindPolicy(text_heavy="crop").override_for(photo, full, SHAPES) is None
    page = photo_of(100, 100, kind="text-heavy")
    assert KindPolicy().override_for(page, NOTHING, SHAPES) == said
    decided = overridden(said, SHAPES[0], (100, 140))
    assert decided is not None
    assert (decided.fit, decided.chosen.boxes.tolist()) == ("pad", [[0, 0, 100, 140]])
