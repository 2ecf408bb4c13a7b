"""From a map of centres and offsets to objects, calculated by hand."""

import numpy as np
import pytest
import torch

from pipeline.detectors.postprocess import postprocess
from pipeline.detectors.subject_network import CHANNELS, KINDS, OFFSETS_OF, STRIDE, SUBJECT


def output(height: int = 20, width: int = 30) -> torch.Tensor:
    """A map in which nothing is seen."""
    values = torch.full((1, CHANNELS, height, width), -8.0)
    values[:, len(KINDS) : SUBJECT] = 0.5
    return values


def put(values: torch.Tensor, kind: int, row: int, column: int, offsets: list[float]) -> None:
    values[0, kind, row, column] = 3.0
    first = OFFSETS_OF[KINDS[kind]]
    wanted = torch.tensor(offsets)
    values[0, first : first + 4, row, column] = wanted.expm1().log()  # inverse of softplus


def test_a_centre_and_its_offsets_are_a_box_in_pixels() -> None:
    values = output()
    put(values, 1, 10, 12, [3.0, 4.0, 5.0, 6.0])  # a person: left, up, right, down in cells
    found = postprocess(values)
    person = found.labels.index("person")
    expected = np.array([12.5 - 3, 10.5 - 4, 12.5 + 5, 10.5 + 6]) * STRIDE
    np.testing.assert_allclose(found.boxes[person], expected, atol=1e-3)


def test_text_has_offsets_of_its_own() -> None:
    values = output()
    put(values, KINDS.index("thing"), 10, 12, [2.0, 2.0, 2.0, 2.0])
    put(values, KINDS.index("text"), 10, 12, [9.0, 1.0, 9.0, 1.0])  # on the thing
    found = postprocess(values)
    expected = np.array([12.5 - 9, 10.5 - 1, 12.5 + 9, 10.5 + 1]) * STRIDE
    np.testing.assert_allclose(found.boxes[found.labels.index("text")], expected, atol=1e-3)
    assert "thing" in found.labels


def test_boxes_end_where_the_photo_ends() -> None:
    values = output()
    put(values, 2, 1, 28, [5.0, 5.0, 5.0, 5.0])
    found = postprocess(values)
    box = found.boxes[found.labels.index("thing")]
    np.testing.assert_allclose(box, np.array([23.5, 0, 30, 6.5]) * STRIDE, atol=1e-3)


def test_one_object_seen_twice_is_one() -> None:
    values = output()
    put(values, 2, 10, 10, [4.0, 4.0, 4.0, 4.0])
    put(values, 2, 10, 13, [7.0, 4.0, 1.0, 4.0])  # the same box from another cell
    put(values, 2, 10, 25, [2.0, 2.0, 2.0, 2.0])
    assert postprocess(values).labels.count("thing") == 2


def test_regions_of_the_subject_map() -> None:
    values = output()
    values[0, SUBJECT, 2:8, 3:9] = 4.0
    values[0, SUBJECT, 4:6, 5:8] = 6.0  # .998 against .982: the core takes it all
    values[0, SUBJECT, 12:17, 20:26] = 0.5  # .62: of the subject, not of its core
    found = postprocess(values)
    assert found.labels == ["subject"] * 3
    expected = {(3, 2, 9, 8), (20, 12, 26, 17), (3, 2, 26, 17)}
    assert {tuple((box / STRIDE).round().astype(int).tolist()) for box in found.boxes} == expected


def test_a_core_is_smaller_than_all_of_it() -> None:
    values = output()
    values[0, SUBJECT, 2:12, 3:19] = 0.5
    values[0, SUBJECT, 4:6, 5:8] = 6.0
    boxes = (postprocess(values).boxes / STRIDE).round().astype(int).tolist()
    assert sorted(boxes) == [[3, 2, 19, 12], [5, 4, 8, 6]]


def test_larger_and_more_central_comes_first() -> None:
    values = output()
    put(values, 1, 10, 15, [5.0, 6.0, 5.0, 6.0])
    put(values, 1, 3, 2, [1.0, 1.0, 1.0, 1.0])
    boxes = postprocess(values).boxes
    assert (boxes[0] / STRIDE)[0] == pytest.approx(10.5, abs=1e-3)
    assert (np.diff(postprocess(values).scores) <= 0).all()


def test_nothing_seen_is_no_box_but_no_error() -> None:
    assert len(postprocess(output())) == 0
