"""The fitted rule: features and values by hand, and its treatment of heads, gaps and text."""

from dataclasses import fields, replace

import numpy as np
import pytest

from pipeline.cropping.crop_value import CropValue
from pipeline.cropping.evidence import evidence_of
from pipeline.cropping.features import FEATURES, FREE_FEATURES, Preferred, features_of
from pipeline.cropping.rule import PenaltyWeights, Rule, distance_of, packaged_rule
from pipeline.detectors import Attention, Detections
from pipeline.detectors.attention import Placement, Profile

EVEN = np.full((4, 4), 1 / 16)
WHOLE = np.array([[0.0, 0.0, 1.0, 1.0]])


def nothing(gaze: np.ndarray = EVEN) -> Detections:
    return Detections(attention=Attention(gaze, np.full((4, 4), 0.5), np.zeros((0, 4)), np.ones(0)))


def told(box: list[float], preferred: Preferred | None = None) -> dict[str, float]:
    """Features of one box of an even photo, by name."""
    boxes = np.array([box])
    known = preferred or Preferred(WHOLE, np.ones(1))
    ratio = (boxes[0, 2] - boxes[0, 0]) / (boxes[0, 3] - boxes[0, 1])
    values = features_of(boxes, evidence_of(nothing(), (100, 100)), known, ratio)
    return dict(zip(FEATURES, values[0], strict=True))


def test_features_of_the_whole_photo() -> None:
    found = told([0, 0, 1, 1])
    assert found["size"] == found["gaze_inside"] == found["network_overlap"] == pytest.approx(1)
    assert found["off_centre_x"] == found["off_gaze"] == pytest.approx(0)
    assert found["kept_overlap"] == pytest.approx(0.5)  # people keep half of every cell


def test_features_of_a_part() -> None:
    found = told([0, 0, 0.5, 0.5])
    assert found["size"] == pytest.approx(0.5)
    assert found["size_squared"] == found["gaze_inside"] == pytest.approx(0.25)
    assert found["off_centre_x"] == found["off_centre_y"] == pytest.approx(0.0625)
    assert found["off_gaze"] == pytest.approx(0.125)
    # the soft region has mass .5, .125 of it inside: .125 / (.25 + .5 - .125)
    assert found["kept_overlap"] == pytest.approx(0.2)
    # gaze is everywhere, so all of the photo is looked at: .25 / (.25 + 1 - .25)
    assert found["gaze_overlap"] == found["network_overlap"] == pytest.approx(0.25)


def test_the_region_that_is_looked_at_is_as_large_as_its_cells() -> None:
    """One of 16 cells has all gaze: a quarter with it overlaps by .0625 of .25."""
    gaze = np.zeros((4, 4))
    gaze[1, 1] = 1.0
    found, outside = features_of(
        np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5]]),
        evidence_of(nothing(gaze), (100, 100)), Preferred(WHOLE, np.ones(1)), 1.0,
    )[:, FEATURES.index("gaze_overlap")]  # fmt: skip
    assert found == pytest.approx(0.0625 / 0.25)
    assert outside == pytest.approx(0)


@pytest.mark.parametrize(("box", "size"), [([0, 0.25, 1, 0.75], 1.0), ([0.4, 0.1, 0.6, 0.9], 0.8)])
def test_the_size_is_a_share_of_the_largest_crops_side(box: list[float], size: float) -> None:
    """The largest crop of the ratio 2 has the photo's width, that of 1/4 its height."""
    found = told(box)
    assert found["size"] == pytest.approx(size)
    assert found["size_squared"] == pytest.approx(size**2)


def test_features_of_a_free_part() -> None:
    """Its size is a share of the photo's; .4 × .9 is as far from a square as .9 × .4."""
    flat, high = features_of(
        np.array([[0.1, 0, 1, 0.4], [0.6, 0.1, 1, 1]]),
        evidence_of(nothing(), (100, 100)), Preferred(WHOLE, np.ones(1)), None,
    )  # fmt: skip
    for found in (dict(zip(FREE_FEATURES, one, strict=True)) for one in (flat, high)):
        assert found["size"] == pytest.approx(0.6)
        assert found["ratio"] == pytest.approx(np.log(9 / 4))
        assert found["ratio_squared"] == pytest.approx(np.log(9 / 4) ** 2)


