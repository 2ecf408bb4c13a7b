"""Violations by hand: one crop of a 200 × 100 photo, one thing wrong at a time."""

import dataclasses

import numpy as np
import pytest

from pipeline.detectors import Detections
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.evidence import DETECTED_CUT, DRAWN_CUT, FaultEvidence, fault_evidence
from pipeline.lab.evaluation.violations import violations
from pipeline.shapes import parse_shape

SQUARE = parse_shape("1:1")
CROP = np.float32([0, 0, 100, 100])  # the left half


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


NOTHING = FaultEvidence((200, 100), boxes(), DRAWN_CUT, boxes(), boxes(), boxes(), None, None)


def found(best_gaze: float | None = None, **parts: object) -> list[str]:
    return violations(CROP, SQUARE, dataclasses.replace(NOTHING, **parts), best_gaze)


def test_an_empty_photo_has_none() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("x0", "expected"),
    [(80, []), (90, ["head cut"]), (99.7, ["face lost"]), (120, ["face lost"])],
)
def test_heads(x0: float, expected: list[str]) -> None:
    assert found(heads=boxes([x0, 0, x0 + 20, 20])) == expected


def test_the_bounds_themselves_are_faults() -> None:
    """Of a drawn head 2 to 98 % make a cut, of text 5 to 95 %, of a subject 25 to 75 %."""
    for x0 in (99, 51):  # 1 and 49 of 50 columns are shown
        assert found(heads=boxes([x0, 0, x0 + 50, 50])) == ["head cut"]
    for x0 in (99, 81):  # 1 and 19 of 20
        assert found(text=boxes([x0, 0, x0 + 20, 10])) == ["text cut"]
    assert found(text=boxes([80.5, 0, 100.5, 10])) == []
    assert found(text=boxes([99.5, 0, 119.5, 10])) == []
    whole = [0, 0, 10, 10]  # so that the subject is not the wrong one
    for x0 in (90, 70):  # 10 and 30 of 40
        assert found(objects=boxes(whole, [x0, 0, x0 + 40, 50])) == ["subject halved"]


def test_objects_as_large_as_the_shape_s_largest_crop_have_to_be_whole() -> None:
    """In a photo of 200 × 100 that is 100 × 100 for a square, and all of it for a free shape."""
    first, fits = [0, 0, 10, 10], [50, 0, 150, 100]
    assert found(objects=boxes(first, fits)) == ["subject halved"]
    seen = dataclasses.replace(NOTHING, text=boxes([0, 0, 200, 100]))
    assert violations(CROP, parse_shape("free"), seen, None) == ["text cut"]
    assert found(text=boxes([0, 0, 200, 100])) == []


def test_of_a_circle_heads_and_gaze_are_judged_by_its_disc() -> None:
    """The disc of 50 px about (50, 50)."""
    seen = dataclasses.replace(NOTHING, heads=boxes([0, 0, 100, 50]), text=boxes([0, 0, 9, 9]))
    assert violations(CROP, SQUARE, seen, None) == []
    circle = parse_shape("circle")
    assert violations(CROP, circle, seen, None) == ["head cut"]  # π/4 of it are shown
    corner = dataclasses.replace(NOTHING, gaze=np.float32([[5, 5], [5, 9], [50, 50]]))
    assert violations(CROP, SQUARE, corner, 1.0) == []
    assert violations(CROP, circle, corner, 1.0) == ["wrong subject"]  # a third


def test_only_the_largest_head_is_ever_lost() -> None:
    small, large = [150, 0, 160, 10], [0, 0, 20, 20]
    assert found(heads=boxes(large, small)) == []
    assert found(heads=boxes([150, 0, 170, 20], [0, 0, 10, 10])) == ["face lost"]


@pytest.mark.parametrize(
    ("x0", "x1", "expected"),
    [
        (60, 100, []),
        (80, 120, ["subject halved"]),  # half of it
        (92, 132, []),  # a fifth of it
        (68, 108, []),  # four fifths
        (40, 160, []),  # half of it, but no square holds it
    ],
)
def test_halved_subjects(x0: float, x1: float, expected: list[str]) -> None:
    first = [0, 0, 10, 10]  # whole, so that the subject is not the wrong one
    assert found(objects=boxes(first, [x0, 0, x1, 50])) == expected


def test_text_is_whole_or_left_out() -> None:
    assert found(text=boxes([80, 0, 110, 10])) == ["text cut"]
    assert found(text=boxes([110, 0, 140, 10], [10, 0, 40, 10])) == []


def test_the_wrong_subject_by_gaze() -> None:
    gaze = np.float32([[10, 10], [150, 10], [160, 10], [170, 10]])  # a square could keep .75
    assert found(0.75, gaze=gaze) == ["wrong subject"]  # .25 is less than half of that
    assert found(0.75, gaze=gaze[:2]) == []
    two_of_five = np.concatenate([gaze, gaze[:1]])
    assert found(0.75, gaze=two_of_five) == []  # .4 is more than half of .75
    assert found(0.85, gaze=two_of_five) == ["wrong subject"]
    assert found(0.8, gaze=two_of_five) == []  # half of it
    # Where nobody knows what a crop could keep, the next evidence counts.
    assert found(None, gaze=gaze, subject=np.float32([50, 50])) == []


