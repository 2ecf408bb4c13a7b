"""Bumps, offsets and focal loss of maps of centres, with values by hand."""

import math

import numpy as np
import pytest
import torch

from pipeline.lab.centre_maps import bump_of, focal_losses, write_offsets


def test_a_bump_is_1_at_the_centre_and_as_wide_as_its_box() -> None:
    bump = bump_of(np.array([0.0, 0.0, 25.0, 9.0]), 9, 30)  # deviations: 3 across, 1.08 down
    assert bump.shape == (9, 30)
    assert bump[4, 12] == bump.max() == 1
    assert bump[4, 15] == pytest.approx(math.exp(-1 / 2))
    assert bump[5, 12] == pytest.approx(math.exp(-1 / 1.08**2 / 2))


def test_the_centre_of_a_bump_is_the_cell_that_holds_it() -> None:
    for centre in (1.1, 1.9):
        bump = bump_of(np.array([centre - 1, 0, centre + 1, 2]), 3, 4)
        assert bump.argmax(axis=1).tolist() == [1, 1, 1]


def test_a_bump_of_a_tiny_box_has_the_least_width_and_stays_on_the_map() -> None:
    bump = bump_of(np.array([9.9, -3.0, 10.1, -2.8]), 4, 8)
    assert bump[0, 7] == 1
    assert bump[1, 7] == bump[0, 6] == pytest.approx(math.exp(-1 / 0.6**2 / 2))


def test_offsets_are_to_the_edges_from_a_cells_centre_and_never_negative() -> None:
    offsets = np.full((4, 3, 4), -1, np.float32)
    cells = np.zeros((3, 4), bool)
    cells[1, 2] = cells[0, 0] = True
    write_offsets(offsets, np.array([1.0, 0.0, 4.0, 2.0]), cells)
    assert offsets[:, 1, 2].tolist() == [1.5, 1.5, 1.5, 0.5]
    assert offsets[:, 0, 0].tolist() == [0, 0.5, 3.5, 1.5]
    assert (offsets[:, ~cells] == -1).all()


def test_focal_losses_by_hand() -> None:
    logits = torch.tensor([0.0, 0.0, math.log(3), 0.0])  # likelihoods 1/2, 1/2, 3/4, 1/2
    centres = torch.tensor([1.0, 0.5, 0.0, 0.0])
    losses, at = focal_losses(logits, centres, torch.tensor([1.0, 0.5, 1.0, 0.0]))
    assert at.tolist() == [1, 0, 0, 0]
    missed = (1 / 2) ** 2 * math.log(2)
    near = 0.5 * (1 / 2) ** 4 * (1 / 2) ** 2 * math.log(2)
    far = (3 / 4) ** 2 * math.log(4)
    assert losses.tolist() == pytest.approx([missed, near, far, 0], rel=1e-5)