def test_the_network_s_scores_count_by_softmax() -> None:
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    known = Preferred.of(boxes, np.array([1.0, -1.0]))
    # (±1) / (1 + .05) apart by 1.905 deviations, at a temperature of .3
    odds = np.exp(-2 / 1.05 / 0.3)
    assert odds < 0.01
    assert len(known.boxes) == 1  # the other one is too unlikely
    near = Preferred.of(boxes, np.array([0.01, -0.01]))
    odds = np.exp(-0.02 / 0.06 / 0.3)
    assert near.probabilities == pytest.approx([1 / (1 + odds), odds / (1 + odds)])


def rule_of(**changes: object) -> Rule:
    """A rule in which nothing counts, but for the changes."""
    zero = {"overlap": np.zeros((2, 9)), "gaze": np.zeros((2, 9)), "free": np.zeros(11)}
    names = {field.name for field in fields(PenaltyWeights)}
    weights = {**dict.fromkeys(names, 0.0), **{n: v for n, v in changes.items() if n in names}}
    penalties = PenaltyWeights(**weights)
    rest = {name: value for name, value in changes.items() if name not in names}
    both = {"penalties": penalties, "framing": penalties}
    of_place = {"gaze_weight": (0.0, 0.0), "gaze_pull": 0.0, "placement": 0.0}
    return Rule(**{**zero, **of_place, **both, **rest})


def test_the_value_by_hand() -> None:
    """At a distance of ln 2, overlap counts 1 + 2 ln 2 and gaze 3 + 4 ln 2.

    They are weighted 1 to .5 + (ln 2)².
    """
    overlap, gaze = np.zeros((2, 9)), np.zeros((2, 9))
    overlap[:, FEATURES.index("size")] = 1, 2
    gaze[:, FEATURES.index("gaze_inside")] = 3, 4
    rule = rule_of(overlap=overlap, gaze=gaze, gaze_weight=(0.5, 1.0), gaze_pull=0.7)
    evidence = evidence_of(nothing(), (100, 100))
    value_of = CropValue.of(rule, evidence, Preferred(WHOLE, np.ones(1)), 0.5)
    far = np.log(2)
    # the largest crop: size 1, half of the looks inside; its centre is .25 from the mean of gaze
    weight = 0.5 + far**2
    agreement = ((1 + 2 * far) + weight * (3 + 4 * far) * 0.5) / (1 + weight)
    expected = agreement - 0.7 * far * 0.25**2
    assert value_of(np.array([[0, 0, 0.5, 1.0]])) == pytest.approx([expected])


def test_placement_counts_the_more_the_further_the_ratio_is() -> None:
    across = Profile(np.array([0.2, 0.0, 0.0, -0.2]), np.zeros(4))
    placement = Placement(across, Profile(np.zeros(4), np.zeros(4)))
    attention = Attention(EVEN, EVEN, np.zeros((0, 4)), np.zeros(0), placement=placement)
    evidence = evidence_of(Detections(attention=attention), (100, 100))
    known = Preferred(WHOLE, np.ones(1))
    # Up to a distance of .25; the ratio .5 is at .69, .75 at .29, .8 at .22, and .9 at .11.
    for ratio, distance in ((0.5, 0.25), (0.75, 0.25), (0.8, -np.log(0.8)), (0.9, -np.log(0.9))):
        value_of = CropValue.of(rule_of(placement=2.0), evidence, known, ratio)
        boxes = np.array([[0, 0, ratio, 1], [1 - ratio, 0, 1, 1]])
        # Both hold the middle, and at a ratio above .75 some of the worst or best quarter.
        worth = 0.2 - 0.2 * max(0, ratio - 0.75) / 0.25
        expected = 2 * distance * worth * np.array([1, -1])
        for one in (value_of, value_of.framing(rule_of(placement=2.0))):
            assert one(boxes) == pytest.approx(expected)
    # Of a free crop's place nothing is known, whatever the map says of columns and rows.
    good = Profile(np.array([0.2, 0, 0, 0]), np.zeros(4))
    both = evidence_of(
        Detections(attention=replace(attention, placement=Placement(good, good))), (100, 100)
    )
    free = CropValue.of(rule_of(placement=2.0), both, known, None)
    assert free(np.array([[0, 0, 0.5, 1], [0, 0, 1, 0.5]])) == pytest.approx([0, 0])


