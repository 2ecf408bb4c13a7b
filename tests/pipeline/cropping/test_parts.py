"""A part of a photo is cropped like a separate photo; results are in the whole photo's frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.cropping.build import assemble
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.parts import attention_of_whole, crops_of_whole, objects_of_whole
from pipeline.cropping.results import PhotoCrops, ScoredCandidates, ScoredCrop
from pipeline.cropping.sources import GivenSource
from pipeline.detectors import Attention, Detections
from pipeline.detectors.given_boxes import GivenBoxes, ListedPhoto
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shapes
from s2cnet import FastS2CNet, S2CNet

torch.set_num_threads(1)

# 400 × 200 with black borders of 50 columns on the left and 20 rows below.
WHOLE = Photo(np.zeros((200, 400, 3), np.uint8), 400, 200, "png", 1, content_px=(50, 0, 400, 180))


@pytest.fixture(scope="module")
def engine() -> CropEngine:
    return assemble(FastS2CNet(S2CNet.untrained(seed=1)), GivenSource(GivenBoxes()))


def test_maps_get_empty_borders() -> None:
    """Of 4 × 4 cells over 400 × 200, 2 × 2 of the part 200 … 400 × 100 … 200 hold its gaze."""
    part = Photo(np.zeros((100, 200, 3), np.uint8), 200, 100, "png", 1, origin_px=(200, 100))
    gaze = np.zeros((4, 4))
    gaze[0, 0], gaze[3, 3] = 0.25, 0.75
    kept = np.full((4, 4), 0.5)
    kept[0, :2] = 1.0
    heads = np.array([[0.5, 0.0, 1.0, 0.5]])
    found = attention_of_whole(Attention(gaze, kept, heads, np.array([0.9])), part, WHOLE)
    assert found.gaze[2, 2] == pytest.approx(0.25)
    assert found.gaze[3, 3] == pytest.approx(0.75)
    assert found.gaze.sum() == pytest.approx(1)
    assert found.kept[2, 2] == pytest.approx(0.75)  # two cells of 1.0 and two of 0.5
    assert found.kept[3, 3] == pytest.approx(0.5)
    assert found.kept[:2].sum() == 0
    assert found.heads_rel.tolist() == [[0.75, 0.5, 1.0, 0.75]]
    # Around the peak: three quarters at the middle of the last cell, one at that of the third.
    assert found.focus_rel() == pytest.approx((0.8125, 0.8125))


def test_maps_that_are_no_squares_keep_their_rows_and_columns() -> None:
    """2 × 4 cells of the lower half: the whole's lower row has both of the part's."""
    part = Photo(np.zeros((100, 400, 3), np.uint8), 400, 100, "png", 1, origin_px=(0, 100))
    gaze = np.array([[0.1, 0, 0, 0.2], [0.3, 0.4, 0, 0]])
    found = attention_of_whole(Attention(gaze, gaze, np.zeros((0, 4)), np.ones(0)), part, WHOLE)
    below = [[0, 0, 0, 0], [0.4, 0.4, 0, 0.2]]
    assert found.gaze == pytest.approx(np.array(below))
    assert found.kept == pytest.approx(np.array(below) / 2)


def test_objects_of_all_of_a_photo_are_its_own() -> None:
    """A part at the photo's corner is still a part: its maps are of less."""
    gaze = np.full((2, 2), 0.25)
    attention = Attention(gaze, gaze, np.zeros((0, 4)), np.ones(0))
    objects = Detections(attention=attention)
    assert objects_of_whole(objects, WHOLE, WHOLE) is objects
    corner = Photo(np.zeros((100, 200, 3), np.uint8), 200, 100, "png", 1)
    found = objects_of_whole(objects, corner, WHOLE).attention
    assert found is not None
    assert found.gaze.tolist() == [[1, 0], [0, 0]]


def test_boxes_are_moved_and_numbers_stay() -> None:
    crop = ScoredCrop("1:1", 0, (1.0, 2.0, 31.0, 32.0), 0.5, 0.6, 0.1, [1.0], 0)
    boxes = np.array([[0, 0, 9, 9]], np.float32)
    kept = ScoredCandidates("1:1", boxes, np.ones(1, np.float32))
    moved = crops_of_whole(PhotoCrops([crop], [kept]), WHOLE.content.origin_px)
    assert moved.crops == [replace(crop, box_px=(51.0, 2.0, 81.0, 32.0))]
    assert moved.candidates[0].boxes_px.tolist() == [[50, 0, 59, 9]]


def test_crops_lie_inside_the_borders(engine: CropEngine) -> None:
    """Boxes of the list are in the whole photo's frame, and come back in it."""
    listed = ListedPhoto("a", [[60, 10, 160, 110]])
    (seen,) = engine.see([WHOLE], [listed])
    assert seen.objects.boxes.tolist() == [[10, 10, 110, 110]]
    assert seen.objects_px.boxes.tolist() == [[60, 10, 160, 110]]
    found = engine.choose(seen, parse_shapes("1:1,16:9,free"), 2, keep_candidates=True)
    boxes = [crop.box_px for crop in found.crops]
    boxes += [tuple(box) for one in found.candidates for box in one.boxes_px.tolist()]
    low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
    assert (low[:2] >= (50, 0)).all()
    assert (high[2:] <= (400, 180)).all()


def test_a_part_gives_what_it_gives_alone(engine: CropEngine) -> None:
    inner = np.random.default_rng(0).integers(0, 255, (180, 350, 3), np.uint8)
    framed = WHOLE.pixels.copy()
    framed[:180, 50:] = inner
    (alone,) = engine.see(
        [Photo(inner, 350, 180, "png", 1)], [ListedPhoto("a", [[10, 10, 90, 90]])]
    )
    (part,) = engine.see([replace(WHOLE, pixels=framed)], [ListedPhoto("a", [[60, 10, 140, 90]])])
    shapes = parse_shapes("1:1,9:16")
    own = engine.choose(alone, shapes, 1).crops
    for crop, other in zip(engine.choose(part, shapes, 1).crops, own, strict=True):
        assert crop.box_px == tuple(np.add(other.box_px, (50, 0, 50, 0)))
        assert crop.choice == pytest.approx(other.choice)
        assert crop.object_shares == pytest.approx(other.object_shares)
