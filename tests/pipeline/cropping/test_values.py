"""Values of several shapes in one pass, against each shape computed alone."""

import numpy as np
import pytest

from pipeline.boxes import FloatArray, iou
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.crop_value import CropValue
from pipeline.cropping.evidence import evidence_of
from pipeline.cropping.features import Preferred
from pipeline.cropping.refine import extents_of, neighbours
from pipeline.cropping.rule import packaged_rule
from pipeline.cropping.values import CandidateList, ListValues, StackedValues
from pipeline.detectors import Attention, Detections
from pipeline.shapes import parse_shape, parse_shapes

SIZE = (640, 480)
RANDOM = np.random.default_rng(3)


def values_of_shapes() -> list[tuple[CropValue, FloatArray]]:
    """The value of each of some shapes of a photo of random things, and candidates as shares."""
    low = RANDOM.uniform(0, 0.7, (9, 2))
    corners = np.concatenate([low, low + RANDOM.uniform(0.05, 0.3, (9, 2))], axis=1)
    gaze, kept, subject = RANDOM.uniform(0, 1, (3, 9, 12))
    gaze[:, 3:9] *= 0.01  # two sights
    likelihood = np.array([0.9, 0.5, 0.3, 0.7])
    attention = Attention(gaze / gaze.sum(), kept, corners[:4], likelihood, subject=subject)
    labels = ["thing", "person", "text", "subject", "face"]
    boxes = (corners[4:] * np.tile(SIZE, 2)).astype(np.float32)
    evidence = evidence_of(Detections(boxes, np.full(5, 0.4, np.float32), labels, attention), SIZE)
    found = []
    for shape in parse_shapes("1:1,9:16,free,circle"):
        candidates = for_shape(*SIZE, shape) / np.tile(SIZE, 2)
        preferred = Preferred.of(candidates, RANDOM.normal(size=len(candidates)))
        ratio = None if shape.ratio is None else shape.ratio * SIZE[1] / SIZE[0]
        value_of = CropValue.of(packaged_rule(), evidence, preferred, ratio)
        found.append((value_of.in_circle() if shape.is_circle else value_of, candidates))
    return found


def test_values_together_are_those_of_each_shape_alone() -> None:
    """Shapes prefer other numbers of candidates, and count other boxes that are not to be cut."""
    known = values_of_shapes()
    together = StackedValues([value_of for value_of, _ in known])
    for count in (1, 5):
        boxes = np.stack([RANDOM.permutation(candidates)[:count] for _, candidates in known])
        alone = [value_of(some) for (value_of, _), some in zip(known, boxes, strict=True)]
        np.testing.assert_allclose(together(boxes), alone, atol=1e-12)


def test_neighbours_have_the_values_of_boxes() -> None:
    known = values_of_shapes()
    together = StackedValues([value_of for value_of, _ in known])
    starts = np.stack([candidates[-3] for _, candidates in known])
    near = neighbours(starts, 0.02, np.array([value_of.largest_width for value_of, _ in known]))
    np.testing.assert_allclose(together(near, extents_of(near)), together(near), atol=1e-12)


def test_what_candidates_share_is_known_before_any_photo() -> None:
    boxes = for_shape(*SIZE, parse_shape("4:3"))
    known = CandidateList.of(boxes, SIZE)
    np.testing.assert_allclose(known.boxes_rel * np.tile(SIZE, 2), boxes)
    scores = RANDOM.normal(size=len(boxes))
    preferred = Preferred.of(known.boxes_rel, scores)
    assert 1 < len(preferred.boxes) < len(boxes)
    # of each box alone, and of shares of the sides instead of pixels
    expected = [iou(box, preferred.boxes) @ preferred.probabilities for box in known.boxes_rel]
    np.testing.assert_allclose(known.overlap(preferred), expected, atol=1e-12)
    whole = Preferred(np.array([[0.0, 0.0, 1.0, 1.0]]), np.ones(1))  # no candidate of this list
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / np.prod(SIZE)
    np.testing.assert_allclose(known.overlap(whole), areas, atol=1e-6)


def test_long_lists_have_no_matrix_and_the_same_overlap() -> None:
    boxes = for_shape(*SIZE, parse_shape("free"))
    known = CandidateList.of(boxes, SIZE)
    assert known.overlaps is None
    preferred = Preferred.of(known.boxes_rel, RANDOM.normal(size=len(boxes)))
    expected = [iou(box, preferred.boxes) @ preferred.probabilities for box in known.boxes_rel]
    np.testing.assert_allclose(known.overlap(preferred), expected, atol=1e-12)


def test_a_list_s_values_and_the_most_gaze_inside_one() -> None:
    value_of, boxes_rel = values_of_shapes()[1]
    framing_of = value_of.framing(packaged_rule())
    told = ListValues.of(value_of, framing_of, listed("9:16"))
    np.testing.assert_allclose(told.placing.values, value_of(boxes_rel), atol=1e-12)
    np.testing.assert_allclose(told.framing.values, framing_of(boxes_rel), atol=1e-12)
    assert np.abs(told.framing.values - told.placing.values).max() > 1e-3
    gaze, *_ = value_of.evidence.maps.inside(boxes_rel)
    assert told.gaze_possible == pytest.approx(gaze.max())


def test_a_circle_s_values_are_those_of_its_own_value() -> None:
    square, boxes_rel = values_of_shapes()[0]
    circle = ListValues.of(square, square, listed("1:1")).in_circle(listed("1:1"))
    values, value_of = circle.placing.values, circle.placing.value_of
    np.testing.assert_allclose(values, value_of(boxes_rel), atol=1e-12)
    assert np.abs(values - square(boxes_rel)).max() > 1e-3


def listed(shape: str) -> CandidateList:
    return CandidateList.of(for_shape(*SIZE, parse_shape(shape)), SIZE)
