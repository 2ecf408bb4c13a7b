"""Predict gaze, kept parts and heads by branches of the embedded detector.

The branches are trained on people's labels. They read the taps of the trunk and the finest level of
the feature pyramid (`subject_network`), which stay as they are. One branch has stride 16 and gives,
per cell, four logits of gaze, one for each quarter of the cell (softmax over all quarters: the
share of people's fixations), and a logit of being kept (sigmoid: the share of people whose own crop
holds the cell). Sub-pixel convolution (Shi et al., CVPR 2016) arranges the quarters into a map of
stride 8, since a map of stride 16 is too coarse for placing a crop's edge. The other branch finds
heads, hair included, seen from any side (`head_branch`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.head_branch import LEVELS, HeadBranch, fold_into, laterals, upsampled_2x

FINER = 2  # cells of the gaze map along each side of a cell of the kept map
POSITION = 4  # channels: x, y and their squares, in -1..1
DROPOUT = 0.1  # share of the maps' channels that are left out while training
# Training draws a Gaussian around an object's centre; its standard deviation is this share of the
# object's side, and at least this many cells.
BUMP_SHARE, LEAST_BUMP = 0.12, 0.6


class PeopleHead(nn.Module):
    """Maps taps and pyramid to heads and gaze at stride 8 and the kept map at stride 16."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.map_lateral = laterals(LEVELS, width)
        self.map_middle = nn.Conv2d(width + POSITION, 32, 3, padding=1)
        self.map_out = nn.Conv2d(32, FINER**2 + 1, 3, padding=1)
        self.heads = HeadBranch(width)

    def forward(
        self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return heads [B, 5, h, w], of `fine`'s size, gaze [B, 1, h, w], kept [B, 1, h/2, w/2]."""
        heads = self.heads(fine, medium, coarse, pyramid)
        return heads, *self.maps(fine, medium, coarse, pyramid)

    def maps(
        self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of gaze [B, 1, h, w] and of being kept [B, 1, h/2, w/2]."""
        lateral = self.map_lateral
        features = lateral[0](functional.avg_pool2d(fine, 2)) + lateral[1](medium)
        features = features + upsampled_2x(lateral[2](coarse))
        features = functional.relu(features + lateral[3](functional.avg_pool2d(pyramid, 2)))
        features = functional.dropout2d(features, DROPOUT, self.training)
        placed = torch.cat([features, positions(features)], dim=1)
        maps = self.map_out(functional.relu(self.map_middle(placed)))
        return functional.pixel_shuffle(maps[:, :-1], FINER), maps[:, -1:]


def positions(features: Tensor) -> Tensor:
    """Return x, y, x², y² of cells' centres, in -1..1: [B, 4, h, w] for features [B, C, h, w]."""
    ones = torch.ones_like(features[:, :1])  # counted along the sides, which a tracer can record
    x = 2 * ((ones.cumsum(3) - 0.5) / features.shape[3]) - 1
    y = 2 * ((ones.cumsum(2) - 0.5) / features.shape[2]) - 1
    return torch.cat([x, y, x * x, y * y], dim=1)


def fold_standardisation(head: PeopleHead, levels: list[tuple[Tensor, Tensor]]) -> None:
    """Fold (level - mean) / deviation, as trained, into the lateral convolutions, in place.

    levels: mean and deviation [C, 1, 1] of each of LEVELS.
    """
    fold_into(head.map_lateral, levels)
    fold_into(head.heads.lateral, levels)
