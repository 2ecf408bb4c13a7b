"""The engine with a network of drawn weights: its inputs, and the order of its crops."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.cropping.build import assemble
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser
from pipeline.cropping.chooser import ShapeSearch
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.decide import GuardPolicy
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.results import SkippedShape
from pipeline.cropping.sources import DetectorSource, SeenPhoto
from pipeline.detectors import Detections, Pixels
from pipeline.errors import ScoreError
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shape, parse_shapes
from s2cnet import FastS2CNet, S2CNet
from tests.support.decisions import ACROSS

torch.set_num_threads(1)


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def objects(*rows: Sequence[float]) -> Detections:
    found = boxes(*rows)
    return Detections(found, np.ones(len(found), np.float32), ["thing"] * len(found))


def photo(width: int = 300, height: int = 200) -> Photo:
    """A gradient."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    return Photo(pixels, width, height, "jpeg", 1)


class OneBox:
    """A detector that always sees the left upper quarter of what it is given."""

    name = identity = "one-box"

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        return [objects((0, 0, p.shape[1] / 2, p.shape[0] / 2)) for p in photos]


SOURCE = DetectorSource(OneBox())


@pytest.fixture(scope="module")
def engine() -> CropEngine:
    return assemble(FastS2CNet(S2CNet.untrained(seed=1)), SOURCE)


def seen_with(engine: CropEngine, one: Photo, given: Detections) -> SeenPhoto:
    return SeenPhoto(engine.transfer.send(one), given)


def test_the_whole_list_is_scored_on_request(engine: CropEngine) -> None:
    """Exhaustive search knows every candidate; the coarse one a part, and none better than it."""
    thorough, engine = (
        assemble(engine.network, SOURCE, search=search, rank_by="score")
        for search in ("exhaustive", "coarse")
    )
    shapes = parse_shapes("1:1,16:9")
    (seen,) = engine.see([photo()])
    all_of, some_of = (one.choose(seen, shapes, 1, True) for one in (thorough, engine))
    for shape, full, part in zip(shapes, all_of.candidates, some_of.candidates, strict=True):
        assert len(full.scores) == len(for_shape(300, 200, shape)) > len(part.scores)
        assert full.scores.max() >= part.scores.max() - 1e-5
        assert part.scores.max() >= np.quantile(full.scores, 0.9)


def test_ranking_by_score_is_the_networks_alone(engine: CropEngine) -> None:
    """The highest score first, whatever the objects are: what the published code does."""
    plain = assemble(engine.network, SOURCE, search="exhaustive", rank_by="score")
    shapes = parse_shapes("1:1,circle,9:16")
    things = objects((0, 0, 60, 80), (200, 100, 300, 200))
    faces = Detections(things.boxes, things.scores, ["face", "face"])
    chosen = plain.choose(seen_with(plain, photo(), things), shapes, 3, True)
    for shape, scored in zip(shapes, chosen.candidates, strict=True):
        own = [crop.score for crop in chosen.crops if crop.ratio == shape.name]
        assert own[0] == scored.scores.max()
        assert own == sorted(own, reverse=True)
    others = plain.choose(seen_with(plain, photo(), faces), shapes, 3).crops
    # What is measured of a crop depends on its objects, what is chosen does not.
    measured = {"faces_cut": 0, "heads_cut": 0, "text_cut": 0, "subject_share": None}
    assert [replace(crop, **measured) for crop in others] == [
        replace(crop, **measured) for crop in chosen.crops
    ]


def test_crops_come_in_the_order_asked_with_their_ratio(engine: CropEngine) -> None:
    shapes = parse_shapes("16:9,free,1:1,circle")
    (seen,) = engine.see([photo()])
    found = engine.choose(seen, shapes, 2, keep_candidates=True)
    assert list(dict.fromkeys(c.ratio for c in found.crops)) == ["16:9", "free", "1:1", "circle"]
    for crop in found.crops:
        x0, y0, x1, y1 = crop.box_px
        ratio = parse_shape(crop.ratio).ratio
        assert ratio is None or (x1 - x0) / (y1 - y0) == pytest.approx(ratio, rel=0.02)
        own = engine.score(seen, boxes(crop.box_px))
        assert crop.score == pytest.approx(float(own[0]), abs=1e-5)
    for kept in found.candidates:
        np.testing.assert_allclose(kept.scores, engine.score(seen, kept.boxes_px), atol=1e-5)


