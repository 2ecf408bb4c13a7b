"""The packaged detector, on synthetic photos."""

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from pipeline.detectors import make_detector
from pipeline.detectors.embedded import EmbeddedDetector, detector_input, detector_input_size


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector()


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


def test_input_size_keeps_the_shape_and_its_bounds() -> None:
    assert detector_input_size(4000, 4000) == (288, 288)
    assert detector_input_size(640, 480) == (320, 256)
    assert detector_input_size(10000, 10) == (640, 64)


@pytest.mark.parametrize("size", [(1200, 1600), (1351, 1081), (720, 1280), (300, 400)])
def test_a_large_view_is_halved_first_and_looks_the_same(size: tuple[int, int]) -> None:
    """Against the mean over each pixel's area; what an odd row at an edge moves is little."""
    soft = cv2.GaussianBlur(astronaut(), (0, 0), 6)
    photo = cv2.resize(soft, size[::-1], interpolation=cv2.INTER_CUBIC)
    found = detector_input(photo)
    sides = detector_input_size(*size[::-1])
    exact = cv2.resize(photo.astype(np.float32), sides, interpolation=cv2.INTER_AREA)
    assert found.shape == (sides[1], sides[0], 3)
    off = np.abs(found - exact)
    assert off.mean() < 0.7
    assert off.max() < 8


def test_a_face_is_found_where_it_is(detector: EmbeddedDetector) -> None:
    photo = astronaut()  # public domain, 512 × 512: the face is about (170..285, 65..185)
    (found,) = detector.detect([photo])
    face = found.boxes[found.labels.index("face")]
    centre = (face[:2] + face[2:]) / 2
    assert np.abs(centre - [225, 120]).max() < 40
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
