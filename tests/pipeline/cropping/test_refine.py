"""Moving a crop to where it is best."""

import numpy as np
import pytest

from pipeline.cropping.refine import neighbours, refine


def test_refinement_reaches_a_peak_between_candidates_and_keeps_the_ratio() -> None:
    peak = np.array([0.617, 0.433])

    def near(boxes: np.ndarray) -> np.ndarray:
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        return -((centre - peak) ** 2).sum(axis=1)

    best = refine(np.array([0.36, 0.22, 0.86, 0.62]), near)
    assert (best[:2] + best[2:]) / 2 == pytest.approx(peak, abs=0.015)
    assert (best[2] - best[0]) / (best[3] - best[1]) == pytest.approx(0.5 / 0.4)


def test_a_crop_stays_inside_the_photo_and_below_the_largest() -> None:
    def far_right(boxes: np.ndarray) -> np.ndarray:
        return boxes[:, 0] + boxes[:, 1] + 9 * (boxes[:, 2] - boxes[:, 0])

    best = refine(np.array([0.5, 0.6, 1.0, 1.0]), far_right, 0.505)
    assert best.min() >= 0
    assert best.max() <= 1 + 1e-12
    assert best[2] - best[0] == pytest.approx(0.505)


def test_a_crop_that_is_best_stays() -> None:
    box = np.array([0.2, 0.2, 0.7, 0.7])
    assert np.array_equal(refine(box, lambda boxes: np.zeros(len(boxes))), box)
    assert len(neighbours(box, 0.02, 1.0)) == 27
