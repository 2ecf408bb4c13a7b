"""Extents of boxes, and sums over boxes with them, against sums computed box by box."""

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.extents import Extents
from pipeline.cropping.maps import CellMaps
from pipeline.cropping.penalties import TINY, Cuts
from pipeline.shapes import parse_shape

RANDOM = np.random.default_rng(5)


def candidates() -> FloatArray:
    """Boxes of two shapes as shares of the sides, in an order that mixes their extents."""
    lists = [for_shape(640, 480, parse_shape(name)) for name in ("1:1", "free")]
    return RANDOM.permutation(np.concatenate(lists) / np.array([640, 480, 640, 480]))


def test_boxes_are_told_by_their_different_extents() -> None:
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [0, 0, 0.5, 0.5], [0, 0, 0.4, 1]])
    extents = Extents.of(boxes)
    assert extents.across.tolist() == [[0, 0.4], [0, 0.5], [0.5, 1]]
    assert extents.down.tolist() == [[0, 0.5], [0, 1]]
    many = candidates()
    extents = Extents.of(many)
    assert len(extents.across) < len(many) / 2
    back = np.concatenate([extents.across[extents.columns], extents.down[extents.rows]], axis=1)
    assert (back[:, [0, 2, 1, 3]] == many).all()


def test_boxes_shrink_about_their_centres() -> None:
    boxes = np.array([[[0, 0, 0.4, 1], [0.5, 0, 1, 1]], [[0, 0, 0.4, 1], [0.5, 0, 1, 1]]])
    half = Extents.ungrouped(boxes).about_centres(np.array([[0.5], [1.0]]))
    expected = [[[0.1, 0.3], [0.625, 0.875]], [[0, 0.4], [0.5, 1]]]
    np.testing.assert_allclose(half.across, expected)
    np.testing.assert_allclose(half.down[:, 0], [[0.25, 0.75], [0, 1]])
    one = Extents.of(boxes[0]).about_centres(np.array([0.5]))
    np.testing.assert_allclose(one.across, expected[0])


def test_no_box_has_no_extent() -> None:
    extents = Extents.of(np.zeros((0, 4)))
    assert extents.across.shape == extents.down.shape == (0, 2)
    assert Cuts(np.zeros((0, 4)), np.zeros(0), np.zeros(0))(candidates()).max() == 0


def test_a_penalty_is_that_of_each_box_alone() -> None:
    boxes = candidates()
    corners = RANDOM.uniform(0, 0.6, (30, 2))
    others = np.concatenate([corners, corners + RANDOM.uniform(0.05, 0.4, (30, 2))], axis=1)
    outside, across = RANDOM.uniform(0, 2, (2, 30))
    low, high = (
        np.maximum(boxes[:, None, :2], others[:, :2]),
        np.minimum(boxes[:, None, 2:], others[:, 2:]),
    )
    shares = np.maximum(high - low, 0).prod(2) / np.maximum(
        (others[:, 2:] - others[:, :2]).prod(1), TINY
    )
    expected = ((outside + across * shares) * (1 - shares)).sum(axis=1)
    np.testing.assert_allclose(Cuts(others, outside, across)(boxes), expected, atol=1e-12)


def test_sums_of_maps_are_those_of_their_cells() -> None:
    """By cells of a hundredth of the sides, of which each box of whole hundredths holds some."""
    cells = RANDOM.uniform(0, 1, (2, 5, 4))
    low = RANDOM.integers(0, 50, (40, 2))
    boxes = np.concatenate([low, low + RANDOM.integers(1, 50, (40, 2))], axis=1)
    fine = cells.repeat(20, axis=1).repeat(25, axis=2) / (20 * 25)
    expected = [[one[y0:y1, x0:x1].sum() for x0, y0, x1, y1 in boxes] for one in fine]
    maps = CellMaps(cells)
    np.testing.assert_allclose(maps.inside(boxes / 100), expected, atol=1e-12)
    np.testing.assert_allclose(maps.totals, cells.sum(axis=(1, 2)))
    assert maps.inside(np.zeros((0, 4))).shape == (2, 0)
