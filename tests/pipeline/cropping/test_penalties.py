"""Penalties, calculated by hand on a photo of 100 × 100 px."""

import numpy as np
import pytest

from pipeline.cropping.evidence import Evidence, evidence_of
from pipeline.cropping.penalties import (
    animal_head_cuts,
    fits_in_crop,
    head_cuts,
    main_object_cuts,
    object_cuts,
    text_cuts,
    thing_cuts,
    weighted_cuts,
    whole_head_cuts,
    with_headroom,
    with_side_room,
)
from pipeline.detectors import Attention, Detections, Votes

EVEN = np.full((4, 4), 1 / 16)


def evidence(
    heads: list[list[float]] | None = None,
    found: list[tuple[str, list[float]]] | None = None,
    scores: list[float] | None = None,
) -> Evidence:
    """Even maps, sure heads and found objects, all as shares of the sides."""
    heads_rel = np.array(heads or []).reshape(-1, 4)
    labels = [label for label, _ in found or []]
    boxes = np.array([box for _, box in found or []], np.float32).reshape(-1, 4) * 100
    sure = np.array(scores if scores else np.ones(len(labels)), np.float32)
    attention = Attention(EVEN, np.full((4, 4), 0.5), heads_rel, np.ones(len(heads_rel)))
    return evidence_of(Detections(boxes, sure, labels, attention), (100, 100))


def test_half_a_head_is_worse_than_the_half_that_is_lost() -> None:
    photo = evidence([[0.4, 0.4, 0.6, 0.6]])
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1], [0, 0, 0.3, 1]])
    # whole: 0; half inside: (1 + 4 · .5 · .5) · .5 = 1; outside: 1; at 4 % of the photo, threefold
    assert head_cuts(photo, cut=0.5)(boxes) == pytest.approx([0, 3.0, 3.0])
    assert head_cuts(photo, cut=1.0)(boxes) == pytest.approx([0, 4.5, 3.0])


def test_each_head_counts() -> None:
    four = evidence([[x, 0.4, x + 0.1, 0.5] for x in (0.1, 0.3, 0.5, 0.7)])
    box = np.array([[0.0, 0.0, 0.45, 1.0]])  # leaves two out
    # of 1 % of the photo, half the side of a large one: half-way from 1 to 3
    assert head_cuts(four, cut=0.0)(box) == pytest.approx([2 * 2])


WHOLE_HALF_LEFT_OUT = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1], [0, 0, 0.4, 1.0]])


@pytest.mark.parametrize(("ratio", "counts"), [(1.0, 1.0), (None, 1.0), (0.1, 0.0)])
def test_large_heads_that_fit_are_shown_whole(ratio: float | None, counts: float) -> None:
    """A large head, and one of a crowd, which does not count; a crop of .1 holds neither."""
    photo = evidence([[0.4, 0.4, 0.6, 0.6], [0.49, 0.1, 0.51, 0.12]])
    cuts = whole_head_cuts(photo, 0.6, ratio)
    # whole; half inside: (1 + 4 · .6 · .5) · .5; left out
    assert cuts(WHOLE_HALF_LEFT_OUT) == pytest.approx(counts * np.array([0, 1.1, 1]), abs=1e-6)


def heads_of_animals(
    likelihoods: list[float], boxes: tuple[list[float], ...], person: float = 0.0
) -> Evidence:
    """Heads of animals in a photo, and that of a person with a likelihood of `person`."""
    attention = Attention(
        EVEN, EVEN, np.array([[0.7, 0.1, 0.9, 0.3]]), np.array([person]),
        animal_heads_rel=np.array(boxes), animal_likelihood=np.array(likelihoods),
    )  # fmt: skip
    return evidence_of(Detections(attention=attention), (100, 100))


CAT, OTHER = [0.4, 0.4, 0.6, 0.6], [0.0, 0.4, 0.2, 0.6]