def test_a_shape_that_is_skipped_has_no_crop_and_says_why() -> None:
    policy = GuardPolicy.read("off,text=cut", "skip")
    engine = assemble(FastS2CNet(S2CNet.untrained(seed=1)), SOURCE, guard_policy=policy)
    lines = boxes(*ACROSS)  # no crop of 16:9 leaves all of them whole or out, the photo does
    text = Detections(lines, np.ones(len(lines), np.float32), ["text"] * len(lines))
    seen = seen_with(engine, photo(600, 400), text)
    found = engine.choose(seen, parse_shapes("16:9,3:2"), 2, keep_candidates=True)
    assert found.skipped == [SkippedShape("16:9", "text_cut")]
    assert {crop.ratio for crop in found.crops} == {"3:2"}
    assert [one.ratio for one in found.candidates] == ["16:9", "3:2"]


class Shifting(OverlapChooser):
    """Moves every crop by a pixel."""

    def best(self, searched: Sequence[ShapeSearch], count: int) -> list[Chosen]:
        best = super().best(searched, count)
        return [Chosen(one.boxes + np.float32([1, 0, 1, 0]), one.choice) for one in best]


def test_crops_that_are_no_candidates_are_scored(engine: CropEngine) -> None:
    shifting = CropEngine(engine.network, engine.source, Shifting, engine.search, engine.transfer)
    shapes = parse_shapes("1:1,9:16")
    (seen,) = engine.see([photo()])
    moved = shifting.choose(seen, shapes, 2).crops
    for crop, plain in zip(moved, engine.choose(seen, shapes, 2).crops, strict=True):
        assert crop.box_px == tuple(np.add(plain.box_px, (1, 0, 1, 0)))
        assert crop.score == pytest.approx(float(engine.score(seen, boxes(crop.box_px))[0]))
    first, second = moved[:2]
    assert first.margin == pytest.approx(first.choice - second.choice)


def test_photos_are_seen_together_as_alone(engine: CropEngine) -> None:
    photos = [photo(300, 200), photo(120, 160)]
    for one, seen in zip(photos, engine.see(photos), strict=True):
        assert seen.photo is one
        (alone,) = engine.see([one])
        assert torch.equal(seen.sent.network_input(), alone.sent.network_input())
        np.testing.assert_array_equal(seen.objects.boxes, alone.objects.boxes)
    assert engine.see([]) == []


def test_scores_do_not_depend_on_the_size_of_the_view(engine: CropEngine) -> None:
    """Boxes are in source pixels: the same flat photo at two views gives the same scores."""
    flat = [np.full((h, w, 3), 90, np.uint8) for h, w in ((200, 300), (800, 1200))]
    found = for_shape(1200, 800, parse_shape("1:1"))
    given = objects((100, 100, 500, 600))
    near, far = (
        engine.score(seen_with(engine, Photo(pixels, 1200, 800, "png", 1), given), found)
        for pixels in flat
    )
    np.testing.assert_allclose(near, far, atol=1e-5)


def test_scores_are_those_of_the_definition_whatever_the_sides(engine: CropEngine) -> None:
    """By `S2CNet.forward` on boxes that are scaled here, one side by another factor than the other.

    270 by 256 pixels become 256 by 256. All edges fall on whole pixels of the input.
    """
    network = S2CNet.untrained(seed=1).eval()
    (seen,) = engine.see([photo(270, 256)])
    image = seen.sent.network_input()
    assert image.shape[1:] == (256, 256)
    boxes_px = boxes((0, 0, 270, 256), (0, 0, 135, 100), (135, 50, 270, 256))
    scale = np.array([256 / 270, 1, 256 / 270, 1], np.float32)
    crops = torch.tensor(np.hstack([np.zeros((3, 1), np.float32), boxes_px * scale]))
    found = torch.tensor(seen.objects.boxes * scale)
    with torch.no_grad():
        expected = network(image[None], crops, [found]).numpy()
    np.testing.assert_allclose(engine.score(seen, boxes_px), expected, atol=1e-4)


def test_a_score_that_is_no_number_is_an_error() -> None:
    broken = S2CNet.untrained(seed=1)
    with torch.no_grad():
        next(broken.head.parameters()).fill_(float("nan"))
    engine = assemble(FastS2CNet(broken), SOURCE)
    with pytest.raises(ScoreError, match="not a number"):
        engine.score(seen_with(engine, photo(), objects()), boxes((0, 0, 100, 100)))


def test_a_crop_keeps_the_face(engine: CropEngine) -> None:
    """The widest crop of a tall photo has to show the face, whatever the network likes."""
    for top in (10, 120, 240):
        face = Detections(boxes((80, top, 120, top + 48)), np.array([0.9], np.float32), ["face"])
        seen = seen_with(engine, photo(200, 300), face)
        (crop,) = engine.choose(seen, parse_shapes("16:9"), 1).crops
        assert crop.object_shares[0] > 0.9
