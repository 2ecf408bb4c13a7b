"""People's heads that are larger than a crop, calculated by hand: the crop should show the face."""

import numpy as np
import pytest

from pipeline.cropping.crop_value import CropValue
from pipeline.cropping.evidence import Evidence, evidence_of
from pipeline.cropping.features import Preferred
from pipeline.cropping.penalties import face_cuts, faces
from pipeline.cropping.rule import packaged_rule
from pipeline.detectors import Attention, Detections

HEAD = [0.2, 0.1, 0.8, 0.6]
FACE = [0.2, 0.3, 0.8, 0.565]  # from .4 of its height on, down to .93


def portrait(heads: list[list[float]], likelihood: float = 1.0) -> Evidence:
    """A square photo of heads, and the person of the first, with gaze on that one's face."""
    gaze = np.full((20, 20), 1e-6)
    gaze[6:10, 8:12] = 1
    attention = Attention(
        gaze / gaze.sum(), np.full((20, 20), 0.5), np.array(heads),
        np.full(len(heads), likelihood),
    )  # fmt: skip
    body = np.array([[10, 10, 90, 100]], np.float32)
    found = Detections(body, np.ones(1, np.float32), ["person"], attention)
    return evidence_of(found, (100, 100))


def test_a_face_is_the_head_without_hair_and_neck() -> None:
    assert faces(np.array([HEAD])) == pytest.approx(np.array([FACE]))


@pytest.mark.parametrize(
    ("height", "counts"),
    [
        (0.56, 0.0),  # 1.12 times the head: it fits
        (0.5, 0.5),  # as high as the head, which counts half in `whole_head_cuts`
        (0.4, 1.0),  # .8 times the head: only the face fits
        (0.265, 0.5),  # as high as the face
        (0.2, 0.0),
    ],
)
def test_a_face_counts_as_far_as_a_crop_can_hold_only_it(height: float, counts: float) -> None:
    left_out = np.array([[0, 0.7, 1, 0.7 + height]])
    cuts = face_cuts(portrait([HEAD]), 0.5, 1 / height)
    assert cuts(left_out) == pytest.approx([counts], abs=1e-6)


def test_only_large_heads_have_faces_and_they_share_the_weight() -> None:
    other, small = [0.2, 0.05, 0.8, 0.55], [0.0, 0.0, 0.06, 0.08]
    left_out = np.array([[0, 0.61, 1, 1.0]])
    for heads, cost in (([HEAD, small], 1.0), ([HEAD, other], 1.0), ([small], 0.0)):
        assert face_cuts(portrait(heads), 0.5, 2.5)(left_out) == pytest.approx([cost])
    unlikely = portrait([HEAD], likelihood=0.4)  # half-way up the ramp from .2 to .6
    assert face_cuts(unlikely, 0.5, 2.5)(left_out) == pytest.approx([0.5])


def test_a_crop_may_end_anywhere_around_the_face() -> None:
    """Hair or neck may be missing; a crop that ends at the lips, .45, has .15 of .265 of it."""
    crops = np.array([[0, 0.165, 1, 0.565], [0, 0.3, 1, 0.7], [0, 0.05, 1, 0.45]])
    share = 0.15 / 0.265
    expected = [0, 0, (1 + 2 * share) * (1 - share)]
    assert face_cuts(portrait([HEAD]), 0.5, 2.5)(crops) == pytest.approx(expected, abs=1e-9)


def test_the_packaged_rule_gives_up_hair_for_the_chin() -> None:
    """Without `face_cuts` it prefers the crop from the hair on, which ends above the chin."""
    from_hair, to_chin, below = [0, 0.1, 1, 0.5], [0, 0.17, 1, 0.57], [0, 0.28, 1, 0.68]
    boxes = np.array([from_hair, to_chin, below])
    preferred = Preferred(boxes, np.ones(3) / 3)
    value = CropValue.of(packaged_rule(), portrait([HEAD]), preferred, 2.5)
    assert value(boxes).argmax() == 1
