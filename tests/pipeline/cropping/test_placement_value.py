"""How good the place of a crop is by the placement that the detector predicts, by hand."""

import numpy as np
import pytest

from pipeline.cropping.placement_value import PlacementValue
from pipeline.detectors.attention import Placement, Profile

NOTHING = Profile(np.zeros(4), np.zeros(4))
WORTH = Profile(np.array([1.0, 2.0, 4.0, 8.0]), np.zeros(4))
COST = Profile(np.zeros(4), np.array([1.0, 2.0, 4.0, 8.0]))


def of_places(placement: Placement, ratio: float, lows: list[float]) -> list[float]:
    """Value crops of a ratio at these left edges, or upper ones if they are wide."""
    wide, side = ratio >= 1, min(ratio, 1 / ratio)
    boxes = [[0, low, 1, low + side] if wide else [low, 0, low + side, 1] for low in lows]
    return [float(one) for one in PlacementValue(placement)(np.array(boxes), ratio)]


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_the_worth_of_a_place_is_that_of_what_it_shows(ratio: float) -> None:
    placement = Placement(WORTH, NOTHING) if ratio < 1 else Placement(NOTHING, WORTH)
    assert of_places(placement, ratio, [0, 0.25, 0.375, 0.5]) == pytest.approx([3, 6, 9, 12])


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_the_edges_of_a_place_cost_what_they_cut(ratio: float) -> None:
    placement = Placement(COST, NOTHING) if ratio < 1 else Placement(NOTHING, COST)
    # Edges in the middle of the first and third part; between the second and third, and the
    # photo's own; between the first and second, and the third and fourth.
    found = of_places(placement, ratio, [0.125, 0.5, 0.25])
    assert found == pytest.approx([-(1 + 4), -3, -(1.5 + 6)])


def test_an_edge_near_the_photos_own_costs_little() -> None:
    placement = Placement(Profile(np.zeros(4), np.array([4.0, 4, 0, 0])), NOTHING)
    # At .005 of the side a quarter of the cost; the other edge, at .505, costs 2 less .04 · 4.
    assert of_places(placement, 0.5, [0.005]) == pytest.approx([-(1 + 2 - 0.02 * 4)])


def test_a_smaller_crop_has_the_place_of_the_largest_one_at_its_centre() -> None:
    placement = Placement(Profile(WORTH.worth, COST.edge_cost), NOTHING)
    largest, smaller, clipped = PlacementValue(placement)(
        np.array([[0.2, 0, 0.7, 1], [0.35, 0.4, 0.55, 0.8], [0, 0, 0.2, 0.4]]), 0.5
    )
    assert smaller == pytest.approx(largest)
    assert clipped == pytest.approx(of_places(placement, 0.5, [0])[0])


def test_the_places_of_several_shapes_are_valued_together() -> None:
    placement = Placement(Profile(WORTH.worth, COST.edge_cost), Profile(np.arange(6.0), np.ones(6)))
    narrow = np.array([[0.1, 0, 0.6, 1], [0.35, 0, 0.85, 1]])
    wide = np.array([[0, 0.1, 1, 0.5], [0, 0.6, 1, 1]])
    together = PlacementValue(placement)(np.stack([narrow, wide]), np.array([[0.5], [2.5]]))
    np.testing.assert_allclose(together[0], PlacementValue(placement)(narrow, 0.5))
    np.testing.assert_allclose(together[1], PlacementValue(placement)(wide, 2.5))
