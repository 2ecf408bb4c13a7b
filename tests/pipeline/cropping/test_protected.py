"""Which heads, faces, texts and objects are protected in a photo of 1000 × 500 px."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.cropping.protected import Protected, protected_of
from pipeline.detectors import Attention, Detections

SIZE = (1000, 500)
Labelled = tuple[str, tuple[float, float, float, float], float]


def found(
    objects: Sequence[Labelled] = (),
    heads: Sequence[Sequence[float]] = (),
    likelihood: Sequence[float] = (),
    focus: tuple[float, float] = (0.0, 0.0),
) -> Protected:
    """heads in pixels; the gaze has its peak at `focus`, pixels."""
    gaze = np.full((20, 20), 1e-6)
    gaze[int(focus[1] / SIZE[1] * 20), int(focus[0] / SIZE[0] * 20)] = 1
    heads_rel = np.array(heads, np.float64).reshape(-1, 4) / (SIZE * 2)
    sure = np.array(likelihood or [1.0] * len(heads_rel))
    attention = Attention(gaze / gaze.sum(), gaze, heads_rel, sure)
    boxes = np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4)
    scores = np.array([score for *_, score in objects], np.float32)
    labels = [label for label, *_ in objects]
    return protected_of(Detections(boxes, scores, labels, attention), SIZE)


def test_a_head_is_clear_where_it_is_likely_and_large() -> None:
    """From 7,500 square pixels, .015 of the photo, and half of the largest head on."""
    large, half, small = (0, 0, 120, 120), (200, 0, 287, 87), (400, 0, 486, 86)
    assert found(heads=[large, half, small]).clear_heads.tolist() == [True, True, False]
    both = found(heads=[large, half], likelihood=[0.6, 0.59])
    assert both.clear_heads.tolist() == [True, False]
    behind = (300, 0, 440, 140)  # 19,600 of 40,000
    assert found(heads=[(0, 0, 200, 200), behind]).clear_heads.tolist() == [True, False]


def test_a_lenient_guard_guards_sure_heads_alone() -> None:
    """From .8 likely and 10,000 square pixels on; a strict guard from .6 and 7,500."""
    sizes = np.array([[0, 0, 120, 120], [200, 0, 300, 100], [400, 0, 499, 99]]) / (SIZE * 2)
    gaze = np.full((20, 20), 1 / 400)
    attention = Attention(gaze, gaze, sizes, np.array([0.8, 0.79, 0.9]))
    seen = Detections(attention=attention)
    assert protected_of(seen, SIZE, 0.3).clear_heads.tolist() == [True, False, False]
    assert protected_of(seen, SIZE, 0.29).clear_heads.tolist() == [True, True, True]


def test_a_head_counts_where_it_may_be_one() -> None:
    """From 2,500 square pixels and a quarter of the largest head's 14,400 on, .35 likely."""
    large, quarter, small = (0, 0, 120, 120), (200, 0, 260, 60), (400, 0, 459, 59)
    seen = found(heads=[large, quarter, small])
    assert seen.heads == pytest.approx(np.array([large, quarter]))
    assert len(found(heads=[(0, 0, 49, 49)]).heads) == 0
    assert len(found(heads=[large, quarter], likelihood=[0.35, 0.34]).heads) == 1


def test_a_body_is_the_smallest_person_or_what_is_below_the_head() -> None:
    head = (100, 50, 180, 130)
    near, crowd = ("person", (80, 40, 220, 400), 0.9), ("person", (0, 0, 900, 500), 0.9)
    assert found([crowd, near], [head]).bodies.tolist() == [[80, 40, 220, 400]]
    assert found([near, crowd], [head]).bodies.tolist() == [[80, 40, 220, 400]]
    # Two heads wide and high, below it: 160 × 160.
    assert found([], [head]).bodies == pytest.approx(np.array([[60, 130, 220, 290]]))
    for feet in ((90, 0, 200, 100), (90, 50, 200, 120)):  # the head is too low to be this one's
        seen = found([("person", feet, 0.9)], [head])
        assert seen.bodies == pytest.approx(np.array([[60, 130, 220, 290]]))
    at_the_edge = (100, 420, 180, 500)
    assert found([], [at_the_edge]).bodies == pytest.approx(np.array([at_the_edge]))


