"""The value of candidates to people who labelled a photo, against hand-calculated cases."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.lab.datasets.example import Example
from pipeline.lab.starter.labelled_lists import (
    RATIOS,
    SPREAD,
    TargetList,
    fixations_inside,
    gaze_density,
    gaze_integral,
    gaze_shares,
    head_cost,
    standardised,
    target_lists,
)
from pipeline.lab.starter.list_samples import mostly_large, sample_lists


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_gaze_kept_is_the_share_inside() -> None:
    points = np.array([[100.0, 60.0], [500.0, 420.0]])
    table = gaze_integral(points, np.array([3.0, 1.0]), 640, 480)
    inside = gaze_shares(table, boxes((0, 0, 320, 480), (320, 0, 640, 480), (0, 0, 640, 480)))
    np.testing.assert_allclose(inside, [0.75, 0.25, 1.0], atol=1e-6)


def test_the_blur_loses_nothing_at_an_edge() -> None:
    corner = gaze_density(np.array([[0.0, 0.0]]), np.ones(1), 12, 16, (640, 480), blur=1.0)
    assert corner.sum() == pytest.approx(1)
    assert corner.argmax() == 0


def test_fixations_outside_count_nothing_and_first_ones_little() -> None:
    example = Example(
        "a",
        Path("a.jpg"),
        fixations_px=np.array([[-1, 5], [10, 5], [20, 5], [100, 5]], np.float32),
        first_fixations=np.array([True, True, False, False]),
    )
    points, weights = fixations_inside(example, 100, 50)
    np.testing.assert_array_equal(points, [[10, 5], [20, 5]])
    np.testing.assert_array_equal(weights, [0.3, 1.0])


def test_head_cost_by_hand() -> None:
    """Heads of 10 x 10 and 30 x 30: weights 1/4 + 1/8 and 1/4 + 3/8."""
    heads = boxes((0, 0, 10, 10), (50, 50, 80, 80))
    crops = boxes((0, 0, 100, 100), (20, 20, 100, 100), (0, 0, 65, 100))
    # Both whole; the small one lost, which costs .3 alone; the large one halved, which costs .4.
    np.testing.assert_allclose(head_cost(heads, crops), [0, 0.375 * 0.3, 0.625 * 0.4])


def test_a_list_has_the_spread_of_scores() -> None:
    values = standardised(np.array([0.2, 0.4, 0.9]))
    assert values.mean() == pytest.approx(0)
    assert values.std() == pytest.approx(SPREAD)
    np.testing.assert_allclose(standardised(np.full(3, 0.7)), 0, atol=1e-9)


def test_the_best_candidate_is_where_people_are() -> None:
    crops = Example("a", Path("a.jpg"), human_px=boxes((0, 0, 270, 480), (0, 0, 300, 480)))
    gaze = Example("b", Path("b.jpg"), fixations_px=np.full((9, 2), 40, np.float32))
    for example, count in ((crops, 2 + len(RATIOS) + 1), (gaze, len(RATIOS))):
        lists = target_lists(example, (640, 480))
        assert len(lists) == count
        narrow = [each for each in lists if each.ratio == 9 / 16][-1]
        best = narrow.boxes[narrow.truth.argmax()]
        np.testing.assert_array_equal(best[:2], 0)
    assert target_lists(Example("c", Path("c.jpg")), (640, 480)) == []


def test_near_a_photos_ratio_gaze_compares_one_size() -> None:
    example = Example("a", Path("a.jpg"), fixations_px=np.full((9, 2), 40, np.float32))
    lists = target_lists(example, (640, 480))
    random = np.random.default_rng(0)
    for _ in range(9):
        *far, same = sample_lists(lists, (640, 480), random)
        assert len(far) == 2
        widths = same.crops[:, 2] - same.crops[:, 0]
        assert len(set(widths.tolist())) == 1
        ratio = widths[0] / (same.crops[0, 3] - same.crops[0, 1])
        assert ratio == pytest.approx(4 / 3, abs=0.01)
        assert all(each.relative for each in (*far, same))


def test_the_free_shape_tells_a_level() -> None:
    crops = Example("a", Path("a.jpg"), human_px=boxes((0, 0, 640, 480)))
    own, usual, free = sample_lists(
        target_lists(crops, (640, 480)), (640, 480), np.random.default_rng(0)
    )
    assert own.relative
    assert usual.relative
    assert not free.relative
    assert free.truth.max() <= 10 * (1 - 0.54)


def test_mostly_large_crops() -> None:
    side = np.array([100.0] * 50 + [50.0] * 50, np.float32)
    each = TargetList(1.0, np.stack([0 * side, 0 * side, side, side], 1), np.zeros(100))
    drawn = mostly_large(each, 12, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 12
    assert (drawn < 50).sum() == 8