@pytest.mark.parametrize(("likelihood", "share"), [(0.2, 1.0), (0.4, 0.5), (0.6, 0.0), (0.9, 0.0)])
def test_placement_counts_the_less_the_surer_a_head_is(likelihood: float, share: float) -> None:
    """A head with a tenth of the photo counts by its likelihood alone; the smaller one less."""
    across = Profile(np.array([0.0, 0.0, 1.0, 1.0]), np.zeros(4))
    placement = Placement(across, Profile(np.zeros(4), np.zeros(4)))
    heads = np.array([[0.5, 0.0, 0.75, 0.4], [0.1, 0.1, 0.11, 0.11]])
    found = Attention(EVEN, EVEN, heads, np.array([likelihood, likelihood]), placement=placement)
    evidence = evidence_of(Detections(attention=found), (100, 100))
    assert evidence.headless == pytest.approx(share)
    known = Preferred(WHOLE, np.ones(1))
    sides = np.array([[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]])
    with_it, without = (
        CropValue.of(rule_of(placement=weight), evidence, known, 0.5)(sides)
        for weight in (2.0, 0.0)
    )
    gained = with_it - without
    assert gained[1] - gained[0] == pytest.approx(share * 2.0 * 0.25 * 2)  # 2 cells of worth 1


def test_at_wide_shapes_placement_counts_in_full_and_heads_count_more() -> None:
    """A sure head is in the upper half, what placement finds good in the lower half."""
    down = Profile(np.array([0.0, 0.0, 1.0, 1.0]), np.zeros(4))
    placement = Placement(Profile(np.zeros(4), np.zeros(4)), down)
    head = np.array([[0.4, 0.1, 0.6, 0.3]])  # 4 % of the photo: it counts three times
    found = Attention(EVEN, EVEN, head, np.ones(1), placement=placement)
    evidence = evidence_of(Detections(attention=found), (100, 100))
    known = Preferred(WHOLE, np.ones(1))
    rule = rule_of(placement=2.0, heads=0.1, head_fade=0.5, wide_heads=0.8)
    lower = np.array([[0.0, 0.5, 1.0, 1.0]])  # it leaves the head out
    # Both grow with the distance of the ratios, up to .25. The place is that of the largest crop
    # with the same centre, and this one holds 2 cells of worth 1 at both ratios.
    for ratio, far in ((2.0, 0.25), (1.1, np.log(1.1))):
        heads = 0.1 * (1 - 0.5 * np.log(ratio)) + 0.8 * far
        value = CropValue.of(rule, evidence, known, ratio)
        for one in (value, value.framing(rule)):
            assert one(lower) == pytest.approx([2.0 * far * 2 - 3 * heads])
    value = CropValue.of(rule_of(heads=0.1, wide_heads=0.8), evidence, known, 0.5)
    assert value(lower) == pytest.approx([-3 * 0.1]), "the shape is narrower than the photo"


def test_without_a_placement_map_all_places_are_as_good() -> None:
    evidence, known = evidence_of(nothing(), (100, 100)), Preferred(WHOLE, np.ones(1))
    sides = np.array([[0, 0, 0.5, 1.0], [0.5, 0, 1.0, 1.0]])
    with_it, without = (
        CropValue.of(rule_of(placement=weight), evidence, known, 0.5)(sides) for weight in (2.0, 0)
    )
    assert with_it == pytest.approx(without)