@pytest.mark.parametrize(("likelihood", "counts"), [(0.25, 0.0), (0.35, 0.5), (0.45, 1.0)])
def test_likely_heads_of_animals_are_shown_whole(likelihood: float, counts: float) -> None:
    """Half-way up the ramp from .25 to .45 is .35; they are no votes for heads of people."""
    photo = heads_of_animals([likelihood], (CAT,))
    cuts = animal_head_cuts(photo, 0.6, 0.5)  # so far from the photo's ratio without side room
    expected = counts * np.array([0, 1.1, 1])
    assert cuts(WHOLE_HALF_LEFT_OUT) == pytest.approx(expected, abs=1e-6)
    for of_people in (head_cuts(photo, 0.6), whole_head_cuts(photo, 0.6, 1.0)):
        assert of_people(WHOLE_HALF_LEFT_OUT) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize(
    ("head", "ratio", "top"),
    [
        ([0.4, 0.3, 0.6, 0.5], None, 0.28),  # a tenth of .2
        ([0.4, 0.3, 0.6, 0.5], 4.0, 0.28),  # a crop of .25 has .05 to spare, and half of it is more
        ([0.4, 0.3, 0.6, 0.5], 4.8, 0.2958333),  # of .2083: half of .0083
        ([0.4, 0.3, 0.6, 0.5], 6.0, 0.3),  # the crop is lower than the head
        ([0.4, 0.01, 0.6, 0.21], 0.5, 0.0),  # the photo ends
    ],
)
def test_headroom(head: list[float], ratio: float | None, top: float) -> None:
    grown = with_headroom(np.array([head]), ratio)
    assert grown == pytest.approx(np.array([[head[0], top, *head[2:]]]))


def test_a_large_head_at_the_upper_edge_costs_something() -> None:
    """A crop that begins at its top lacks 1 / 11 of it and its room; with both it is free."""
    crops = np.array([[0.0, 0.4, 1.0, 0.9], [0.0, 0.38, 1.0, 0.88]])
    share = 10 / 11
    expected = [(1 + 4 * 0.6 * share) * (1 - share), 0]
    person = whole_head_cuts(evidence([[0.4, 0.4, 0.6, 0.6]]), 0.6, 2.0)
    animal = animal_head_cuts(heads_of_animals([1.0], (CAT,)), 0.6, 2.0)
    for cuts in (person, animal):
        assert cuts(crops) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("head", "ratio", "left", "right"),
    [
        (CAT, None, 0.36, 0.64),  # a fifth of .2 at each side
        (CAT, 1.0, 0.36, 0.64),
        (CAT, np.exp(-1 / 3), 0.38, 0.62),  # half-way to 2/3
        (CAT, np.exp(-2 / 3), 0.4, 0.6),
        ([0.3, 0.4, 0.7, 0.5], 0.8, 0.2467772, 0.7532228),  # .4 (.2 (1 - 1.5 · .2231436))
        ([0.2, 0.4, 0.9, 0.5], 0.8, 0.175, 0.925),  # a quarter of .8 - .7
        (OTHER, 1.0, 0.0, 0.24),  # the photo ends
    ],
)
def test_room_at_the_sides_of_heads(
    head: list[float], ratio: float | None, left: float, right: float
) -> None:
    grown = with_side_room(np.array([head]), ratio)
    assert grown == pytest.approx(np.array([[left, head[1], right, head[3]]]))


def test_only_heads_of_animals_have_room_at_their_sides() -> None:
    """A crop that begins at the head's left side lacks .04 of .28 of an animal's with room."""
    crop, share = np.array([[0.4, 0.0, 1.0, 1.0]]), 0.24 / 0.28
    animal = animal_head_cuts(heads_of_animals([1.0], (CAT,)), 0.6, 1.0)
    assert animal(crop) == pytest.approx([(1 + 4 * 0.6 * share) * (1 - share)], abs=1e-9)
    assert whole_head_cuts(evidence([CAT]), 0.6, 1.0)(crop) == pytest.approx([0], abs=1e-9)


