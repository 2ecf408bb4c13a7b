"""Boxes of a photo that is decoded at a reduced size, as the network gets them."""

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.detectors import Detections
from pipeline.errors import DetectError, UsageError
from pipeline.lab.datasets.example import Example
from pipeline.lab.training.samples import plain_sample, random_sample, read_scored_photo
from pipeline.lab.training.settings import TrainSettings


class OneObject:
    """Finds the lower half of every photo, and a little more."""

    name, identity = "one object", "1"

    def detect(self, photos: list[np.ndarray]) -> list[Detections]:
        height, width = photos[0].shape[:2]
        box = np.array([[0, height / 2, width + 0.25, height + 0.25]], np.float32)
        return [Detections(box, np.ones(1, np.float32), [""])]


def example_of(folder: Path, size_wh: tuple[int, int], crops: list[list[int]]) -> Example:
    path = folder / "photo.png"
    Image.new("L", size_wh).save(path)
    scored = np.array(crops, np.float32)
    return Example("photo", path, scored, np.ones(len(crops), np.float32), objects_px=scored)


@pytest.mark.parametrize(
    ("size_wh", "input_wh"),
    [
        ((2575, 3862), (256, 384)),  # 383.9 for a short side of 256
        ((4101, 3075), (352, 256)),  # 341.4 / 32 = 10.7
        ((3001, 2250), (352, 256)),
    ],
)
def test_crops_end_where_exact_arithmetic_ends_them(
    tmp_path: Path, size_wh: tuple[int, int], input_wh: tuple[int, int]
) -> None:
    """Low corners down, high corners up, of source pixels × input side / source side."""
    w, h = size_wh
    crops = [[0, 0, w, h], [w // 2, 0, w, h // 2], [0, h // 3, w // 3, h], [1, 1, w - 1, h - 1]]
    sample = plain_sample(read_scored_photo(example_of(tmp_path, size_wh, crops), None))
    assert tuple(sample.image.shape[:0:-1]) == input_wh
    scale_x, scale_y = [Fraction(a, b) for a, b in zip(input_wh, size_wh, strict=True)]
    expected = [
        [floor(x0 * scale_x), floor(y0 * scale_y), ceil(x1 * scale_x), ceil(y1 * scale_y)]
        for x0, y0, x1, y1 in crops
    ]
    assert sample.crops[:, 1:].tolist() == expected
    assert sample.objects.tolist() == expected


def test_boxes_beyond_the_photo_are_clamped_to_it(tmp_path: Path) -> None:
    example = example_of(tmp_path, (512, 256), [[-3, -1, 515, 200], [100, 100, 512, 260]])
    whole = plain_sample(read_scored_photo(example, None))
    assert whole.crops[:, 1:].tolist() == [[0, 0, 512, 200], [100, 100, 512, 256]]
    settings = TrainSettings(mirror=1.0)
    mirrored = random_sample(read_scored_photo(example, None), settings, np.random.default_rng(0))
    assert sorted(mirrored.crops[:, 1:].tolist()) == [[0, 0, 512, 200], [0, 100, 412, 256]]
    example = Example("photo", example.image, example.scored_px, example.mos)
    found = plain_sample(read_scored_photo(example, OneObject())).objects  # type: ignore[arg-type]
    torch.testing.assert_close(found, torch.tensor([[0.0, 128, 512, 256]]))


def test_a_photo_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    example = example_of(tmp_path, (64, 48), [[0, 0, 32, 32]])
    example.image.write_bytes(example.image.read_bytes()[:40])
    with pytest.raises(UsageError, match=r"photo\.png cannot be read: "):
        read_scored_photo(example, None)


def test_boxes_without_area_in_the_photo_are_left_out(tmp_path: Path) -> None:
    """Their scores too: of three crops, the second is right of a photo 100 pixels wide."""
    crops = [[0, 0, 50, 50], [100, 0, 104, 40], [20, 20, 80, 60]]
    photo = read_scored_photo(
        replace(example_of(tmp_path, (100, 80), crops), mos=np.array([1, 2, 3], np.float32)), None
    )
    assert photo.crops.tolist() == photo.objects.tolist() == [crops[0], crops[2]]
    assert photo.mos.tolist() == [1, 3]


def test_objects_of_a_photo_of_another_size_are_refused(tmp_path: Path) -> None:
    example = example_of(tmp_path, (100, 80), [[0, 0, 90, 70]])
    others = np.array([[0, 0, 90, 70], [20, 20, 200, 160], [150, 20, 200, 70]], np.float32)
    with pytest.raises(UsageError, match=r"photo\.png: 2 of 3 objects leave .* 100 × 80: is"):
        read_scored_photo(replace(example, objects_px=others), None)


def test_a_detector_that_fails_is_told_with_the_photo(tmp_path: Path) -> None:
    class Failing(OneObject):
        def detect(self, photos: list[np.ndarray]) -> list[Detections]:
            raise DetectError("timeout", "it took too long")

    example = replace(example_of(tmp_path, (100, 80), [[0, 0, 90, 70]]), objects_px=None)
    with pytest.raises(UsageError, match=r"photo\.png: it took too long"):
        read_scored_photo(example, Failing())  # type: ignore[arg-type]


def test_scores_of_a_photo_of_another_size_are_refused(tmp_path: Path) -> None:
    """Clamped to a photo of half the size, most crops would be others than people scored."""
    inside, slip, outside = [0, 0, 90, 70], [10, 10, 103, 80], [20, 20, 200, 160]
    photo = read_scored_photo(example_of(tmp_path, (100, 80), [inside, slip]), None)
    np.testing.assert_array_equal(photo.crops[1], [10, 10, 100, 80])
    example = example_of(tmp_path, (100, 80), [inside, outside, outside])
    with pytest.raises(UsageError, match=r"photo\.png: 2 of 3 scored crops leave .* 100 × 80: is"):
        read_scored_photo(example, None)
