"""Gaze kept and heads cut or lost, calculated by hand."""

import numpy as np
import pytest

from pipeline.lab.evaluation.kept import (
    all_candidates,
    best_gaze_kept,
    best_heads_cut_and_lost,
    gaze_kept,
    heads_cut_and_lost,
    shares_shown,
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


def test_candidates_of_a_free_shape_have_the_photo_s_ratio() -> None:
    """To the whole pixels that they are rounded to."""
    candidates = all_candidates(parse_shape("free"), (200, 100))
    wide, high = (candidates[:, 2:] - candidates[:, :2]).T
    assert len(wide) > 10
    assert np.abs(wide - 2 * high).max() <= 2
    assert (wide.max(), high.max()) == (200, 100)


def test_of_a_circle_the_disc_counts() -> None:
    """The disc of 50 px about (50, 50); the corner of the square is 50 √2 = 70.7 px away."""
    circle, crop = parse_shape("circle"), boxes([0, 0, 100, 100])
    # 3-4-5: (80, 90) is 50 px from the centre, (79, 89) less; (5, 5) is in the square's corner
    fixations = np.float32([[50, 50], [79, 89], [80, 90], [5, 5], [120, 50]])
    assert gaze_kept(crop, fixations, circle).tolist() == [0.4]
    assert gaze_kept(crop, fixations).tolist() == [0.8]
    moved = boxes([20, 10, 120, 110])
    assert gaze_kept(moved, fixations + np.float32([20, 10]), circle).tolist() == [0.4]
    # whole in both, in the corner, and half of it in the disc's upper half: π/4 of its square's
    heads = boxes([40, 40, 60, 60], [0, 0, 10, 10], [0, 0, 100, 50])
    cut, lost = heads_cut_and_lost(crop, heads, circle)
    assert (cut.tolist(), lost.tolist()) == (pytest.approx([1 / 3]), pytest.approx([1 / 3]))
    assert shares_shown(crop, heads, circle)[0].tolist() == pytest.approx([1, 0, np.pi / 4])
    assert shares_shown(crop, heads, parse_shape("1:1"))[0].tolist() == [1, 1, 1]
    # the corner of a photo is in squares, and in no disc
    assert best_gaze_kept(circle, np.float32([[1, 1], [100, 50]]), (200, 100)) == 0.5
    corner = boxes([0, 0, 8, 8])
    assert best_heads_cut_and_lost(circle, corner, (200, 100)) == (0, 1)
