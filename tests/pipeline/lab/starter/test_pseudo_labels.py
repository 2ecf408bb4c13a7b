"""Pseudo-labels from hand-made teacher outputs."""

import numpy as np
import pytest

from pipeline.lab.starter.pseudo_labels import merged_objects, pseudo_labels
from pipeline.lab.starter.saliency import SIDE, decisiveness, saliency
from pipeline.lab.starter.teacher_outputs import TeacherOutputs

NOTHING = np.zeros((0, 6), np.float32)
PERSON_LEFT = np.array([[0.05, 0.2, 0.25, 0.9, 0.9, 0]], np.float32)


def outputs(
    foreground: np.ndarray, rows: np.ndarray = NOTHING, text: np.ndarray = NOTHING[:, :5]
) -> TeacherOutputs:
    """A photo whose class activation is in its upper right corner."""
    seen = np.full((8, 12), 0.1, np.float32)
    seen[:3, 9:] = 1
    objects = {"nanodet": rows, "centernet": rows}
    return TeacherOutputs(
        "x.png", (300, 200), objects, NOTHING[:, :5], seen, seen, foreground, text, NOTHING
    )


def foreground_of(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    foreground = np.zeros((96, 96), np.float32)
    foreground[int(96 * y0) : int(96 * y1), int(96 * x0) : int(96 * x1)] = 1
    return foreground


def test_a_clear_foreground_is_the_saliency() -> None:
    salient = saliency(outputs(foreground_of(0.5, 0.5, 0.75, 1)))
    assert salient[3 * SIDE // 4, 5 * SIDE // 8] == pytest.approx(1)
    assert salient[2, SIDE - 3] < 0.01  # where the class activation is


def test_without_a_foreground_the_class_activation_counts() -> None:
    for foreground in (foreground_of(0, 0, 0, 0), foreground_of(0, 0, 1, 1)):
        salient = saliency(outputs(foreground))
        assert salient[2, SIDE - 3] > 0.9
        assert salient[-3, 3] < 0.1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (foreground_of(0.2, 0.2, 0.8, 0.8), 1.0),
        (foreground_of(0, 0, 1, 1), 0.0),  # all is foreground: that tells nothing
        (np.full((96, 96), 0.5, np.float32), 0.0),
        (np.linspace(0, 1, 96 * 96, dtype=np.float32).reshape(96, 96), 0.0),
    ],
)
def test_how_decisive_a_map_is(values: np.ndarray, expected: float) -> None:
    assert decisiveness(values) == pytest.approx(expected)


def test_the_foreground_takes_probability_from_objects_elsewhere() -> None:
    """A person on the left; the foreground is on the right."""

    def probability_left(foreground: np.ndarray) -> float:
        photo = outputs(foreground, PERSON_LEFT)
        labels = pseudo_labels(merged_objects(photo), saliency(photo))
        assert labels.probabilities.sum() == pytest.approx(1)
        centres = (labels.subjects[:, 0] + labels.subjects[:, 2]) / 2
        return float(labels.probabilities[centres < 0.4].sum())

    unclear, elsewhere = (
        probability_left(foreground_of(0, 0, 0, 0)),
        probability_left(foreground_of(0.6, 0.3, 0.9, 1)),
    )
    assert elsewhere < 0.7 * unclear
    assert probability_left(foreground_of(0.05, 0.2, 0.25, 0.9)) > 0.8


def test_text_is_an_object() -> None:
    text = np.array([[0.1, 0.1, 0.9, 0.2, 0.8]], np.float32)
    photo = outputs(foreground_of(0, 0, 0, 0), text=text)
    (found,) = merged_objects(photo)
    assert (found.kind, found.likelihood) == ("text", pytest.approx(0.8))
    labels = pseudo_labels([found], saliency(photo))
    assert any(np.allclose(box, text[0, :4]) for box in labels.subjects)
