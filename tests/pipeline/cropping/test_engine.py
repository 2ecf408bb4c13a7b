"""Choosing crops: by hand where numbers are few, and with a drawn network for what it is fed."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from pipeline.cropping.choose import Belief
from pipeline.cropping.engine import Scorer, inside, pick, propose
from pipeline.cropping.search import Found
from pipeline.detectors import Detections, Pixels
from pipeline.errors import ScoreError
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shape, parse_shapes
from s2cnet import S2CNet

torch.set_num_threads(1)

Ranked = tuple[Belief, Found]


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def objects(*rows: Sequence[float], scores: Sequence[float] | None = None) -> Detections:
    found = boxes(*rows)
    given = np.ones(len(found)) if scores is None else np.array(scores)
    return Detections(found, given.astype(np.float32), ["thing"] * len(found))


def photo(width: int = 300, height: int = 200, reduced: int = 1) -> Photo:
    """A gradient photo whose view is `reduced` times smaller than its source."""
    y, x = np.mgrid[0 : height // reduced, 0 : width // reduced]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    return Photo(pixels, width, height, "jpeg", 1)


class OneBox:
    """A detector that always sees the left upper quarter of what it is given."""

    name = identity = "one-box"

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        return [objects((0, 0, p.shape[1] / 2, p.shape[0] / 2)) for p in photos]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(S2CNet.untrained(seed=1), OneBox())


def test_the_whole_list_is_scored_on_request(scorer: Scorer) -> None:
    """Exhaustive search knows every candidate; the coarse one a part, and none better than it."""
    thorough = Scorer(scorer.model, OneBox(), search="exhaustive")
    picture, shapes = photo(), parse_shapes("1:1,16:9")
    seen = scorer.objects(picture)
    all_of, some_of = (s.choose(picture, shapes, 1, seen, True) for s in (thorough, scorer))
    for shape, full, part in zip(shapes, all_of.candidates, some_of.candidates, strict=True):
        assert len(full.scores) == len(propose(picture, shape)) > len(part.scores)
        assert full.scores.max() >= part.scores.max() - 1e-5
        assert part.scores.max() >= np.quantile(full.scores, 0.9)


def test_ranking_by_score_is_the_networks_alone(scorer: Scorer) -> None:
    """The highest score first, whatever the objects are: what the published code does."""
    plain = Scorer(scorer.model, OneBox(), search="exhaustive", rank_by="score")
    picture, shapes = photo(), parse_shapes("1:1,circle,9:16")
    things = objects((0, 0, 60, 80), (200, 100, 300, 200))
    faces = Detections(things.boxes, things.scores, ["face", "face"])
    chosen = plain.choose(picture, shapes, 3, things, True)
    for shape, scored in zip(shapes, chosen.candidates, strict=True):
        own = [crop.score for crop in chosen.crops if crop.ratio == shape.name]
        assert own[0] == scored.scores.max()
        assert own == sorted(own, reverse=True)
    assert plain.choose(picture, shapes, 3, faces).crops == chosen.crops


def believed(found: np.ndarray, scores: Sequence[float], own: Sequence[float] = ()) -> Ranked:
    """All of a list scored: what is believed of it in standard deviations, and its own scores."""
    values = np.array(scores, np.float64)
    given = np.array(own or scores, np.float32)
    nothing = np.zeros(len(values))
    return (
        Belief(found, values, nothing, nothing),
        Found(found, given, given, np.arange(len(values)), values),
    )


def test_the_best_crop_wins_and_the_next_is_clearly_different() -> None:
    # 1 overlaps 0 by 90/110, 2 by 50/150: 2 is the runner-up although 1 has the higher score.
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10), (5, 0, 15, 10))
    ranked = believed(found, (9, 6, 3), own=(0.9, 0.8, 0.5))
    first, second = pick("1:1", *ranked, 3, objects((0, 0, 10, 10)))
    assert (first.rank, first.box_px, first.score) == (0, (0, 0, 10, 10), pytest.approx(0.9))
    assert first.margin == pytest.approx(0.4)
    assert (second.rank, second.box_px) == (1, (5, 0, 15, 10))
    assert second.margin is None
    assert (first.object_shares, first.objects_cut) == ([1.0], 0)
    assert (second.object_shares, second.objects_cut) == ([0.5], 1)


def test_a_crop_between_good_ones_wins() -> None:
    # Equally believed, the middle one overlaps by (.54 + 1 + .54) / 3, the others by less; then
    # the outer ones are left, which do not overlap enough to be the same. Margins are of scores.
    found = boxes((0, 0, 10, 10), (3, 0, 13, 10), (6, 0, 16, 10))
    ranked = believed(found, (0, 0, 0), own=(0.5, 0.4, 0.5))
    crops = pick("1:1", *ranked, 3, objects())
    assert [crop.box_px[0] for crop in crops] == [3, 0, 6]
    assert [crop.margin for crop in crops] == [pytest.approx(-0.1), pytest.approx(0), None]


def test_what_was_not_scored_counts_but_is_not_taken() -> None:
    # The third box is thought best; of those that were scored the second one overlaps it most.
    found = boxes((0, 0, 10, 10), (4, 0, 14, 10), (6, 0, 16, 10))
    nothing, values = np.zeros(3), np.array([0.0, 0, 9])
    own = np.array([0.3, 0.2], np.float32)
    scored = Found(found[:2], own, own, np.arange(2), values)
    (best,) = pick("1:1", Belief(found, values, nothing, nothing), scored, 1, objects())
    assert (best.box_px[0], best.score) == (4, pytest.approx(0.2))


def test_equal_worth_takes_the_first_candidate() -> None:
    found = boxes((0, 0, 4, 4), (6, 0, 10, 4), (0, 6, 4, 10))
    (best,) = pick("1:1", *believed(found, (0, 0, 0)), 1, objects())
    assert best.box_px == (0, 0, 4, 4)


def test_objects_are_clipped_and_nonsense_is_dropped() -> None:
    given = objects((-5, -5, 10, 10), (np.nan, 0, 5, 5), (310, 0, 320, 10), (7, 7, 7, 9))
    kept = inside(given, photo(300, 200))
    assert kept.boxes.tolist() == [[0, 0, 10, 10]]
    assert len(kept.labels) == len(kept.scores) == 1


@pytest.mark.parametrize("name", ["1:1", "16:9", "9:16", "circle", "free", "3:1"])
@pytest.mark.parametrize("size", [(1, 1), (7, 2000), (2000, 90), (640, 480)])
def test_every_photo_has_candidates_of_every_shape(name: str, size: tuple[int, int]) -> None:
    width, height = size
    found = propose(
        Photo(np.zeros((1, 1, 3), np.uint8), width, height, "png", 1), parse_shape(name)
    )
    assert len(found) >= 1
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2] <= width).all()
    assert (found[:, 3] <= height).all()
    assert (found[:, 2:] > found[:, :2]).all()


def test_detector_boxes_come_back_in_source_pixels(scorer: Scorer) -> None:
    found = scorer.objects(photo(1200, 800, reduced=4))
    assert found.boxes.tolist() == [[0, 0, 600, 400]]


def test_given_objects_take_the_place_of_the_detector(scorer: Scorer) -> None:
    assert scorer.objects(photo(), objects((1, 2, 3, 4))).boxes.tolist() == [[1, 2, 3, 4]]


def test_crops_come_in_the_order_asked_with_their_ratio(scorer: Scorer) -> None:
    shapes = parse_shapes("16:9,free,1:1,circle")
    picture = photo()
    choice = scorer.choose(picture, shapes, 2, scorer.objects(picture), keep_candidates=True)
    assert list(dict.fromkeys(c.ratio for c in choice.crops)) == ["16:9", "free", "1:1", "circle"]
    for crop in choice.crops:
        x0, y0, x1, y1 = crop.box_px
        ratio = parse_shape(crop.ratio).ratio
        assert ratio is None or (x1 - x0) / (y1 - y0) == pytest.approx(ratio, rel=0.02)
    for kept in choice.candidates:
        best = next(c for c in choice.crops if c.ratio == kept.ratio)
        (place,) = np.flatnonzero((kept.boxes_px == np.array(best.box_px)).all(axis=1))
        assert best.score == pytest.approx(float(kept.scores[place]))
        own = scorer.score(picture, kept.boxes_px, scorer.objects(picture))
        np.testing.assert_allclose(kept.scores, own, atol=1e-5)


def test_scores_do_not_depend_on_the_size_of_the_view(scorer: Scorer) -> None:
    """Boxes are in source pixels: the same flat photo at two views gives the same scores."""
    flat = [np.full((h, w, 3), 90, np.uint8) for h, w in ((200, 300), (800, 1200))]
    found = propose(photo(1200, 800), parse_shape("1:1"))
    near, far = (
        scorer.score(Photo(pixels, 1200, 800, "png", 1), found, objects((100, 100, 500, 600)))
        for pixels in flat
    )
    np.testing.assert_allclose(near, far, atol=1e-5)


def test_a_score_that_is_no_number_is_an_error(scorer: Scorer) -> None:
    broken = S2CNet.untrained(seed=1)
    with torch.no_grad():
        next(broken.head.parameters()).fill_(float("nan"))
    with pytest.raises(ScoreError, match="not a number"):
        Scorer(broken, OneBox()).score(photo(), boxes((0, 0, 100, 100)), objects())


def test_a_crop_keeps_the_face(scorer: Scorer) -> None:
    """The widest crop of a tall photo has to show the face, whatever the network likes."""
    picture = photo(200, 300)
    for top in (10, 120, 240):
        seen = Detections(boxes((80, top, 120, top + 48)), np.array([0.9], np.float32), ["face"])
        (crop,) = scorer.choose(picture, parse_shapes("16:9"), 1, seen).crops
        assert crop.object_shares[0] > 0.9
