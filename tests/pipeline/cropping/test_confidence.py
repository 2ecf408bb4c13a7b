"""The confidence, calculated by hand, and the packaged model in simple situations."""

import json
from dataclasses import replace
from importlib.resources import files
from math import e, exp, inf, log

import numpy as np
import pytest

from pipeline.boxes import iou
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser, ScoreChooser
from pipeline.cropping.chooser import ShapeSearch
from pipeline.cropping.chosen import DISTINCT_IOU, Chosen
from pipeline.cropping.confidence import (
    TERMS,
    ConfidenceFeatures,
    ConfidenceModel,
    confidence_features,
    packaged_confidence,
)
from pipeline.cropping.evidence import evidence_of
from pipeline.cropping.search import SearchResult, exhaustive
from pipeline.detectors import Attention, Detections
from pipeline.shapes import parse_shape

SIZE = (600, 400)
PLAIN = ConfidenceFeatures(
    gaze_inside=0.6,
    gaze_possible=0.8,
    kept_overlap=0.5,
    heads=e - 1,
    heads_cut=(e - 1) / 3,
    ratio=0.5,
    lead=0.1,
    gaze_spread=0.7,
)


def photo(gaze: np.ndarray, heads_px: tuple[tuple[float, ...], ...] = ()) -> Detections:
    """No objects; a gaze map [h, w], what people keep is where they look; sure heads."""
    heads = np.array(heads_px, np.float64).reshape(-1, 4) / (SIZE * 2)
    attention = Attention(gaze / gaze.sum(), gaze / gaze.max(), heads, np.ones(len(heads)))
    none = np.zeros((0, 4), np.float32)
    return Detections(none, np.zeros(0, np.float32), [], attention)


def searched(shape: str) -> tuple[np.ndarray, SearchResult]:
    """The candidates of a shape on a photo of SIZE; the network likes all alike."""
    candidates = for_shape(*SIZE, parse_shape(shape))
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some), np.float32))
    return candidates, found


def left_gaze() -> np.ndarray:
    """People look at the middle of the left half."""
    y, x = np.mgrid[:16, :24] + 0.5
    return np.full((16, 24), 1e-3) + np.exp(-((x / 24 - 0.25) ** 2 + (y / 16 - 0.5) ** 2) / 0.02)


def test_terms_by_hand() -> None:
    wanted = [log(0.42), 0.25, 0.5, 1, 1, 1, log(2), 0.1, 0.7]
    assert PLAIN.terms().tolist() == pytest.approx(wanted)
    assert len(TERMS) == len(wanted)


def test_a_shape_wider_than_the_photo_has_no_heads_beside_it() -> None:
    wide = replace(PLAIN, ratio=2.0).terms()
    assert wide[TERMS.index("heads_beside")] == 0
    assert wide[TERMS.index("distance")] == pytest.approx(log(2))
    free = replace(PLAIN, ratio=None).terms()
    assert free[TERMS.index("heads_beside")] == free[TERMS.index("distance")] == 0


@pytest.mark.parametrize(("lead", "counts_as"), [(inf, 0.15), (0.4, 0.15), (-0.3, -0.1), (0, 0)])
def test_the_lead_is_bounded_and_a_crop_without_a_rival_leads(
    lead: float, counts_as: float
) -> None:
    assert replace(PLAIN, lead=lead).terms()[TERMS.index("lead")] == pytest.approx(counts_as)


def test_no_gaze_outside_and_more_gaze_than_any_candidate_are_finite() -> None:
    terms = replace(PLAIN, gaze_inside=1.0).terms()
    assert terms[:2].tolist() == pytest.approx([log(0.02), 0])
    moved = replace(
        PLAIN, gaze_inside=0.9, gaze_possible=0.8
    )  # since the candidates were looked at
    assert moved.terms()[:2].tolist() == pytest.approx([log(0.12), 0])


def test_the_probability_by_hand() -> None:
    model = ConfidenceModel(np.array([0.0, -2, 0, 0, 0, 0, 0, 10, 0]), 1.0)
    assert model(PLAIN) == pytest.approx(1 / (1 + exp(-(1 - 2 * 0.25 + 10 * 0.1))))


def test_features_by_hand() -> None:
    attention = Attention(
        np.array([[0.75, 0.25]]), np.array([[1, 0.5]]), np.array([[0.25, 0, 0.75, 1]]), np.ones(1)
    )
    none = np.zeros((0, 4), np.float32)
    evidence = evidence_of(Detections(none, np.zeros(0, np.float32), [], attention), (200, 100))
    boxes = np.array([[0.5, 0, 1, 1], [0, 0, 0.5, 1]])
    right, found = confidence_features(boxes, 0.8, evidence, 0.5, np.array([-0.2, 0.03]), False)
    assert (right.gaze_inside, right.lead) == pytest.approx((0.25, -0.2))
    assert found.gaze_inside == pytest.approx(0.75)
    assert right.gaze_possible == found.gaze_possible == 0.8
    assert found.kept_overlap == pytest.approx(0.5 / (0.5 + 0.75 - 0.5))
    assert (found.heads, found.heads_cut) == pytest.approx((1, 1))  # half of the only head is in
    assert found.gaze_spread == pytest.approx(0.5 + 0.25)
    assert (found.ratio, found.lead) == (0.5, 0.03)


