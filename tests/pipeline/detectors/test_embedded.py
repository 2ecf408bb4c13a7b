"""The detector in the package: its reading of a map by hand, and its network on made photos."""

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from pipeline.detectors import make_detector
from pipeline.detectors.embedded import EmbeddedDetector, look_size, read_answer
from pipeline.detectors.subject_network import CHANNELS, KINDS, REACH_OF, STRIDE


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector()


def answer(height: int = 20, width: int = 30) -> torch.Tensor:
    """A map in which nothing is seen."""
    values = torch.full((1, CHANNELS, height, width), -8.0)
    values[:, len(KINDS) : -1] = 0.5
    return values


def put(values: torch.Tensor, kind: int, row: int, column: int, reach: list[float]) -> None:
    values[0, kind, row, column] = 3.0
    first = REACH_OF[KINDS[kind]]
    wanted = torch.tensor(reach)
    values[0, first : first + 4, row, column] = wanted.expm1().log()  # inverse of softplus


def test_a_middle_and_its_reach_are_a_box_in_pixels() -> None:
    values = answer()
    put(values, 1, 10, 12, [3.0, 4.0, 5.0, 6.0])  # a person: left, up, right, down in cells
    found = read_answer(values)
    person = found.labels.index("person")
    expected = np.array([12.5 - 3, 10.5 - 4, 12.5 + 5, 10.5 + 6]) * STRIDE
    np.testing.assert_allclose(found.boxes[person], expected, atol=1e-3)


def test_text_has_a_reach_of_its_own() -> None:
    values = answer()
    put(values, KINDS.index("thing"), 10, 12, [2.0, 2.0, 2.0, 2.0])
    put(values, KINDS.index("text"), 10, 12, [9.0, 1.0, 9.0, 1.0])  # on the thing
    found = read_answer(values)
    expected = np.array([12.5 - 9, 10.5 - 1, 12.5 + 9, 10.5 + 1]) * STRIDE
    np.testing.assert_allclose(found.boxes[found.labels.index("text")], expected, atol=1e-3)
    assert "thing" in found.labels


def test_boxes_end_where_the_photo_ends() -> None:
    values = answer()
    put(values, 2, 1, 28, [5.0, 5.0, 5.0, 5.0])
    found = read_answer(values)
    box = found.boxes[found.labels.index("thing")]
    np.testing.assert_allclose(box, np.array([23.5, 0, 30, 6.5]) * STRIDE, atol=1e-3)


def test_one_object_seen_twice_is_one() -> None:
    values = answer()
    put(values, 2, 10, 10, [4.0, 4.0, 4.0, 4.0])
    put(values, 2, 10, 13, [7.0, 4.0, 1.0, 4.0])  # the same box from another cell
    put(values, 2, 10, 25, [2.0, 2.0, 2.0, 2.0])
    assert read_answer(values).labels.count("thing") == 2


def test_regions_of_the_subject_map() -> None:
    values = answer()
    values[0, -1, 2:8, 3:9] = 4.0
    values[0, -1, 4:6, 5:8] = 6.0  # .998 against .982: the core takes it all
    values[0, -1, 12:17, 20:26] = 0.5  # .62: of the subject, not of its core
    found = read_answer(values)
    assert found.labels == ["subject"] * 3
    expected = {(3, 2, 9, 8), (20, 12, 26, 17), (3, 2, 26, 17)}
    assert {tuple((box / STRIDE).round().astype(int).tolist()) for box in found.boxes} == expected


def test_a_core_is_smaller_than_all_of_it() -> None:
    values = answer()
    values[0, -1, 2:12, 3:19] = 0.5
    values[0, -1, 4:6, 5:8] = 6.0
    boxes = (read_answer(values).boxes / STRIDE).round().astype(int).tolist()
    assert sorted(boxes) == [[3, 2, 19, 12], [5, 4, 8, 6]]


def test_larger_and_more_central_comes_first() -> None:
    values = answer()
    put(values, 1, 10, 15, [5.0, 6.0, 5.0, 6.0])
    put(values, 1, 3, 2, [1.0, 1.0, 1.0, 1.0])
    boxes = read_answer(values).boxes
    assert (boxes[0] / STRIDE)[0] == pytest.approx(10.5, abs=1e-3)
    assert (np.diff(read_answer(values).scores) <= 0).all()


def test_nothing_seen_is_no_box_but_no_error() -> None:
    assert len(read_answer(answer())) == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (40, 4000), (480, 640)])
def test_any_size_gives_finite_boxes_inside(
    detector: EmbeddedDetector, size: tuple[int, int]
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    (found,) = detector.detect([photo])
    assert len(found) <= 10
    assert np.isfinite(found.boxes).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= np.array([size[1], size[0]] * 2)).all()


def test_look_size_keeps_the_shape_and_its_bounds() -> None:
    assert look_size(4000, 4000) == (288, 288)
    assert look_size(640, 480) == (320, 256)
    assert look_size(10000, 10) == (640, 64)


def test_a_face_is_found_where_it_is(detector: EmbeddedDetector) -> None:
    photo = astronaut()  # public domain, 512 × 512: the face is about (170..285, 65..185)
    (found,) = detector.detect([photo])
    face = found.boxes[found.labels.index("face")]
    middle = (face[:2] + face[2:]) / 2
    assert np.abs(middle - [225, 120]).max() < 40
    assert 60 < face[2] - face[0] < 180


def test_a_lone_disc_is_the_subject(detector: EmbeddedDetector) -> None:
    photo = np.full((400, 600, 3), 40, np.uint8)
    cv2.circle(photo, (450, 130), 60, (250, 190, 30), -1)
    (found,) = detector.detect([photo])
    x0, y0, x1, y1 = found.boxes[0]
    assert x0 < 450 < x1
    assert y0 < 130 < y1
    assert (x1 - x0) * (y1 - y0) < 0.5 * 600 * 400


def test_the_answer_depends_on_the_photo_alone(detector: EmbeddedDetector) -> None:
    photos = [astronaut(), astronaut()[:200], astronaut()[:, ::-1].copy()]
    together = detector.detect(photos)
    for photo, found in zip(photos, together, strict=True):
        (alone,) = make_detector("embedded").detect([photo])
        np.testing.assert_array_equal(found.boxes, alone.boxes)


def test_identity_names_the_weights(detector: EmbeddedDetector) -> None:
    assert detector.identity.startswith("embedded-")
    assert len(detector.identity) == len("embedded-") + 64
