"""The framing of crops at their place, calculated by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.boxes import iou
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser
from pipeline.cropping.chooser import ShapeSearch
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.decide import GuardPolicy, PhotoGuards
from pipeline.cropping.features import FEATURES
from pipeline.cropping.framed import ValuedBoxes, _Ranked
from pipeline.cropping.protected import protected_of
from pipeline.cropping.rule import PenaltyWeights, Rule
from pipeline.cropping.search import exhaustive
from pipeline.detectors import Attention, Detections
from pipeline.shapes import parse_shape

SIZE = (300, 100)
NO_VALUE: Any = None  # no value is asked for
NONE = PenaltyWeights(**dict.fromkeys(PenaltyWeights.__dataclass_fields__, 0.0))
# People look at x = 90. The largest square around it, 40 to 140, shows a third of the thing.
# One that leaves the thing out ends at 120, and its IoU with that square is 80 / 120.
THING = (120.0, 0.0, 180.0, 100.0)


def rule_of(penalty: float, framing: float) -> Rule:
    """Only the size, the distance from the mean of gaze and things that are cut count."""
    overlap = np.zeros((2, 9))
    overlap[0, FEATURES.index("size")] = 1.0
    return Rule(
        overlap=overlap,
        gaze=np.zeros((2, 9)),
        free=np.zeros(11),
        gaze_weight=(0.0, 0.0),
        gaze_pull=1.0,
        placement=0.0,
        penalties=replace(NONE, things=penalty),
        framing=replace(NONE, things=framing),
    )


def searched(name: str = "1:1") -> ShapeSearch:
    shape = parse_shape(name)
    candidates = for_shape(*SIZE, shape)
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some)))
    return ShapeSearch(shape, candidates, found)


def chooser(rule: Rule, thing: tuple[float, ...] = THING) -> OverlapChooser:
    gaze = np.zeros((10, 30))
    gaze[:, 8:10] = 1 / 20  # columns from 80 to 100
    attention = Attention(gaze, gaze, np.zeros((0, 4)), np.zeros(0))
    things = Detections(np.array([thing], np.float32), np.ones(1, np.float32), ["thing"], attention)
    return OverlapChooser(things, SIZE, rule=rule)


def chosen(rule: Rule, count: int = 1, name: str = "1:1") -> Chosen:
    return chooser(rule).best([searched(name)], count)[0]


def test_a_cut_thing_moves_a_crop_at_its_place_only() -> None:
    """Squares of 100 that are 17 or less apart have an IoU of .7 or more: 83 / 117."""
    plain, framed, elsewhere = (
        chosen(rule_of(*weights)).boxes[0] for weights in ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    )
    assert plain.tolist() == pytest.approx([40, 0, 140, 100], abs=1)
    assert elsewhere.tolist() == pytest.approx([20, 0, 120, 100], abs=1)
    assert framed.tolist() == pytest.approx([24, 0, 124, 100], abs=2)  # as far as the place allows
    assert iou(plain, framed) >= 0.7


def test_the_choice_is_the_value_of_the_place() -> None:
    """Framing leaves the best place, whose value is what decided and what the lead is counted from.

    The value of a largest square is 1 less the squared distance from the mean of gaze.
    """
    rule = rule_of(0.0, 1.0)
    best = chosen(rule, 2)
    of_candidates = chooser(rule).values(searched())
    assert best.choice[0] == pytest.approx(of_candidates.max())
    moved = (best.boxes[0, 0] + best.boxes[0, 2]) / 2 / 300 - 0.3
    assert 1 - moved**2 < best.choice[0] - 0.001  # the framed crop itself has less
    assert best.lead(0) == best.choice[0] - best.choice[1] > 0
    assert best.rivals is not None
    assert best.rivals[0] <= best.choice[1] + 1e-9


def test_a_framed_crop_that_is_better_than_its_place_has_its_own_value() -> None:
    """Without penalties framing only goes on to where no candidate is: nearer to the mean of gaze.

    The value of a largest square is 1 less the squared distance of its centre from that mean, at .3
    of the width.
    """
    rule = rule_of(0.0, 0.0)
    best = chosen(rule)
    left, _, right, _ = best.boxes[0]
    expected = 1 - ((left + right) / 2 / 300 - 0.3) ** 2
    assert best.choice[0] == pytest.approx(expected, abs=1e-9)
    assert best.choice[0] > chooser(rule).values(searched()).max()


def test_the_next_crop_is_at_another_place() -> None:
    """Boxes like the one that has decided the first place are not ranked after its framed crop."""
    rule = rule_of(0.0, 1.0)
    first, second, *_ = chosen(rule, 4).boxes
    place = searched().candidates[chooser(rule).values(searched()).argmax()]
    assert iou(first, place) >= 0.7
    assert iou(second, place) < 0.7
    assert iou(second, first) < 0.7


def scattered(seed: int) -> tuple[OverlapChooser, ShapeSearch]:
    """A photo of random size with many places that are looked at, so that some are alike."""
    random = np.random.default_rng(seed)
    size = (int(random.integers(150, 460)), int(random.integers(150, 460)))
    gaze = np.kron(random.random((6, 8)) ** 3, np.ones((4, 4))) + 1e-3
    kept = np.kron(random.random((3, 4)), np.ones((8, 8)))
    attention = Attention(gaze / gaze.sum(), kept, np.zeros((0, 4)), np.zeros(0))
    shape = parse_shape(("1:1", "9:16", "16:9", "3:4")[seed % 4])
    candidates = for_shape(*size, shape)
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some)))
    made = OverlapChooser(Detections(attention=attention), size)
    return made, ShapeSearch(shape, candidates, found)


def test_a_crop_does_not_depend_on_how_many_follow_it() -> None:
    for seed in range(60):
        made, search = scattered(seed)
        few, more = (made.best([search], count)[0] for count in (2, 5))
        assert few.rivals is not None
        assert more.rivals is not None
        assert few.boxes[0].tolist() == more.boxes[0].tolist()
        assert (few.choice[0], few.rivals[0]) == (more.choice[0], more.rivals[0])
        assert few.lead(0) == more.lead(0)


def test_crops_are_clearly_different_and_ordered() -> None:
    framed = 0
    for seed in range(20, 60):
        made, search = scattered(seed)
        found = made.best([search], 5)[0]
        assert found.deciding is not None
        overlaps = iou(found.boxes[:, None], found.boxes)
        assert (overlaps[~np.eye(len(overlaps), dtype=bool)] < 0.7).all()
        assert (np.diff(found.choice) <= 0).all()
        assert (found.choice >= found.deciding).all()
        assert (np.diff(found.deciding) <= 0).all()
        leads = [found.lead(rank) for rank in range(len(found.boxes) - 1)]
        assert min(leads, default=0) >= 0  # type: ignore[type-var]
        framed += int((found.choice[1:] > found.deciding[1:]).sum())
    assert framed > 3  # crops after the first are framed too


def test_a_free_crop_is_not_framed() -> None:
    """Its edges are part of the choice of its place, so the other weights count there."""
    free = np.zeros(11)
    free[FEATURES.index("size_squared")] = -1.0
    boxes = [
        chosen(replace(rule_of(0.0, framing), free=free), name="free").boxes[0]
        for framing in (0.0, 50.0)
    ]
    assert np.array_equal(*boxes)


def test_framing_of_a_circle_counts_what_its_square_cuts() -> None:
    """The square with .93 of the side has to leave a thing from 130 on out: 3.5 pixels less."""
    rule = rule_of(0.0, 1.0)
    thing = (130.0, 0.0, 180.0, 100.0)
    square, circle = (
        chooser(rule, thing).best([searched(name)], 1)[0].boxes[0] for name in ("1:1", "circle")
    )
    assert square[2] == pytest.approx(130, abs=1)
    assert circle[2] == pytest.approx(133.5, abs=1)


def test_a_framed_crop_breaks_guards_no_more_than_its_place() -> None:
    """A head from 12 to 36 is left out at the place; the framing would show half of it."""
    head = np.array([[0.04, 0.1, 0.12, 0.4]])
    made = chooser(rule_of(0.0, 1.0))
    attention = made.objects.attention
    assert attention is not None
    with_head = replace(attention, heads_rel=head, likelihood=np.ones(1))
    objects = replace(made.objects, attention=with_head)
    guards = PhotoGuards(GuardPolicy.read("heads=0.3"), protected_of(objects, SIZE, 0.3))
    guarded = replace(made, objects=objects, guard_of=guards).best([searched()], 1)[0]
    assert guarded.passes(0)
    assert guarded.boxes[0, 0] >= 34  # .05 of the head, 1.2 pixels, may show
    assert guarded.boxes[0, 2] < 130  # it is framed nevertheless: less of the thing shows
    assert made.best([searched()], 1)[0].boxes[0, 0] < 28


@pytest.mark.parametrize(
    ("levels", "second", "expected"),
    [
        ([0, 0, 0], (2.5, 0), ([21, 0, 31, 10], 2.5, 0)),
        ([0, 0, 0], (3.5, 0), ([21, 0, 31, 10], 3.0, 0)),  # at most what the crop before has
        ([0, 1, 1], (3.5, 1), ([21, 0, 31, 10], 3.5, 1)),  # of another level
        ([1, 1, 1], (2.5, 0), ([20, 0, 30, 10], 2.0, 1)),  # else a lower level would come later
    ],
)
def test_what_is_ranked_second(
    levels: list[int], second: tuple[float, int], expected: tuple[list[int], float, int]
) -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
    values = np.array([3.0, 2.0, 1.0])
    ranked = _Ranked(ValuedBoxes(boxes, values, values, NO_VALUE, NO_VALUE, None), np.array(levels))
    first = ranked.next_place()
    ranked.add(first, first.box, first.value, first.level)
    ranked.add(ranked.next_place(), np.array([21, 0, 31, 10], np.float32), *second)
    found = ranked.chosen()
    assert (found.boxes[1].tolist(), found.choice[1], found.levels_or_zero[1]) == expected
    assert found.deciding is not None
    assert found.deciding.tolist() == [3, 2]


def test_a_lead_is_not_over_a_place_of_another_level() -> None:
    """The next box breaks a guard, and has a higher value; its framed crop breaks none.

    One asked for alone has the same lead: there the next crop is not framed.
    """
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
    values, levels = np.array([2.0, 3.0, 1.0]), np.array([0, 1, 1])
    for crop_level in (0, 1):
        ranked = _Ranked(ValuedBoxes(boxes, values, values, NO_VALUE, NO_VALUE, None), levels)
        first = ranked.next_place()
        ranked.add(first, first.box, first.value, first.level)
        ranked.add(ranked.next_place(), np.array([21, 0, 31, 10], np.float32), 3.0, crop_level)
        last = ranked.next_place()
        ranked.add(last, last.box, last.value, last.level)
        found = ranked.chosen()
        assert found.levels_or_zero.tolist() == [0, crop_level, 1]
        assert found.lead(0) is None
        assert found.lead(1) == (2.0 if crop_level else None)


def test_a_crop_that_has_moved_to_one_before_is_not_ranked_twice() -> None:
    """And the boxes near where it has been moved to are left out too."""
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [4, 0, 14, 10]], np.float32)
    values = np.array([3.0, 2.0, 1.0])
    shape = ValuedBoxes(boxes, values, values, NO_VALUE, NO_VALUE, None)
    ranked = _Ranked(shape, np.zeros(3, np.int64))
    place = ranked.next_place()
    ranked.add(place, np.array([3, 0, 13, 10], np.float32), place.value, 0)
    place = ranked.next_place()
    assert place.box.tolist() == [20, 0, 30, 10]
    ranked.add(place, np.array([2, 0, 12, 10], np.float32), 2.5, 0)
    assert ranked.chosen().boxes[1].tolist() == [20, 0, 30, 10]
    assert not ranked.has_more