def test_in_a_circle_heads_are_cut_by_its_rim() -> None:
    """A head in the middle is whole, one in a corner lost, and one on the rim cut in half.

    The rim of the unit square's circle is at x = .5 + √(.25 - .25²) = .933 where y is .25 or .75.
    The third head is centred there.
    """
    heads = np.array([[0.45, 0.45, 0.55, 0.55], [0, 0, 0.02, 0.02], [0.923, 0.74, 0.943, 0.76]])
    attention = Attention(np.ones((1, 1)), np.ones((1, 1)), heads, np.ones(3))
    evidence = evidence_of(Detections(attention=attention), (100, 100))
    for is_circle in (False, True):
        (found,) = confidence_features(
            np.array([[0.0, 0, 1, 1]]), 1.0, evidence, 1.0, np.zeros(1), is_circle
        )
        half = evidence.head_weights[2] if is_circle else 0
        assert found.heads_cut == pytest.approx(half, abs=0.003)


def test_a_chosen_circle_is_measured_as_one() -> None:
    """The square that both shapes show holds the head in its corner; the rim cuts it."""
    found = photo(left_gaze(), ((10, 10, 90, 90),))
    crop = np.array([[0, 0, 400, 400]], np.float32)
    chooser = OverlapChooser(found, SIZE)
    cut = {}
    for name in ("1:1", "circle"):
        one = ShapeSearch(parse_shape(name), *searched(name))
        (features,) = chooser.confidence_features(one, Chosen(crop, np.zeros(1)))
        cut[name] = features.heads_cut
    assert cut["1:1"] == 0 < 0.5 < cut["circle"]


def test_the_lead_is_over_the_best_candidate_that_is_clearly_different() -> None:
    chooser, shape = OverlapChooser(photo(left_gaze()), SIZE), parse_shape("1:1")
    candidates, found = searched("1:1")
    (chosen,) = chooser.best([ShapeSearch(shape, candidates, found)], 1)
    (features,) = chooser.confidence_features(ShapeSearch(shape, candidates, found), chosen)
    values = chooser.values(ShapeSearch(shape, candidates, found))
    different = iou(chosen.boxes[0], candidates) < DISTINCT_IOU
    assert 0 < different.sum() < len(candidates)
    assert features.lead == pytest.approx(chosen.choice[0] - values[different].max())
    # the same where the chooser did not say which rivals it had, as for other boxes
    assert chooser.confidence_features(
        ShapeSearch(shape, candidates, found), chosen._replace(rivals=None)
    ) == [features]
    assert features.ratio == pytest.approx(400 / 600)
    evidence = evidence_of(photo(left_gaze()), SIZE)
    gaze, *_ = evidence.maps.inside(candidates / np.tile(SIZE, 2))
    assert features.gaze_possible == pytest.approx(gaze.max())


def test_a_crop_passed_over_has_less_confidence_than_the_chosen_one() -> None:
    chooser, shape = OverlapChooser(photo(left_gaze()), SIZE), parse_shape("1:1")
    candidates, found = searched("1:1")
    (chosen,) = chooser.best([ShapeSearch(shape, candidates, found)], 1)
    (high,) = chooser.confidence(ShapeSearch(shape, candidates, found), chosen)
    right = np.array([[200, 0, 600, 400]], np.float32)  # without what people look at
    (of_right,) = exhaustive([right], lambda some: np.zeros(len(some)))
    value = chooser.values(ShapeSearch(shape, right, of_right))
    (low,) = chooser.confidence(ShapeSearch(shape, candidates, found), Chosen(right, value))
    assert high is not None
    assert low is not None
    assert 0 < low < 0.3 < high < 1


def test_a_crop_that_cuts_a_head_has_less_confidence() -> None:
    shape, crop = parse_shape("1:1"), Chosen(np.float32([[0, 0, 400, 400]]), np.zeros(1))
    candidates, found = searched("1:1")
    told = [
        OverlapChooser(photo(left_gaze(), (head,)), SIZE).confidence(
            ShapeSearch(shape, candidates, found), crop
        )
        for head in ((200, 100, 280, 200), (360, 100, 440, 200))
    ]
    assert told[1][0] < told[0][0] - 0.1


def test_nobody_can_tell_without_a_map_of_attention_or_for_a_choice_by_score() -> None:
    shape, (candidates, found) = parse_shape("1:1"), searched("1:1")
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [])
    for chooser in (OverlapChooser(none, SIZE), ScoreChooser(photo(left_gaze()), SIZE)):
        (chosen,) = chooser.best([ShapeSearch(shape, candidates, found)], 2)
        assert chooser.confidence(ShapeSearch(shape, candidates, found), chosen) == [None, None]


def test_the_packaged_confidence_says_where_it_is_from_and_has_sensible_signs() -> None:
    data = json.loads(files("pipeline.cropping").joinpath("confidence.json").read_text())
    assert all(name in data["source"] for name in ("flms", "osie", "eyecrowd"))
    weights = dict(zip(TERMS, packaged_confidence().weights, strict=True))
    lower = ("gaze_outside", "gaze_lost", "heads_cut", "heads_beside")
    assert all(weights[term] < 0 for term in lower)
    assert weights["kept_overlap"] > 0 < weights["lead"]
