"""Gaze kept and heads cut or lost, worked by hand."""

import numpy as np
import pytest

from pipeline.lab.evaluation.kept import (
    best_gaze_kept,
    best_heads_cut_and_lost,
    gaze_kept,
    heads_cut_and_lost,
)
from pipeline.shapes import parse_shape


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_gaze_counts_fixations_inside_half_open_crops() -> None:
    fixations = np.float32([[10, 10], [49.9, 20], [50, 20], [80, 90]])
    crops = boxes([0, 0, 50, 50], [10, 10, 100, 100], [60, 0, 100, 50])
    assert gaze_kept(crops, fixations).tolist() == [0.5, 1.0, 0.0]


def test_heads_are_cut_lost_or_kept() -> None:
    # Boxes of 10 × 10; the crop ends at x = 50. Shares inside: 1, .5, .98, .99, .02, .01, 0.
    heads = boxes(*[[x, 0, x + 10, 10] for x in (0, 45, 40.2, 40.1, 49.8, 49.9, 70)])
    cut, lost = heads_cut_and_lost(boxes([0, 0, 50, 50], [0, 0, 100, 50]), heads)
    assert cut.tolist() == pytest.approx([3 / 7, 0])  # .5, .98 and .02
    assert lost.tolist() == pytest.approx([2 / 7, 0])  # .01 and nothing


def test_the_best_candidate_knows_the_answer() -> None:
    square = parse_shape("1:1")
    # Squares of a 200 × 100 photo hold 100 columns: three of these four, or the one on the right.
    fixations = np.float32([[5, 50], [20, 50], [90, 50], [195, 50]])
    assert best_gaze_kept(square, fixations, (200, 100)) == 0.75
    heads = boxes([0, 40, 20, 60], [70, 40, 90, 60], [180, 40, 200, 60])
    assert best_heads_cut_and_lost(square, heads, (200, 100)) == pytest.approx((0, 1 / 3))
