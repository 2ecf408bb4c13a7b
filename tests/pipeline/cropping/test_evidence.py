"""The evidence about a photo: maps, heads and weights, calculated by hand."""

import numpy as np
import pytest

from pipeline.cropping.evidence import attention_from, centre_of_mass, evidence_of, heads_from
from pipeline.cropping.maps import CellMaps
from pipeline.detectors import Attention, Detections
from pipeline.detectors.attention import ramp


def test_a_sum_over_part_of_a_cell_is_its_share() -> None:
    cells = CellMaps(np.array([[[1.0, 2.0], [3.0, 4.0]], np.ones((2, 2))]))
    boxes = np.array([[0, 0, 1, 1], [0.25, 0, 0.75, 0.5], [0.5, 0.5, 2, 2], [0.25, 0.25, 0.5, 0.5]])
    # half of cell 1 and half of cell 2 in the second; a quarter of cell 1 in the last
    assert cells.inside(boxes)[0] == pytest.approx([10, 1.5, 4, 0.25])
    assert cells.inside(boxes)[1] == pytest.approx([4, 1, 1, 0.25])


def test_weights_rise_smoothly() -> None:
    assert ramp(np.array([0.1, 0.2, 0.4, 0.6, 0.9]), 0.2, 0.6) == pytest.approx([0, 0, 0.5, 1, 1])


def test_centre_of_mass() -> None:
    # three quarters in column 0 (centre .25), one in column 1 (.75); all in row 1 of 2
    assert centre_of_mass(np.array([[0, 0], [3.0, 1.0]])) == pytest.approx((0.375, 0.75))


def test_sure_large_heads_count_fully_and_small_ones_by_the_fourth_root() -> None:
    heads = np.array([[0, 0, 0.1, 0.1], [0.5, 0.5, 0.525, 0.525], [0, 0, 0.5, 0.5]])
    even = np.full((2, 2), 0.25)
    found = Detections(attention=Attention(even, even, heads, np.array([1.0, 1.0, 0.4])))
    # 1 % of the photo; a sixteenth of that: half; half-way up the ramp
    assert evidence_of(found, (300, 200)).head_weights == pytest.approx([1, 0.5, 0.5])


def test_objects_alone_give_a_gaze_map_and_heads() -> None:
    face = Detections(np.array([[60, 20, 80, 40]], np.float32), np.ones(1, np.float32), ["face"])
    photo = evidence_of(face, (100, 100))
    upper_right, lower_left = np.array([[0.5, 0, 1, 0.5]]), np.array([[0, 0.5, 0.5, 1]])
    assert photo.maps.inside(upper_right)[0, 0] > 0.7
    assert photo.maps.inside(lower_left)[0, 0] < 0.1
    # a face of .2 grown by .3 of that on each side
    assert photo.heads[0] == pytest.approx([0.54, 0.14, 0.86, 0.46])


def test_people_keep_an_object_with_half_of_the_gap_to_each_edge() -> None:
    """An object in the lower right quarter counts .8, the centre of the photo .2.

    Of 16 cells a side, the object's part begins at .25, cell 4; the centre's is .125 to .875.
    """
    kept = attention_from(np.array([[0.5, 0.5, 1, 1]]), np.array([0.6]), ["thing"]).kept
    expected = {(0, 0): 0, (2, 2): 0.2, (3, 13): 0.2, (4, 4): 1, (13, 13): 1, (15, 14): 0.8}
    expected |= {(2, 5): 0.2, (4, 15): 0.8, (15, 3): 0, (14, 0): 0}
    assert {cell: kept[cell] for cell in expected} == pytest.approx(expected)
    alone = attention_from(np.zeros((0, 4)), np.zeros(0), []).kept  # only the centre
    assert (alone[8, 8], alone[0, 8]) == (1, 0)


def test_without_anything_the_gaze_is_central() -> None:
    photo = evidence_of(Detections(), (100, 100))
    assert photo.gaze_mean == pytest.approx((0.5, 0.5))
    assert photo.maps.inside(np.array([[0.25, 0.25, 0.75, 0.75]]))[0, 0] > 0.5
    assert len(photo.heads) == len(photo.objects) == len(photo.text) == 0


def test_tall_people_without_a_face_have_their_head_above() -> None:
    boxes = np.array([[0.2, 0.1, 0.6, 0.9], [0.0, 0.0, 0.5, 0.2], [0.6, 0.0, 0.8, 0.8]])
    boxes = np.concatenate([boxes, [[0.68, 0.04, 0.72, 0.1]]])
    heads, likelihood = heads_from(
        boxes, np.array([0.9, 0.8, 0.7, 0.6]), ["person", "person", "person", "face"]
    )
    # the face's own, then the upper quarter of the first; the second lies, the third has the face
    assert heads[1] == pytest.approx([0.2, 0.1, 0.6, 0.3])
    assert len(heads) == 2
    assert likelihood == pytest.approx([0.6, 0.9])
