"""Crops of one photo that have the same box and size are cut once."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cropping.results import ScoredCrop
from pipeline.photo.animations.animation import Animation
from pipeline.photo.decode import Photo
from pipeline.settings import ThumbnailSettings
from pipeline.settings.safe_areas import parse_safe_areas
from pipeline.stages import encode as module
from pipeline.stages.encode import encoded_crops
from pipeline.stages.task import PhotoRow
from tests.support.odd_photos import scene

SQUARE = (10.0, 5.0, 70.0, 65.0)


def crop(ratio: str, box_px: tuple[float, float, float, float], rank: int = 1) -> ScoredCrop:
    return ScoredCrop(ratio, rank, box_px, 0.5, None, None, [], 0)


def photo_row(*crops: ScoredCrop) -> PhotoRow:
    return PhotoRow("a", "b", photo=Photo(scene(120, 80), 120, 80, "png", 1), crops=list(crops))


def no_frames(_: bytes) -> Any:
    raise AssertionError("no moving photo")


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, ...]]:
    """The boxes that were cut."""
    boxes: list[tuple[float, ...]] = []
    cut = module.cut_with_opacity

    def counted(photo: Photo, box_px: tuple[float, ...], size_wh: tuple[int, int]) -> np.ndarray:
        boxes.append(box_px)
        return cut(photo, box_px, size_wh)

    monkeypatch.setattr(module, "cut_with_opacity", counted)
    return boxes


@pytest.mark.parametrize("format", ["webp", "jpeg"])
def test_a_circle_is_made_of_the_cut_of_its_square(
    format: Any, cuts: list[tuple[float, ...]]
) -> None:
    other = (0.0, 0.0, 60.0, 60.0)
    settings = ThumbnailSettings(thumbnail_size=32, format=format)
    row = photo_row(crop("1:1", SQUARE), crop("circle", SQUARE), crop("1:1", other, 2))
    square, circle, second = encoded_crops(row, settings, {}, no_frames)
    assert cuts == [SQUARE, other]
    alone = [encoded_crops(photo_row(one), settings, {}, no_frames)[0].image for one in row.crops]
    assert [square.image, circle.image, second.image] == alone


def test_a_whole_photo_keeps_clear_of_what_lies_over_its_crops() -> None:
    """In the middle of the square it would reach to row 83 of 100."""
    whole = replace(crop("1:1", (0.0, 0.0, 120.0, 80.0)), fit="pad")
    settings = ThumbnailSettings(thumbnail_size=100, format="png", background="00ff00")
    areas = parse_safe_areas("1:1=caption:0,0.8,1,1")
    (made,) = encoded_crops(photo_row(whole), settings, areas, no_frames)
    green = (np.asarray(Image.open(io.BytesIO(made.image or b""))) == (0, 255, 0)).all(axis=(1, 2))
    assert len(green) == 100
    assert green[80:].all()
    assert not green[70]


def test_the_same_box_at_another_size_is_cut_again(cuts: list[tuple[float, ...]]) -> None:
    box = (10.0, 5.0, 74.0, 53.0)  # 4:3 exactly; the square thumbnail of it has another size
    row = photo_row(crop("4:3", box), crop("1:1", box))
    sizes = [
        (made.width, made.height)
        for made in encoded_crops(row, ThumbnailSettings(thumbnail_size=32), {}, no_frames)
    ]
    assert sizes == [(32, 24), (32, 32)]
    assert cuts == [box, box]


@pytest.mark.parametrize(("format", "still"), [("webp", "WEBP"), ("png", "PNG"), ("auto", None)])
def test_frames_that_are_equal_within_a_crop_are_one(format: Any, still: str | None) -> None:
    """Only the right half moves, and only between the second and the third of three frames."""
    views = np.stack([scene(120, 80)] * 3)
    views[2, :, 90:] = 255 - views[2, :, 90:]
    animation = Animation(views, None, (40, 50, 60), 2)
    left, right = crop("1:1", SQUARE), crop("3:4", (60.0, 0.0, 120.0, 80.0))
    row = photo_row(left, right)
    row.moving, row.frames = np.zeros(1, np.uint8), 3
    settings = ThumbnailSettings(thumbnail_size=64, format=format)
    resting, moving = encoded_crops(row, settings, {}, lambda _: animation)
    pictures = [Image.open(io.BytesIO(one.image or b"")) for one in (resting, moving)]
    assert [one.frames for one in (resting, moving)] == [1, 2]
    assert [getattr(one, "n_frames", 1) for one in pictures] == [1, 2]
    assert still in (None, pictures[0].format)
    times = []
    for frame in range(2):
        pictures[1].seek(frame)
        pictures[1].load()
        times.append(pictures[1].info["duration"])
    assert times == [90, 60]
