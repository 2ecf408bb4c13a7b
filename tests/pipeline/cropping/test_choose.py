"""The choosers, calculated by hand, and the packaged rule in simple situations."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.boxes import area, shares_inside
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser, ScoreChooser
from pipeline.cropping.chooser import ShapeSearch
from pipeline.cropping.chosen import Chosen, pick_distinct
from pipeline.cropping.decide import GuardPolicy, PhotoGuards
from pipeline.cropping.protected import protected_of
from pipeline.cropping.rule import packaged_rule
from pipeline.cropping.search import SearchResult, exhaustive
from pipeline.detectors import Attention, Detections
from pipeline.shapes import parse_shape

SIZE = (600, 400)


def boxes(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def scored(found: np.ndarray, scores: Sequence[float]) -> SearchResult:
    """A list that was scored whole."""
    values = np.array(scores, np.float32)
    return SearchResult(found, values, np.arange(len(values)), values.astype(np.float64))


def gaze_at(*spots: tuple[float, float, float]) -> np.ndarray:
    """A gaze map of 16 × 16 cells: Gaussians at (x, y), each with a weight."""
    y, x = (np.mgrid[:16, :16] + 0.5) / 16
    cells = np.full((16, 16), 1e-3)
    for at_x, at_y, weight in spots:
        cells += weight * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * 0.08**2))
    return cells / cells.sum()


def seen(
    found: list[tuple[str, tuple[float, float, float, float]]],
    gaze: np.ndarray,
    heads: Sequence[Sequence[float]] = (),
) -> Detections:
    """Sure objects in pixels of SIZE; people keep twice as much as they look at."""
    kept = np.clip(2 * gaze / gaze.max(), 0.05, 1)
    heads_rel = np.array(heads, np.float64).reshape(-1, 4) / (SIZE * 2)
    attention = Attention(gaze, kept, heads_rel, np.ones(len(heads_rel)))
    labels = [label for label, _ in found]
    rows = boxes(*(box for _, box in found))
    return Detections(rows, np.ones(len(rows), np.float32), labels, attention)


def zeros(candidates: np.ndarray) -> np.ndarray:
    """Scores of a network that likes all alike."""
    return np.zeros(len(candidates), np.float32)


def crop_of(objects: Detections, shape: str, count: int = 1) -> np.ndarray:
    """The best crops where the network likes all candidates alike."""
    asked = parse_shape(shape)
    candidates = for_shape(*SIZE, asked)
    (found,) = exhaustive([candidates], zeros)
    (chosen,) = OverlapChooser(objects, SIZE).best([ShapeSearch(asked, candidates, found)], count)
    return chosen.boxes


def test_the_best_is_taken_and_the_next_is_clearly_different() -> None:
    # 1 overlaps 0 by 90/110, 2 by 50/150: 2 is next although 1 has the higher value.
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10), (5, 0, 15, 10))
    assert pick_distinct(found, np.array([9.0, 6, 3]), 4) == [0, 2]
    assert pick_distinct(found, np.array([9.0, 6, 3]), 1) == [0]
    assert pick_distinct(found, np.array([-np.inf, 6, 3]), 2) == [1, 2]  # 60/140
    assert pick_distinct(found, np.zeros(3), 1) == [0]


def test_by_score_only_scored_candidates_are_taken() -> None:
    found = boxes((0, 0, 10, 10), (4, 0, 14, 10), (20, 0, 30, 10))
    part = SearchResult(
        found[:2], np.array([0.3, 0.2], np.float32), np.arange(2), np.array([0.3, 0.2, 9])
    )
    (chosen,) = ScoreChooser(Detections(), (40, 10)).best(
        [ShapeSearch(parse_shape("1:1"), found, part)], 2
    )
    assert chosen.boxes.tolist() == found[:2].tolist()  # 60/140
    assert chosen.choice == pytest.approx([0.3, 0.2])


def test_a_crop_of_other_boxes_is_compared_with_all_candidates() -> None:
    """The worst of them, chosen because guards leave no other, is behind the best."""
    asked, objects = parse_shape("9:16"), seen([], gaze_at((0.2, 0.5, 1)))
    candidates = for_shape(*SIZE, asked)
    (found,) = exhaustive([candidates], zeros)
    chooser, searched = OverlapChooser(objects, SIZE), ShapeSearch(asked, candidates, found)
    worst = candidates[chooser.values(searched).argmin()][None]
    other = chooser.best_other(searched, worst, zeros, 1)
    (features,) = chooser.confidence_features(searched, other)
    assert features.lead < -0.1
    (best,) = chooser.best([searched], 1)
    again = chooser.best_other(searched, candidates, zeros, 1)
    assert np.array_equal(again.boxes, best.boxes)


def test_choosers_differ_where_a_face_is_cut() -> None:
    """Of two squares the network prefers the left one, which cuts the face on the right."""
    face = Detections(boxes((110, 40, 150, 80)), np.ones(1, np.float32), ["face"])
    squares = boxes((0, 0, 130, 130), (70, 0, 200, 130))
    picked = []
    for make in (OverlapChooser, ScoreChooser):
        found = scored(squares, (0.05, -0.05))
        (chosen,) = make(face, (200, 130)).best(
            [ShapeSearch(parse_shape("1:1"), squares, found)], 1
        )
        picked.append(shares_inside(chosen.boxes[0], face.boxes)[0])
    assert picked == pytest.approx([1, 0.5])


def test_choice_is_the_value_of_the_box_that_is_returned() -> None:
    objects = seen([], gaze_at((0.3, 0.4, 1)))
    asked = parse_shape("1:1")
    candidates = for_shape(*SIZE, asked)
    (found,) = exhaustive([candidates], lambda some: some[:, 0])
    chooser = OverlapChooser(objects, SIZE)
    values = chooser.values(ShapeSearch(asked, candidates, found))
    (chosen,) = chooser.best([ShapeSearch(asked, candidates, found)], 3)
    assert chosen.choice[0] >= values.max() - 1e-4  # moved to where it is best, then rounded
    assert (np.diff(chosen.choice) < 0).all()
    last = np.flatnonzero((candidates == chosen.boxes[-1]).all(axis=1))
    assert len(last) == 1  # the last one is not moved
    assert chosen.choice[-1] == pytest.approx(values[last[0]])
    assert np.array_equal(chosen.boxes, np.rint(chosen.boxes))


@pytest.mark.parametrize("number", range(8))
def test_crops_are_clearly_different_after_they_are_moved(number: int) -> None:
    """Whatever is seen. And none is passed over: what is better is at the place of an earlier one.

    A place is that of a candidate that is as good at least, and like the earlier crop. Both are
    told here from the boxes alone: by the areas that crops share, and by levels and values of all
    candidates.
    """
    random = np.random.default_rng(number)
    size = (int(random.integers(200, 2000)), int(random.integers(200, 2000)))
    spots = random.uniform(0.1, 0.9, (3, 3))
    corners = np.sort(random.uniform(0, 1, (5, 2, 2)), axis=1).reshape(5, 4)
    gaze = gaze_at(*((x, y, weight) for x, y, weight in spots))
    objects = Detections(
        (corners * [*size, *size]).astype(np.float32),
        np.sort(random.uniform(0.2, 1, 5))[::-1].astype(np.float32),
        random.choice(["person", "thing", "face", "text", "subject"], 5).tolist(),
        Attention(gaze, np.clip(2 * gaze / gaze.max(), 0.05, 1), corners[:1], np.ones(1)),
    )
    guards = PhotoGuards(GuardPolicy.read(), protected_of(objects, size, 0.3))
    chooser = OverlapChooser(objects, size, guards)
    for shape in map(parse_shape, ("1:1", "16:9", "9:16", "free", "circle")):
        candidates = for_shape(*size, shape)
        (found,) = exhaustive([candidates], lambda some: np.sin(some[:, 0] / size[0] * 5))
        searched = ShapeSearch(shape, candidates, found)
        (chosen,) = chooser.best([searched], 4)
        values, levels = chooser.values(searched), guards(shape).levels(candidates)
        free = np.ones(len(candidates), bool)  # of what is like a crop ranked before
        for rank, box in enumerate(chosen.boxes):
            level, choice = chosen.levels_or_zero[rank], chosen.choice[rank]
            is_better = (levels < level) | ((levels == level) & (values > choice + 1e-9))
            for passed in np.flatnonzero(free & is_better):
                as_good = (levels < levels[passed]) | (
                    (levels == levels[passed]) & (values >= values[passed])
                )
                assert (as_good & ~free & is_like(candidates[passed], candidates)).any()
            assert not is_like(box, chosen.boxes[rank + 1 :]).any()
            free &= ~is_like(box, candidates)


def is_like(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    return np.asarray(shared >= 0.7 * (area(box) + area(others) - shared))


def test_a_lead_is_over_a_crop_that_breaks_guards_no_more() -> None:
    found = boxes((0, 0, 1, 1), (2, 0, 3, 1), (4, 0, 5, 1))
    chosen = Chosen(found, np.array([3.0, 1, 9]), np.array([0, 0, 2]))
    assert [chosen.lead(rank) for rank in range(3)] == [2, None, None]
    assert [chosen.passes(rank) for rank in range(3)] == [True, True, False]
    assert Chosen(found, chosen.choice).lead(1) == -8


@pytest.mark.parametrize("size", [(31, 20), (60, 45), (200, 133)])
def test_no_crop_is_behind_the_next(size: tuple[int, int]) -> None:
    """On small photos rounding to pixels moves values by more than crops differ."""
    asked = parse_shape("1:1")
    candidates = for_shape(*size, asked)
    for number in range(6):
        gaze = np.random.default_rng(number).uniform(0.9, 1.0, (16, 16))
        attention = Attention(gaze / gaze.sum(), gaze, np.zeros((0, 4)), np.zeros(0))
        (found,) = exhaustive([candidates], zeros)
        chooser = OverlapChooser(Detections(attention=attention), size)
        choice = chooser.best([ShapeSearch(asked, candidates, found)], 4)[0].choice
        assert (np.diff(choice) <= 0).all()


@pytest.mark.parametrize("top", [0, 90, 200, 260])
def test_a_head_that_fits_is_inside_at_16_9(top: float) -> None:
    """Wherever it is; people look at something else."""
    head = (250, top, 340, top + 120)
    objects = seen([], gaze_at((0.5, 0.5, 1)), heads=[head])
    (crop,) = crop_of(objects, "16:9")
    assert shares_inside(crop, boxes(head))[0] >= 0.99


@pytest.mark.parametrize("favourite", [0, 1])
def test_of_two_far_objects_one_is_shown_whole_and_never_the_gap(favourite: int) -> None:
    """Of two people at the edges of a narrow crop, the one that is looked at more."""
    people = [("person", (20.0, 80.0, 170.0, 380.0)), ("person", (430.0, 80.0, 580.0, 380.0))]
    weights = [0.45, 0.55] if favourite else [0.55, 0.45]
    gaze = gaze_at((95 / 600, 0.5, weights[0]), (505 / 600, 0.5, weights[1]))
    objects = seen(people, gaze)
    for shape in ("9:16", "2:3"):
        (crop,) = crop_of(objects, shape)
        shares = shares_inside(crop, objects.boxes)
        assert shares[favourite] >= 0.99, shape
        assert shares[1 - favourite] <= 0.01, shape


@pytest.mark.parametrize("left", [40, 150, 260, 330])
def test_text_is_whole_or_left_out(left: float) -> None:
    line = ("text", (left, 180.0, left + 130.0, 220.0))
    for spot in (0.25, 0.5, 0.75):
        (crop,) = crop_of(seen([line], gaze_at((spot, 0.5, 1))), "9:16")
        share = shares_inside(crop, boxes(line[1]))[0]
        assert share <= 0.02 or share >= 0.98, spot


def test_equally_good_places_go_to_the_centre_of_gaze() -> None:
    """An even photo at a narrow ratio, with a slight lean of the gaze to either side."""
    lean = np.linspace(0.98, 1.02, 16)[None].repeat(16, axis=0)
    left, right = (crop_of(seen([], g / g.sum()), "9:16")[0] for g in (lean[:, ::-1], lean))
    assert abs((left[0] + left[2]) / 2 - 300) < 60
    assert (left[0] + left[2]) / 2 <= 300 <= (right[0] + right[2]) / 2


def test_free_cuts_what_nobody_keeps() -> None:
    """People keep the left part alone: the crop leaves most of the right part out."""
    kept = np.full((16, 16), 0.02)
    kept[2:14, 1:9] = 0.98
    gaze = gaze_at((0.3, 0.5, 1))
    objects = Detections(attention=Attention(gaze, kept, np.zeros((0, 4)), np.zeros(0)))
    (crop,) = crop_of(objects, "free")
    area = (crop[2] - crop[0]) * (crop[3] - crop[1]) / (600 * 400)
    assert 0.3 < area < 0.65  # the kept part fills .375
    assert crop[2] < 450


def test_a_circle_alone_is_penalised_for_what_its_rim_cuts() -> None:
    """A thing in the middle of the upper edge; half of it is above the square that counts."""
    thing = Detections(boxes((40, 0, 60, 7)), np.ones(1, np.float32), ["thing"])
    square = boxes((0, 0, 100, 100))
    chooser = OverlapChooser(thing, (100, 100))
    plain, circle = (
        chooser.values(ShapeSearch(parse_shape(name), square, scored(square, [0.0])))[0]
        for name in ("1:1", "circle")
    )
    rule = packaged_rule().penalties
    assert plain - circle >= rule.things + rule.objects + rule.tops - 1e-3