def test_penalties_are_taken_off() -> None:
    heads = np.array([[0.4, 0.4, 0.6, 0.6]])
    found = Detections(
        np.array([[40, 40, 60, 60]] * 2, np.float32), np.ones(2, np.float32), ["person", "text"],
        Attention(EVEN, EVEN, heads, np.ones(1)),
    )  # fmt: skip
    evidence, half = evidence_of(found, (100, 100)), np.array([[0, 0, 0.5, 1.0]])
    known = Preferred(WHOLE, np.ones(1))
    for changes, expected in (
        # Half of it is lost; a head of 4 % of the photo counts three times.
        ({"heads": 2.0}, -3.0),
        ({"heads": 2.0, "head_cut": 1.0}, -9.0),  # and half of it cut: (1 + 4 · .5) · .5 = 1.5
        ({"heads": 2.0, "head_fade": 0.5}, -3.0 * (1 - 0.5 * np.log(2))),  # the ratio is 1 to 2
        ({"whole_heads": 2.0}, -1.0),  # the only one: it counts once, and does not fade
        ({"whole_heads": 2.0, "head_cut": 1.0, "head_fade": 0.5}, -3.0),
        ({"text": 3.0}, -3.0),
        ({"things": 2.0}, -2.0),
        ({"objects": 2.0}, 0.0),  # of a ratio this far, cut objects cost nothing more
    ):
        value = CropValue.of(rule_of(**changes), evidence, known, 0.5)(half)
        assert value == pytest.approx([expected], abs=1e-6), changes
    cat = Attention(
        EVEN, EVEN, np.zeros((0, 4)), np.zeros(0), animal_heads_rel=heads,
        animal_likelihood=np.ones(1),
    )  # fmt: skip
    rule = rule_of(animals=2.0, head_cut=1.0, head_fade=0.5)
    value = CropValue.of(rule, evidence_of(Detections(attention=cat), (100, 100)), known, 0.5)
    assert value(half) == pytest.approx([-3.0])
    for changes, expected in (({"heads": 2.0, "head_fade": 0.5}, -3.0), ({"objects": 2.0}, -2.0)):
        free = CropValue.of(rule_of(**changes), evidence, known, None)(half)
        assert free == pytest.approx([expected], abs=1e-6), "a free crop is near the photo's ratio"
    near = CropValue.of(rule_of(objects=2.0), evidence, known, 0.8)(half)
    assert near == pytest.approx([-2.0 * (1 - np.log(1.25) / (2 / 3))], abs=1e-6)


def test_a_lost_end_is_taken_off_of_shapes_with_a_ratio() -> None:
    found = Detections(np.array([[40, 0, 60, 60]], np.float32), np.ones(1, np.float32), ["thing"])
    evidence, known = evidence_of(found, (100, 100)), Preferred(WHOLE, np.ones(1))
    lower = np.array([[0, 0.3, 1.0, 0.8]])  # the lower half of the thing
    for ratio, expected in ((2.0, -3.0), (None, 0.0)):
        value = CropValue.of(rule_of(tops=3.0), evidence, known, ratio)(lower)
        assert value == pytest.approx([expected], abs=1e-6)


def test_framing_has_its_own_weights_of_ends() -> None:
    found = Detections(np.array([[40, 0, 60, 60]], np.float32), np.ones(1, np.float32), ["thing"])
    evidence, known = evidence_of(found, (100, 100)), Preferred(WHOLE, np.ones(1))
    rule = rule_of(framing=rule_of(tops=3.0).penalties)
    value, lower = CropValue.of(rule, evidence, known, 2.0), np.array([[0, 0.3, 1.0, 0.8]])
    assert value(lower) == pytest.approx([0.0], abs=1e-6)
    assert value.framing(rule)(lower) == pytest.approx([-3.0], abs=1e-6)


def test_a_split_sight_is_taken_off() -> None:
    gaze = np.zeros((24, 24))
    gaze[12, 11] = 1.0
    attention = Attention(gaze, gaze, np.zeros((0, 4)), np.zeros(0), subject=np.ones((24, 24)))
    evidence = evidence_of(Detections(attention=attention), (100, 100))
    half, whole = [0, 0, 11.5 / 24, 1.0], [0.25, 0, 0.75, 1.0]
    known, boxes = Preferred(WHOLE, np.ones(1)), np.array([half, whole])
    for ratio in (0.5, None):
        value_of = CropValue.of(rule_of(sights=2.0), evidence, known, ratio)
        assert value_of(boxes) == pytest.approx([-2.0, 0.0])
    rule = rule_of(framing=rule_of(sights=3.0).penalties)
    placing = CropValue.of(rule, evidence, known, 0.5)
    assert placing(boxes) == pytest.approx([0.0, 0.0])
    assert placing.framing(rule)(boxes) == pytest.approx([-3.0, 0.0])


