"""The belief about a photo's subject, from drawn answers."""

import numpy as np
import pytest

from pipeline.lab.starter.answers import Answers
from pipeline.lab.starter.subjects import SIDE, believe, decided, found_objects, saliency

NOTHING = np.zeros((0, 6), np.float32)
PERSON_LEFT = np.array([[0.05, 0.2, 0.25, 0.9, 0.9, 0]], np.float32)


def answers(
    front: np.ndarray, rows: np.ndarray = NOTHING, text: np.ndarray = NOTHING[:, :5]
) -> Answers:
    """A photo whose classifier looks at its upper right corner."""
    seen = np.full((8, 12), 0.1, np.float32)
    seen[:3, 9:] = 1
    objects = {"nanodet": rows, "centernet": rows}
    return Answers("x.png", (300, 200), objects, NOTHING[:, :5], seen, seen, front, text, NOTHING)


def front_of(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    front = np.zeros((96, 96), np.float32)
    front[int(96 * y0) : int(96 * y1), int(96 * x0) : int(96 * x1)] = 1
    return front


def test_a_clear_foreground_is_the_saliency() -> None:
    salient = saliency(answers(front_of(0.5, 0.5, 0.75, 1)))
    assert salient[3 * SIDE // 4, 5 * SIDE // 8] == pytest.approx(1)
    assert salient[2, SIDE - 3] < 0.01  # where the classifier looks


def test_without_a_foreground_the_classifier_tells() -> None:
    for front in (front_of(0, 0, 0, 0), front_of(0, 0, 1, 1)):
        salient = saliency(answers(front))
        assert salient[2, SIDE - 3] > 0.9
        assert salient[-3, 3] < 0.1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (front_of(0.2, 0.2, 0.8, 0.8), 1.0),
        (front_of(0, 0, 1, 1), 0.0),  # all is foreground: that tells nothing
        (np.full((96, 96), 0.5, np.float32), 0.0),
        (np.linspace(0, 1, 96 * 96, dtype=np.float32).reshape(96, 96), 0.0),
    ],
)
def test_how_decided_a_map_is(values: np.ndarray, expected: float) -> None:
    assert decided(values) == pytest.approx(expected)


def test_the_foreground_takes_chances_from_objects_elsewhere() -> None:
    """A person on the left; the foreground is on the right."""

    def chance_left(front: np.ndarray) -> float:
        belief = believe(answers(front, PERSON_LEFT))
        assert belief.weights.sum() == pytest.approx(1)
        middles = (belief.subjects[:, 0] + belief.subjects[:, 2]) / 2
        return float(belief.weights[middles < 0.4].sum())

    unclear, elsewhere = chance_left(front_of(0, 0, 0, 0)), chance_left(front_of(0.6, 0.3, 0.9, 1))
    assert elsewhere < 0.7 * unclear
    assert chance_left(front_of(0.05, 0.2, 0.25, 0.9)) > 0.8


def test_text_is_an_object() -> None:
    text = np.array([[0.1, 0.1, 0.9, 0.2, 0.8]], np.float32)
    (found,) = found_objects(answers(front_of(0, 0, 0, 0), text=text))
    assert (found.kind, found.score) == ("text", pytest.approx(0.8))
    belief = believe(answers(front_of(0, 0, 0, 0), text=text))
    assert any(np.allclose(box, text[0, :4]) for box in belief.subjects)
