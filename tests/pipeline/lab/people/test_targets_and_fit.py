"""Targets of the people branches and the fit of the rule, against hand-calculated values."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.detectors.head_branch import LEVELS
from pipeline.detectors.people_head import PeopleHead, fold_standardisation
from pipeline.lab.people.branches import PeopleView, branch_loss
from pipeline.lab.people.rule_fit import LabelledList, fit_linear, overlap_target
from pipeline.lab.people.targets import gaze_map, head_target, kept_map


def test_a_fixation_is_shared_by_the_four_nearest_cells() -> None:
    cells = gaze_map(np.array([[0.5625, 0.4375]]), np.ones(1), 8, 8)
    assert cells[3, 4] == pytest.approx(1, abs=1e-4)  # in a cell's middle
    # at column 3.75 and row 2.5 of the cells' middles: a quarter and three quarters, half and half
    cells = gaze_map(np.array([[4.25 / 8, 3 / 8]]), np.ones(1), 8, 8)
    assert cells[2:4, 3:5] == pytest.approx(np.array([[0.125, 0.375]] * 2), abs=1e-4)
    assert cells.sum() == pytest.approx(1)


def test_kept_cells_count_by_the_share_inside() -> None:
    assert kept_map(np.array([[0, 0, 0.375, 1], [0, 0, 1, 1]]), 1, 4)[0] == pytest.approx(
        [1, 0.75, 0.5, 0.5]
    )


def test_a_head_half_outside_is_unknown_and_one_mostly_outside_is_none() -> None:
    half = head_target(np.array([[-0.15, 0.25, 0.1, 0.5]]), 8, 8)
    assert half.centres.max() == 0
    assert half.negative_weights[2, 0] == 0
    gone = head_target(np.array([[-0.24, 0.25, 0.01, 0.5]]), 8, 8)
    assert gone.centres.max() == 0
    assert gone.negative_weights.min() == 1


def test_a_head_is_told_at_its_middle_with_its_offsets() -> None:
    target = head_target(np.array([[0.25, 0.25, 0.625, 0.625]]), 8, 8)
    assert target.centres[3, 3] == 1  # the middle of cells 2 to 5 is cell 3
    assert target.offsets[:, 3, 3] == pytest.approx([1.5, 1.5, 1.5, 1.5])


def test_the_fit_recovers_a_linear_rule_with_distance() -> None:
    random = np.random.default_rng(0)
    lists = []
    for distance in (0.0, 0.5, 1.0) * 10:
        features = random.normal(size=(50, 9))
        target = features @ np.arange(9.0) + distance * features @ np.ones(9) + random.normal()
        lists.append(LabelledList(features, target, distance))
    near, far = fit_linear(lists, ridge=1e-9)
    assert near == pytest.approx(np.arange(9.0), abs=1e-5)
    assert far == pytest.approx(np.ones(9), abs=1e-5)


def test_targets_of_the_fit() -> None:
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    crops = np.array([[0, 0, 0.5, 1], [0, 0, 1, 1]])
    assert overlap_target(boxes, crops, None) == pytest.approx([0.75, 0.25])
    assert overlap_target(boxes, crops, 0.5)[0] > 0.99  # the other crop's ratio is far


def test_standardisation_folds_into_the_branches() -> None:
    torch.manual_seed(0)
    head = PeopleHead().eval()
    stats = [(torch.randn(c, 1, 1), torch.rand(c, 1, 1) + 0.5) for c in LEVELS]
    levels = [torch.randn(1, c, side, side) for c, side in zip(LEVELS, (8, 4, 2, 8), strict=True)]
    with torch.no_grad():
        wanted = head(*[(x - m) / d for x, (m, d) in zip(levels, stats, strict=True)])
        fold_standardisation(head, stats)
        folded = head(*levels)
    for a, b in zip(wanted, folded, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_a_photo_and_its_copy_of_the_same_features_are_consistent() -> None:
    torch.manual_seed(0)
    levels = [torch.randn(c, side, side) for c, side in zip(LEVELS, (8, 4, 2, 8), strict=True)]
    other = [level + 0.5 * torch.randn(level.shape) for level in levels]
    nothing = head_target(np.zeros((0, 4)), 8, 8)
    plain = PeopleView(levels, nothing)
    stats = [(torch.zeros(c, 1, 1), torch.ones(c, 1, 1)) for c in LEVELS]
    head = PeopleHead()
    views = plain, replace(plain, copy=levels), replace(plain, copy=other)
    with torch.no_grad():
        alone, same, changed = (float(branch_loss(head, [one], stats)) for one in views)
    assert same == pytest.approx(alone, abs=1e-5)
    assert changed > alone + 1e-3
    assert head.training