@pytest.mark.parametrize(("ratio", "width"), [(0.5, 0.5), (1.0, 1.0), (3.0, 1.0), (None, 1.0)])
def test_the_largest_crop_is_no_wider_than_the_photo(ratio: float | None, width: float) -> None:
    evidence = evidence_of(nothing(), (100, 100))
    value_of = CropValue.of(rule_of(), evidence, Preferred(WHOLE, np.ones(1)), ratio)
    assert value_of.largest_width == width


def test_a_circle_cuts_what_its_inner_square_does() -> None:
    """A thing at the upper edge; of a circle the square from .035 to .965 counts."""
    thing = np.array([[40, 0, 60, 7]], np.float32)  # half of it above that square
    found = Detections(thing, np.ones(1, np.float32), ["thing"])
    parts = evidence_of(found, (100, 100)), Preferred(WHOLE, np.ones(1)), 1.0
    for rule, cut in ((rule_of(objects=2.0), 2.0), (rule_of(things=2.0), 2.0)):
        assert CropValue.of(rule, *parts)(WHOLE) == pytest.approx([0.0])
        circle = CropValue.of(rule, *parts).in_circle()
        assert circle(WHOLE) == pytest.approx([-cut], rel=0.01)
    agreement = np.zeros((2, 9))
    agreement[:, FEATURES.index("gaze_inside")] = 1
    whole = CropValue.of(rule_of(overlap=agreement), *parts).in_circle()
    assert whole(WHOLE) == pytest.approx([1.0])  # agreement is that of the whole crop


def test_only_circles_keep_the_main_object_whole() -> None:
    """A thing with all of the gaze, half of which is above the square that counts in a circle."""
    thing = np.array([[40, 0, 60, 7]], np.float32)
    gaze = np.zeros((100, 100))
    gaze[:7, 40:60] = 1 / 140
    attention = Attention(gaze, gaze, np.zeros((0, 4)), np.zeros(0))
    found = Detections(thing, np.ones(1, np.float32), ["thing"], attention)
    parts = evidence_of(found, (100, 100)), Preferred(WHOLE, np.ones(1)), 1.0
    rule = rule_of(framing=rule_of(main_objects=2.0).penalties)
    placing = CropValue.of(rule, *parts)
    assert placing.framing(rule)(np.array([[0, 0.035, 1, 1]])) == pytest.approx([0.0])
    assert placing.in_circle()(WHOLE) == pytest.approx([0.0])
    assert placing.framing(rule).in_circle()(WHOLE) == pytest.approx([-2.0], rel=0.01)
    both = rule_of(framing=rule_of(main_objects=2.0, things=5.0).penalties)
    assert placing.framing(both).in_circle()(WHOLE) == pytest.approx([-7.0], rel=0.01)


def test_the_free_shape_has_its_own_coefficients() -> None:
    free = np.zeros(11)
    free[FREE_FEATURES.index("ratio_squared")] = 1
    free[FREE_FEATURES.index("size_squared")] = 3  # of a free crop, its share of the photo
    value_of = CropValue.of(
        rule_of(free=free), evidence_of(nothing(), (9, 9)), Preferred(WHOLE, np.ones(1)), None
    )
    expected = np.log(5 / 8) ** 2 + 3 * 0.4
    assert value_of(np.array([[0, 0, 0.5, 0.8]])) == pytest.approx([expected])


def test_distance_of_ratios_is_even_and_bounded() -> None:
    assert distance_of(0.5) == distance_of(2.0) == pytest.approx(np.log(2))
    assert distance_of(20.0) == 1.0


def test_where_crops_are_equally_good_the_one_near_the_gaze_wins() -> None:
    """Only the pull counts: of strips of a wide photo, the one around the mean of gaze."""
    gaze = np.zeros((4, 4))
    gaze[:, 2] = 0.25  # its mean lies at .625
    rule = rule_of(gaze_pull=packaged_rule().gaze_pull)
    x = np.linspace(0, 0.6, 25)
    strips = np.stack([x, 0 * x, x + 0.4, 0 * x + 1], axis=1)
    value_of = CropValue.of(
        rule, evidence_of(nothing(gaze), (300, 100)), Preferred.of(strips, 0 * x), 0.4
    )
    assert strips[value_of(strips).argmax()][:3:2].mean() == pytest.approx(0.625, abs=0.01)
