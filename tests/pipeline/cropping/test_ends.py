"""Ends of objects that crops cut off, calculated by hand on a photo of 100 × 100 px."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.boxes import FloatArray
from pipeline.cropping.ends import end_cuts
from pipeline.cropping.evidence import Evidence, evidence_of
from pipeline.cropping.extents import Extents
from pipeline.detectors import Attention, Detections

EVEN = np.full((10, 10), 0.01)
TOWER = ("subject", (0.4, 0.2, 0.6, 0.6))
DOG = ("thing", (0.2, 0.4, 0.8, 0.6))


def photo(
    *found: tuple[str, tuple[float, float, float, float]],
    gaze: FloatArray = EVEN,
    heads: Sequence[tuple[float, float, float, float]] = (),
) -> Evidence:
    """Sure objects and heads, as shares of the sides, and a gaze map."""
    boxes = np.array([box for _, box in found], np.float32).reshape(-1, 4) * 100
    labels = [label for label, _ in found]
    heads_rel = np.array(heads, np.float64).reshape(-1, 4)
    attention = Attention(gaze / gaze.sum(), gaze, heads_rel, np.ones(len(heads_rel)))
    sure = np.ones(len(labels), np.float32)
    return evidence_of(Detections(boxes, sure, labels, attention), (100, 100))


def costs(evidence: Evidence, *boxes: tuple[float, float, float, float]) -> list[float]:
    """Of crops, by weights of 2."""
    return end_cuts(evidence, 1.0, 2.0, 2.0, 0.0).of_extents(Extents.of(np.array(boxes))).tolist()


@pytest.mark.parametrize(
    ("box", "cost"),
    [
        ((0, 0.4, 1, 1), 2),  # without its upper half: 4 · .5 · .5
        ((0, 0.3, 1, 1), 1.5),  # without a quarter: 4 · .25 · .75
        ((0, 0.3, 1, 0.4), 0.5),  # a quarter of it, below a quarter: 4 · .25 · .25
        ((0.5, 0.4, 1, 1), 1),  # half of its width
        ((0, 0, 1, 0.3), 0),  # cut at its foot
        ((0, 0.7, 1, 1), 0),  # left out, below
        ((0, 0, 1, 0.1), 0),  # left out, above
        ((0, 0.2, 1, 0.6), 0),  # whole
    ],
)
def test_a_top_is_missed_and_a_foot_is_not(
    box: tuple[float, float, float, float], cost: float
) -> None:
    """A tower from .2 to .6, both halves of it looked at alike."""
    assert costs(photo(TOWER), box) == pytest.approx([cost], abs=1e-5)


def test_the_side_that_people_look_at_is_missed() -> None:
    gaze = EVEN * 1e-9
    gaze[5, 6] = 1  # in the right half
    boxes = (0, 0, 0.5, 1), (0.5, 0, 1, 1), (0.35, 0, 0.65, 1), (0.8, 0, 1, 1), (0, 0, 1, 1)
    # without the right half; the left; a quarter of each: 4 · .25 · .5; left out; whole
    expected = [2, 0, 1, 0, 0]
    assert costs(photo(DOG, gaze=gaze), *boxes) == pytest.approx(expected, abs=1e-5)
    mirrored = photo(DOG, gaze=np.ascontiguousarray(gaze[:, ::-1]))
    assert costs(mirrored, *boxes) == pytest.approx([0, 2, 1, 0, 0], abs=1e-5)
    assert costs(photo(DOG), *boxes) == pytest.approx([0] * 5, abs=1e-5)  # both are alike


@pytest.mark.parametrize(("right", "counts"), [(0.6, 0), (0.75, 0.5), (0.9, 1)])
def test_a_side_counts_smoothly_by_its_share_of_the_gaze(right: float, counts: float) -> None:
    """From .6 to .4 on, half at .75 to .25, fully from .9 to .1 on."""
    gaze = EVEN * 1e-9
    gaze[5, 3], gaze[5, 6] = 1 - right, right
    assert costs(photo(DOG, gaze=gaze), (0, 0, 0.5, 1)) == pytest.approx([2 * counts], abs=1e-5)


def test_each_thing_has_the_side_that_people_look_at_of_itself() -> None:
    """A dog on the left that looks left, one on the right that looks right; each counts half."""
    gaze = EVEN * 1e-9
    gaze[1, 1], gaze[6, 8] = 1, 1
    dogs = photo(("thing", (0.1, 0.1, 0.5, 0.3)), ("thing", (0.5, 0.6, 0.9, 0.8)), gaze=gaze)
    boxes = (0.3, 0, 1, 1), (0, 0, 0.7, 1), (0.3, 0, 0.7, 1), (0, 0, 0.3, 1)
    assert costs(dogs, *boxes) == pytest.approx([1, 1, 2, 0], abs=1e-5)


def test_tops_and_sides_have_weights_of_their_own() -> None:
    gaze = EVEN * 1e-9
    gaze[5, 6] = 1  # in the right half
    dog = photo(DOG, gaze=gaze)
    crops = Extents.of(np.array([[0, 0.5, 1, 1], [0, 0, 0.5, 1.0]]))  # its lower half, its left one
    assert end_cuts(dog, 1.0, 2.0, 3.0, 0.0).of_extents(crops) == pytest.approx([2, 3], abs=1e-5)


def test_objects_share_the_weight_and_faces_and_text_have_none() -> None:
    evidence = photo(TOWER, ("person", (0, 0.5, 0.2, 0.9)), ("text", (0.8, 0.2, 1, 0.6)),
                     ("face", (0.4, 0.2, 0.6, 0.6)))  # fmt: skip
    assert costs(evidence, (0, 0.4, 1, 1)) == pytest.approx([1], abs=1e-5)


def test_heads_have_a_weight_of_their_own_and_no_sides() -> None:
    """A head of 4 % of the photo, of which half or a quarter is above the crop, or beside it."""
    evidence = photo(heads=[(0.4, 0.2, 0.6, 0.4)])
    crops = np.array([[0, 0.3, 1, 1], [0, 0.25, 1, 1], [0, 0, 0.5, 1.0], [0, 0, 1, 0.3]])
    lost = end_cuts(evidence, 1.0, 0.0, 0.0, 3.0).of_extents(Extents.of(crops))
    assert lost == pytest.approx([3, 2.25, 0, 0], abs=1e-6)
    pair = photo(heads=[(0.4, 0.2, 0.6, 0.4), (0.1, 0.5, 0.3, 0.7)])  # each counts half
    lost = end_cuts(pair, 1.0, 0.0, 0.0, 3.0).of_extents(Extents.of(crops))
    assert lost == pytest.approx([1.5, 1.125, 0, 0], abs=1e-6)


@pytest.mark.parametrize(("head", "ratio", "counts"), [
    ((0.3, 0.2, 0.7, 0.6), 1.0, 1.0),
    ((0.3, 0.2, 0.7, 0.6), 3.0, 0.0),  # a third of the photo is high, .33: no crop can hold .4
    ((0.3, 0.2, 0.7, 0.6), None, 0.0),
    ((0.45, 0.2, 0.5, 0.3), 1.0, 0.0),  # .005 of the photo: one of a crowd
])  # fmt: skip
def test_large_heads_that_fit_count(
    head: tuple[float, float, float, float], ratio: float | None, counts: float
) -> None:
    evidence = photo(heads=[head])
    assert end_cuts(evidence, ratio, 1.0, 1.0, 2.0).tops.sum() == pytest.approx(2 * counts)


def test_nothing_costs_nothing() -> None:
    assert costs(photo(), (0, 0.4, 1, 1)) == [0]
    assert len(end_cuts(photo(TOWER), 1.0, 0.0, 0.0, 0.0).boxes) == 0