def test_several_large_heads_share_the_weight() -> None:
    left_out = np.array([[0.0, 0.0, 0.3, 1.0]])  # the cat; the other animal is whole
    small = [0.45, 0.45, 0.52, 0.52]  # .0049 of the photo
    for photo, of_animals, of_people in (
        (heads_of_animals([1.0], (CAT,)), 1, 0),
        (heads_of_animals([1.0, 1.0], (CAT, OTHER)), 1 / 2, 0),
        (heads_of_animals([1.0], (CAT,), person=0.6), 1 / 2, 1 / 2),  # the person is left out too
        (heads_of_animals([1.0], (small,)), 0, 0),
    ):
        animals, people = (each(photo, 0.6, 1.0) for each in (animal_head_cuts, whole_head_cuts))
        assert animals(left_out) == pytest.approx([of_animals], abs=1e-9)
        assert people(left_out) == pytest.approx([of_people], abs=1e-9)


def test_votes_count_instead_of_peaks_where_there_are_some() -> None:
    boxes = np.array([[0.4, 0.4, 0.6, 0.6], [0.4, 0.4, 0.8, 0.6]])
    told = Votes(boxes, np.array([0.5, 0.25]))
    peaks = np.array([[0.0, 0.0, 0.1, 0.1]])
    kept = np.full((4, 4), 0.5)
    attention = Attention(EVEN, kept, peaks, np.ones(1), head_votes=told)
    photo = evidence_of(Detections(attention=attention), (100, 100))
    left_half = np.array([[0.0, 0.0, 0.5, 1.0]])
    # half of the first head and three quarters of the second are lost; both are large
    lost = 0.5 / 2 + 0.25 * 3 / 4
    assert head_cuts(photo, cut=0.0)(left_half) == pytest.approx([3 * lost])


def test_half_a_person_is_worst() -> None:
    photo = evidence(found=[("person", [0.4, 0.2, 0.6, 0.8])])
    boxes = np.array([[0, 0, 0.5, 1], [0, 0, 0.45, 1], [0, 0, 0.4, 1], [0.3, 0, 1, 1]])
    # 4 · share inside · share outside: 1, 4 · 1/4 · 3/4, and 0 where it is out or whole
    assert object_cuts(photo, None)(boxes) == pytest.approx([1, 0.75, 0, 0], abs=1e-6)


def test_objects_count_by_their_certainty() -> None:
    found = [("thing", [0.4, 0.2, 0.6, 0.8]), ("subject", [0.0, 0.0, 0.2, 0.2])]
    photo = evidence(found=found, scores=[0.375, 1.0])
    half = np.array([[0.0, 0.0, 0.5, 1.0]])  # through the thing; the region is whole
    # weights: half-way up the ramp from .25 to .5, and 1; of a sum of 1.5
    assert object_cuts(photo, None)(half) == pytest.approx([0.5 / 1.5], abs=1e-6)


@pytest.mark.parametrize(
    ("side", "ratio", "expected"),
    [
        (0.4, 0.5, 1.0),  # the widest crop is .5 wide: half of what it could hold
        (0.5, 0.5, 0.5),  # just as wide: half-way from .9 to 1.1
        (0.6, 0.5, 0.0),  # no crop of the shape can hold it
        (0.6, None, 1.0),  # one of any ratio can
        (0.6, 2.0, 0.0),  # it is higher than any crop twice as wide as high, relative to the photo
    ],
)
def test_objects_that_fit_are_not_cut(side: float, ratio: float | None, expected: float) -> None:
    photo = evidence(found=[("subject", [0.1, 0.1, 0.1 + side, 0.1 + side])])
    through_the_middle = np.array([[0.1 + side / 2, 0.0, 1.0, 1.0]])
    cut = object_cuts(photo, ratio)(through_the_middle)
    assert cut == pytest.approx([expected], abs=1e-5)
    assert object_cuts(photo, ratio)(np.array([[0.0, 0, 1, 1]])) == pytest.approx([0], abs=1e-6)
    assert object_cuts(evidence(), ratio)(through_the_middle) == pytest.approx([0])


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, 0.5), (None, 0.5), (0.3, 0.0)])
def test_people_and_things_that_fit_are_not_cut_and_regions_may_be(
    ratio: float | None, expected: float
) -> None:
    """Of two sure ones the second is halved; a crop of a ratio of .3 can hold neither."""
    found = [
        ("person", [0.0, 0.2, 0.4, 0.6]), ("thing", [0.5, 0.2, 0.9, 0.6]),
        ("subject", [0.3, 0.0, 0.7, 0.4]),
    ]  # fmt: skip
    photo = evidence(found=found)
    half = np.array([[0.0, 0.0, 0.7, 1.0]])
    assert thing_cuts(photo, ratio)(half) == pytest.approx([expected], abs=1e-5)
    assert thing_cuts(evidence(found=found[2:]), ratio)(half) == pytest.approx([0])


