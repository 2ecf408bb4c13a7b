"""Branches of the embedded detector, trained on people's labels: gaze, crops and heads.

They read the taps of the trunk and the finest level of the feature pyramid (`subject_network`),
which stay as they are. One branch has stride 16 and gives, per cell, four logits of gaze, one for
each quarter of the cell (softmax over all quarters: the share of people's fixations), and a logit
of being kept (sigmoid: the share of people whose own crop holds the cell). The quarters are put
into a map of stride 8 by sub-pixel convolution (Shi et al., CVPR 2016): where a crop's edge is to
fall, a map of stride 16 is too coarse. The other branch has stride 8 and gives, per cell, how
likely it is the centre of a head, hair included, seen from any side, and the offsets from there to
the head's edges (Zhou et al., "Objects as Points", arXiv 1904.07850).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = (40, 112, 320, 64)  # channels: taps at strides 8, 16 and 32, and the pyramid at stride 8
HEAD_CHANNELS = 5  # logit of a head's centre; its four offsets in cells, before softplus
FINER = 2  # gaze has this many cells along a side of a cell of the map of being kept
POSITION = 4  # channels: x, y and their squares, in -1..1
DROPPED = 0.1  # share of the maps' channels that are left out while training
# Training draws a Gaussian around an object's centre; its deviation is this share of the object's
# side, and at least so many cells.
BUMP_SHARE, LEAST_BUMP = 0.12, 0.6


class PeopleHead(nn.Module):
    """Taps and pyramid in; heads and gaze at stride 8 and the map of being kept at 16 out."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.map_lateral = laterals(LEVELS, width)
        self.map_middle = nn.Conv2d(width + POSITION, 32, 3, padding=1)
        self.map_out = nn.Conv2d(32, FINER**2 + 1, 3, padding=1)
        self.head_lateral = laterals(LEVELS, width)
        self.head_wide = _separable(width, 5)
        self.head_near = _separable(width, 3)
        self.head_out = nn.Conv2d(width, HEAD_CHANNELS, 1)

    def forward(
        self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """-> heads [B, 5, h, w] at the size of `fine`, gaze [B, 1, h, w], kept [B, 1, h/2, w/2]."""
        heads = self.heads(fine, medium, coarse, pyramid)
        return heads, *self.maps(fine, medium, coarse, pyramid)

    def maps(
        self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of gaze [B, 1, h, w] and of being kept [B, 1, h/2, w/2]."""
        lateral = self.map_lateral
        features = lateral[0](functional.avg_pool2d(fine, 2)) + lateral[1](medium)
        features = features + doubled(lateral[2](coarse))
        features = functional.relu(features + lateral[3](functional.avg_pool2d(pyramid, 2)))
        features = functional.dropout2d(features, DROPPED, self.training)
        placed = torch.cat([features, positions(features)], dim=1)
        maps = self.map_out(functional.relu(self.map_middle(placed)))
        return functional.pixel_shuffle(maps[:, :-1], FINER), maps[:, -1:]

    def heads(self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor) -> Tensor:
        """Logit of a head's centre and its four offsets, at stride 8: [B, 5, h, w]."""
        lateral = self.head_lateral
        upper = doubled(lateral[1](medium) + doubled(lateral[2](coarse)))
        features = functional.relu(lateral[0](fine) + lateral[3](pyramid) + upper)
        heads: Tensor = self.head_out(self.head_near(self.head_wide(features)))
        return heads


def positions(features: Tensor) -> Tensor:
    """x, y, x², y² of the cells' centres, in -1..1: [B, 4, h, w] for features [B, C, h, w]."""
    ones = torch.ones_like(features[:, :1])  # counted along the sides, so that a tracer can follow
    x = 2 * ((ones.cumsum(3) - 0.5) / features.shape[3]) - 1
    y = 2 * ((ones.cumsum(2) - 0.5) / features.shape[2]) - 1
    return torch.cat([x, y, x * x, y * y], dim=1)


def fold_standardisation(head: PeopleHead, levels: list[tuple[Tensor, Tensor]]) -> None:
    """Fold (level - mean) / deviation, as trained, into the lateral convolutions, in place.

    levels: mean and deviation [C, 1, 1] of each of LEVELS.
    """
    fold_into(head.map_lateral, levels)
    fold_into(head.head_lateral, levels)


def fold_into(layers: nn.ModuleList, levels: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Fold (level - mean) / deviation into layers that `laterals` has made, in place.

    levels: mean and deviation [C, 1, 1], one pair a convolution.
    """
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    bias = convolutions[0].bias
    assert bias is not None, "the first lateral convolution has a bias"
    with torch.no_grad():
        shift = torch.zeros_like(bias)
        for convolution, (mean, deviation) in zip(convolutions, levels, strict=True):
            convolution.weight /= deviation[None]
            shift += convolution.weight[:, :, 0, 0] @ mean.flatten()
        bias -= shift


def laterals(levels: Iterable[int], width: int) -> nn.ModuleList:
    """One convolution a level of so many channels; they are added, so only the first has a bias."""
    return nn.ModuleList(
        nn.Conv2d(channels, width, 1, bias=not index) for index, channels in enumerate(levels)
    )


def _separable(width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
    )


def doubled(features: Tensor) -> Tensor:
    """Features [B, C, h, w] in cells of half the side, [B, C, 2h, 2w]."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