def test_each_head_has_its_own_body() -> None:
    """Those beside the person, above it and at the photo's left edge have what is below them."""
    inside, beside, above = (100, 50, 180, 130), (600, 50, 680, 130), (100, 0, 180, 60)
    at_the_left = (0, 200, 80, 280)
    person = ("person", (80, 40, 220, 400), 0.9)
    seen = found([person], [inside, beside, above, at_the_left]).bodies
    assert seen == pytest.approx(np.array([
        [80, 40, 220, 400], [560, 130, 720, 290], [60, 60, 220, 180], [0, 280, 120, 440]
    ]))  # fmt: skip


def test_main_heads_are_those_that_people_look_at_first() -> None:
    left, right = (100, 50, 190, 140), (700, 50, 790, 140)
    assert found([], [left, right], focus=(730, 90)).main_heads.tolist() == [False, True]
    assert found([], [left, right], focus=(730, 200)).main_heads.tolist() == [False, True]
    assert found([], [left, right], focus=(450, 90)).main_heads.tolist() == [False, False]


def test_main_faces_are_large_and_looked_at_first() -> None:
    """From 25,000 square pixels on; with the peak of gaze, or in a head with it or on its body."""
    large, small = ("face", (100, 100, 260, 260), 0.9), ("face", (100, 100, 250, 250), 0.9)
    head = (90, 50, 290, 270)
    assert found([large], focus=(200, 200)).main_faces.tolist() == [True]
    assert found([large], focus=(500, 200)).main_faces.tolist() == [False]
    assert found([small], focus=(200, 200)).main_faces.tolist() == [False]
    assert found([large], [head], focus=(200, 400)).main_faces.tolist() == [True]
    assert found([large], [(400, 50, 600, 270)], focus=(500, 200)).main_faces.tolist() == [False]


def test_faces_and_text_are_clear_where_they_are_sure_and_large() -> None:
    """Two hundredths of a side of 500,000 square pixels: 2,500 for a face, 10,000 for text."""
    objects: list[Labelled] = [
        ("face", (0, 0, 60, 60), 0.4),
        ("face", (100, 0, 160, 60), 0.2),
        ("face", (200, 0, 240, 40), 0.9),
        ("text", (0, 100, 250, 140), 0.31),
        ("text", (0, 200, 249, 240), 0.9),
        ("text", (0, 300, 250, 340), 0.29),
    ]
    seen = found(objects)
    assert seen.faces.tolist() == [[0, 0, 60, 60]]
    assert seen.text.tolist() == [[0, 100, 250, 140]]


def test_the_main_subject_is_weighted_by_score() -> None:
    objects: list[Labelled] = [
        ("subject", (0, 0, 100, 100), 0.6),
        ("person", (200, 0, 300, 100), 0.4),
        ("thing", (400, 0, 500, 100), 0.29),  # less than half of the best
        ("face", (600, 0, 700, 100), 0.9),
        ("text", (800, 0, 900, 100), 0.9),
    ]
    seen = found(objects)
    assert seen.subject.tolist() == [[0, 0, 100, 100], [200, 0, 300, 100]]
    assert seen.importance == pytest.approx([0.6, 0.4])
    assert len(found().subject) == 0


def test_without_a_source_of_heads_a_face_grows_into_one() -> None:
    """The guess of `evidence.heads_from`: a face grown by .3 of its sides."""
    face = Detections(
        np.array([[300, 100, 400, 200]], np.float32), np.array([0.9], np.float32), ["face"]
    )
    assert protected_of(face, SIZE).heads == pytest.approx(np.array([[270, 70, 430, 230]]))
