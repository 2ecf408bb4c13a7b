"""The candidates that the placement branch chooses among, and the loss of a choice, by hand."""

import numpy as np
import pytest
import torch

from pipeline.cropping.placement_value import PlacementValue
from pipeline.detectors.read_attention import placement_of
from pipeline.lab.people.placement_loss import (
    Candidates,
    PlacementMatrix,
    acceptability,
    place_loss,
)

HALVES = np.array([[0.0, 0, 0.5, 1], [0.25, 0, 0.75, 1], [0.5, 0, 1, 1]])


def candidates(agreement: list[float], is_measured: bool) -> Candidates:
    """Make two places, of which the first has a value larger by .02, an e-fold chance."""
    boxes, values = torch.from_numpy(HALVES[[0, 2]]).float(), torch.tensor([0.52, 0.5])
    return Candidates(boxes, 0.5, values, 0.5, torch.tensor(agreement), is_measured)


def likely(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def test_a_place_in_a_range_is_acceptable_and_one_beside_it_less() -> None:
    ranges = np.array([[0.0, 0.1], [0.4, 0.45]])
    at = np.array([0.05, 0.1, 0.12, 0.2, 0.37, 0.475])[:, None]
    boxes = np.concatenate([at, np.zeros_like(at), at + 0.5, np.ones_like(at)], axis=1)
    assert acceptability(boxes, ranges, 0.5) == pytest.approx([1, 1, 0.6, 0, 0.4, 0.5])


def test_a_smaller_crop_has_the_place_of_the_largest_one_at_its_centre() -> None:
    """The largest crop is .5 wide; at a centre of .1 it would leave the photo, so it is at 0."""
    smaller = np.array([[0.3, 0.2, 0.6, 0.8], [0.0, 0.2, 0.2, 0.6]])
    assert acceptability(smaller, np.array([[0.19, 0.21]]), 0.5) == pytest.approx([1, 0])
    assert acceptability(smaller, np.array([[0.0, 0.0]]), 0.5) == pytest.approx([0, 1])


def test_the_places_of_a_wide_shape_are_those_of_its_upper_edge() -> None:
    boxes = np.array([[0, 0.3, 1, 0.8], [0, 0, 1, 0.5]])
    assert acceptability(boxes, np.array([[0.3, 0.5]]), 2.0) == pytest.approx([1, 0])


def test_without_placement_the_loss_is_that_of_the_values() -> None:
    none = torch.zeros(2)
    acceptable = place_loss(none, none, candidates([0.0, 1.0], is_measured=False))
    chance = likely(-1)
    assert float(acceptable) == pytest.approx(-np.log(chance * 1.001 + (1 - chance) * 0.001))
    gaze = place_loss(none, none, candidates([0.2, 0.6], is_measured=True))
    assert float(gaze) == pytest.approx(8 * (0.6 - (0.6 * chance + 0.2 * (1 - chance))))


def test_placement_moves_the_choice_by_its_weight() -> None:
    """The second is better by .08, so its value by .04: two e-folds, less the one it lacks."""
    good = torch.tensor([0.0, 0.08])
    loss = place_loss(good, good, candidates([0.2, 0.6], is_measured=True))
    assert float(loss) == pytest.approx(8 * 0.4 * (1 - likely(1)), rel=1e-4)


def test_the_loss_grows_where_view_and_copy_choose_differently() -> None:
    """Logits of the second place are 1 and -3, of equal gaze: only the divergence is left."""
    even = candidates([0.5, 0.5], is_measured=True)
    loss = place_loss(torch.tensor([0.0, 0.08]), torch.tensor([0.08, 0.0]), even)
    assert float(loss) == pytest.approx(2 * (likely(1) - likely(-3)) * 4, rel=1e-4)


def test_mirrored_candidates_are_the_same_seen_in_a_mirror() -> None:
    one = candidates([0.0, 1.0], is_measured=False)
    mirrored = one.mirrored()
    torch.testing.assert_close(mirrored.boxes, one.boxes[[1, 0]])
    assert mirrored.values is one.values


@pytest.mark.parametrize("ratio", [0.5, 2.5])
def test_training_sees_places_as_the_product_does(ratio: float) -> None:
    maps = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    boxes = HALVES if ratio < 1 else np.array([[0, 0.01, 1, 0.41], [0.1, 0.3, 0.9, 0.62]])
    expected = PlacementValue(placement_of(*maps.double().numpy()))(boxes, ratio)
    found = PlacementMatrix.of(boxes, ratio, (4, 6))(maps)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