def test_the_wrong_subject_by_people_s_crops_and_by_objects() -> None:
    assert found(subject=np.float32([99, 50])) == []
    assert found(subject=np.float32([101, 50])) == ["wrong subject"]
    for x, y in ((0, 0), (100, 100), (0, 100)):  # on the crop's edges
        assert found(subject=np.float32([x, y])) == []
    low = np.float32([20, 20, 80, 80])
    for x, y in ((50, 19), (50, 81), (19, 50), (81, 50)):
        seen = dataclasses.replace(NOTHING, subject=np.float32([x, y]))
        assert violations(low, SQUARE, seen, None) == ["wrong subject"]
    # Of the object of 40 × 50, a tenth is inside; of the huge one, a crop's area and more.
    assert found(objects=boxes([96, 0, 136, 50])) == ["wrong subject"]
    assert found(objects=boxes([90, 0, 130, 50])) == ["subject halved"]  # a quarter is inside
    assert found(objects=boxes([0, 0, 200, 100])) == []
    # A crop of 3,600 px shows less than a quarter of the photo's 20,000, and nothing else.
    seen = dataclasses.replace(NOTHING, objects=boxes([0, 0, 200, 100]))
    assert violations(np.float32([0, 0, 60, 60]), SQUARE, seen, None) == []
    seen = dataclasses.replace(NOTHING, objects=boxes([50, 0, 200, 100]))
    assert violations(np.float32([0, 0, 60, 60]), SQUARE, seen, None) == ["wrong subject"]  # 600


def test_evidence_takes_people_s_word_before_the_detector_s() -> None:
    detected = Detections(
        boxes(
            [0, 0, 40, 40],
            [5, 5, 15, 15],
            [50, 0, 90, 90],
            [0, 80, 60, 95],
            [0, 0, 200, 100],
            [60, 0, 99, 40],
            [60, 0, 70, 19],
        ),
        np.float32([0.9, 0.8, 0.5, 0.3, 0.2, 0.24, 0.25]),
        ["person", "face", "thing", "text", "subject", "thing", "thing"],
    )
    photo = Example("a", None)  # type: ignore[arg-type]
    seen = fault_evidence(photo, detected, (200, 100))
    assert seen.heads.tolist() == [[5, 5, 15, 15]]
    assert seen.head_cut == DETECTED_CUT
    # Of each label from half the best score on; 10 × 19 px are less than a hundredth of the photo.
    assert seen.objects.tolist() == [[0, 0, 40, 40], [50, 0, 90, 90], [0, 0, 200, 100]]
    assert seen.text.tolist() == [[0, 80, 60, 95]]
    assert seen.sources() == {"heads": "detector", "subject": "detector"}
    assert len(seen.drawn_heads) == 0
    drawn = boxes([0, 0, 9, 9], [50, -4, 70, 20], [80, 0, 90, 10.5], [200, 0, 210, 9])
    labelled = dataclasses.replace(
        photo, heads_px=drawn, fixations_px=np.float32([[1, 1], [200, 5], [-1, 5], [199, 99]]),
        human_px=boxes([0, 0, 100, 100], [100, 0, 200, 100]),
    )  # fmt: skip
    told = fault_evidence(labelled, detected, (200, 100))
    assert told.heads.tolist() == [[50, 0, 70, 20], [80, 0, 90, 10.5]]  # a quarter and more of 400
    assert told.drawn_heads.tolist() == [[0, 0, 9, 9], [50, 0, 70, 20], [80, 0, 90, 10.5]]
    assert told.gaze is not None
    assert told.gaze.tolist() == [[1, 1], [199, 99]]
    assert told.subject is not None
    assert told.subject.tolist() == [100, 50]
    assert told.sources() == {"heads": "people", "subject": "gaze"}


def test_the_least_evidence_that_counts() -> None:
    """In a photo of 200 × 100, a main object has half the best score and 200 px."""
    things = Detections(
        boxes([0, 0, 50, 50], [60, 0, 70, 20], [60, 0, 70, 19.9], [80, 0, 99, 20]),
        np.float32([0.5, 0.25, 0.25, 0.249]), ["thing"] * 4,
    )  # fmt: skip
    drawn = boxes([0, 0, 20, 20], [50, 0, 60, 10], [70, 0, 80, 9.9])  # 400, 100 and 99 px
    photo = Example(
        "a", None,  # type: ignore[arg-type]
        heads_px=drawn, fixations_px=np.float32([[0, 0], [-0.1, 5], [5, 100], [5, 99.9]]),
    )  # fmt: skip
    seen = fault_evidence(photo, things, (200, 100))
    assert seen.objects.tolist() == [[0, 0, 50, 50], [60, 0, 70, 20]]
    assert seen.heads.tolist() == drawn[:2].tolist()
    assert seen.gaze is not None
    assert seen.gaze.tolist() == [[0, 0], [5, np.float32(99.9)]]
    off = dataclasses.replace(photo, fixations_px=np.float32([[-1, 5]]), human_px=drawn[:1])
    told = fault_evidence(off, things, (200, 100))
    assert told.gaze is None  # no fixation is in the photo
    assert told.sources() == {"heads": "people", "subject": "people's crops"}


def test_heads_are_ordered_by_size_and_then_as_listed() -> None:
    same = [[10.0 * place, 0, 10.0 * place + 10, 10] for place in range(19)]
    drawn = boxes(*same, [0, 50, 20, 70])
    seen = fault_evidence(
        Example("a", None, heads_px=drawn),  # type: ignore[arg-type]
        Detections(boxes(), np.zeros(0, np.float32), []), (200, 100),
    )  # fmt: skip
    assert seen.heads.tolist() == [[0, 50, 20, 70], *same]