@pytest.mark.parametrize(
    ("looked_at", "score", "ratio", "expected"),
    [
        (0.4, 1.0, 0.5, 0.0), (0.55, 1.0, 0.5, 0.5), (0.7, 1.0, 0.5, 1.0), (0.9, 1.0, 0.5, 1.0),
        (0.7, 0.375, 0.5, 0.5), (0.7, 1.0, 0.1, 0.0),
    ],
)  # fmt: skip
def test_what_most_of_the_gaze_is_on_is_not_cut(
    looked_at: float, score: float, ratio: float, expected: float
) -> None:
    """A region on the left, with this share of the gaze; a crop of a ratio of .1 cannot hold it."""
    gaze = np.full((4, 4), (1 - looked_at) / 13)
    gaze[:3, 0] = looked_at / 3
    attention = Attention(gaze, np.full((4, 4), 0.5), np.zeros((0, 4)), np.zeros(0))
    boxes = np.array([[0, 0, 25, 75], [50, 0, 75, 50]], np.float32)  # few look at the second one
    found = Detections(boxes, np.array([score, 1], np.float32), ["subject", "thing"], attention)
    cuts = main_object_cuts(evidence_of(found, (100, 100)), ratio)
    half, whole, without = [0, 0.375, 1, 1], [0, 0, 1, 1], [0.25, 0, 1, 1]
    assert cuts(np.array([half, whole, without])) == pytest.approx([expected, 0, 0], abs=1e-6)


@pytest.mark.parametrize("ratio", [0.5, 2.0, None])
def test_what_is_as_long_as_the_photo_is_hard_to_hold(ratio: float | None) -> None:
    """No crop is longer than the photo: what reaches from end to end fits it just so."""
    end_to_end = [0.3, 0.0, 0.5, 1.0] if ratio != 2.0 else [0.0, 0.3, 1.0, 0.5]
    assert fits_in_crop(np.array([end_to_end]), ratio) == pytest.approx([0.5])
    assert fits_in_crop(np.array([[0.3, 0.3, 0.5, 0.5]]), ratio) == pytest.approx([1.0])


def test_text_is_shown_whole_or_left_out() -> None:
    photo = evidence(found=[("text", [0.2, 0.1, 0.6, 0.2])])
    boxes = np.array([[0, 0, 0.8, 0.5], [0.4, 0, 1, 0.5], [0.7, 0, 1, 0.5], [0.24, 0, 1, 0.5]])
    # whole, half, left out, a tenth cut off: 4 · .9 · .1
    assert text_cuts(photo)(boxes) == pytest.approx([0, 1, 0, 0.36], abs=1e-6)
    assert object_cuts(photo, None)(boxes) == pytest.approx(np.zeros(4))  # only text is text
    assert text_cuts(evidence())(boxes) == pytest.approx(np.zeros(4))


def test_joined_cuts_cost_what_each_kind_does() -> None:
    found = [("person", [0.3, 0.2, 0.6, 0.8]), ("text", [0.1, 0.1, 0.5, 0.2])]
    photo = evidence([[0.4, 0.2, 0.5, 0.4]], found)
    crops = np.array([[0.0, 0.0, 0.45, 1.0], [0.35, 0.3, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    people = object_cuts(photo, None)
    kinds = [(2.0, head_cuts(photo, 1.0)), (3.0, people), (0.5, text_cuts(photo))]
    expected = sum(weight * one(crops) for weight, one in kinds)
    assert weighted_cuts(kinds)(crops) == pytest.approx(expected)
    assert (weighted_cuts(kinds)(crops)[:2] > 0.5).all()
    assert len(weighted_cuts([(0.0, people), *kinds[:1]]).boxes) == 1  # without what costs nothing
