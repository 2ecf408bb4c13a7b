"""Moving crops to the best position nearby."""

import numpy as np
import pytest

from pipeline.cropping.extents import Extents
from pipeline.cropping.refine import extents_of, neighbours, refine


def near(peaks: np.ndarray) -> object:
    """The nearer a box's centre is to its row's peak (x, y), the better."""

    def value_of(boxes: np.ndarray, _: Extents) -> np.ndarray:
        centres = (boxes[..., :2] + boxes[..., 2:]) / 2
        return -((centres - peaks[:, None]) ** 2).sum(axis=2)

    return value_of


def refined(boxes: np.ndarray, value_of: object, width: float = 1.0) -> np.ndarray:
    """Boxes moved; all shapes have the same width."""
    known = value_of(boxes[:, None], None)[:, 0]
    return refine(boxes, known, value_of, np.full(len(boxes), width))


def test_refinement_reaches_a_peak_between_candidates_and_keeps_the_ratio() -> None:
    peak = np.array([0.617, 0.433])
    (best,) = refined(np.array([[0.36, 0.22, 0.86, 0.62]]), near(peak[None]))
    assert (best[:2] + best[2:]) / 2 == pytest.approx(peak, abs=0.015)
    assert (best[2] - best[0]) / (best[3] - best[1]) == pytest.approx(0.5 / 0.4)


def test_crops_are_moved_together_as_alone() -> None:
    """The first has reached its peak after a move, the last needs all of them."""
    boxes = np.array([[0.3, 0.3, 0.7, 0.7], [0.1, 0.2, 0.5, 0.9], [0.36, 0.22, 0.86, 0.62]])
    peaks = np.array([[0.508, 0.5], [0.31, 0.55], [0.9, 0.1]])
    together = refined(boxes, near(peaks))
    for box, peak, moved in zip(boxes, peaks, together, strict=True):
        assert np.array_equal(refined(box[None], near(peak[None])), moved[None])
        assert not np.array_equal(box, moved)


def test_a_crop_stays_inside_the_photo_and_below_the_largest() -> None:
    def far_right(boxes: np.ndarray, _: Extents) -> np.ndarray:
        return boxes[..., 0] + boxes[..., 1] + 9 * (boxes[..., 2] - boxes[..., 0])

    (best,) = refined(np.array([[0.5, 0.6, 1.0, 1.0]]), far_right, 0.505)
    assert best.min() >= 0
    assert best.max() <= 1 + 1e-12
    assert best[2] - best[0] == pytest.approx(0.505)


def test_a_crop_that_is_best_stays() -> None:
    box = np.array([[0.2, 0.2, 0.7, 0.7]])
    assert np.array_equal(refined(box, lambda boxes, _: np.zeros(boxes.shape[:2])), box)
    assert neighbours(box, 0.02, np.ones(1)).shape == (1, 27, 4)


def test_neighbours_are_moved_by_a_step_of_their_own_sides() -> None:
    """Of a box .5 wide and .2 high: right .01, down .004, a fiftieth larger; then all less."""
    box = np.array([[0.2, 0.4, 0.7, 0.6]])
    moved = neighbours(box, 0.02, np.ones(1))[0]
    assert moved[-1] == pytest.approx([0.205, 0.402, 0.715, 0.606])
    assert moved[0] == pytest.approx([0.195, 0.398, 0.685, 0.594])
    assert moved[13] == pytest.approx(box[0])


def test_no_neighbour_is_wider_than_the_largest_or_higher_than_the_photo() -> None:
    """Of any ratio: one of the photo's height grows no more, nor does one of its width."""
    boxes = np.array([[0.2, 0.0, 0.7, 1.0], [0.0, 0.3, 1.0, 0.6], [0.1, 0.4, 0.7, 0.8]])
    moved = neighbours(boxes, 0.02, np.array([1.0, 1.0, 0.6]))
    sides = moved[:, :, 2:] - moved[:, :, :2]
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-12
    assert sides.max(axis=1) == pytest.approx(np.array([[0.5, 1.0], [1.0, 0.3], [0.6, 0.4]]))


def test_neighbours_are_told_by_nine_extents_a_side() -> None:
    boxes = np.array([[0.2, 0.4, 0.7, 0.6], [0.0, 0.1, 0.9, 1.0]])
    moved = neighbours(boxes, 0.02, np.array([1.0, 0.9]))
    extents = extents_of(moved)
    assert extents.across.shape == extents.down.shape == (2, 9, 2)
    back = [extents.across[:, extents.columns], extents.down[:, extents.rows]]
    assert np.array_equal(np.concatenate(back, axis=2)[..., [0, 2, 1, 3]], moved)


def test_a_crop_that_has_reached_its_peak_stays_there() -> None:
    """After two moves of .02 · .4; once no neighbour is better, none is looked at again."""
    peak, calls = np.array([0.316, 0.3, 0.716, 0.7]), []

    def same(boxes: np.ndarray, _: Extents | None) -> np.ndarray:
        calls.append(len(boxes[0]))
        return -((boxes - peak) ** 2).sum(axis=2)

    (best,) = refined(np.array([[0.3, 0.3, 0.7, 0.7]]), same)
    assert best == pytest.approx(peak, abs=1e-9)
    assert calls == [1, 27, 27, 27]  # the crop itself, two moves, and one look by smaller steps
