"""Find heads of one kind, people's or animals', by a branch of the embedded detector.

It reads the taps of the trunk and the finest level of the feature pyramid. For each cell of stride
8 it predicts how likely the cell is the centre of a head, and the offsets from there to the head's
edges (Zhou et al., "Objects as Points", arXiv 1904.07850).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = (40, 112, 320, 64)  # channels: taps at strides 8, 16 and 32, and the pyramid at stride 8
HEAD_CHANNELS = 5  # logit of a head's centre; its four offsets in cells, before softplus
INITIAL_BIAS = (-4.0, 1.0, 1.0, 1.0, 1.0)  # of `out`: no cell is likely a head's centre


class HeadBranch(nn.Module):
    """Maps taps and pyramid to heads at stride 8. An untrained branch finds no heads."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.lateral = laterals(LEVELS, width)
        self.wide = separable(width, 5)
        self.near = separable(width, 3)
        self.out = nn.Conv2d(width, HEAD_CHANNELS, 1)
        self.out.state_dict()["bias"].copy_(torch.tensor(INITIAL_BIAS))

    def forward(self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor) -> Tensor:
        """Predict a head's centre logit and four offsets: [B, 5, h, w] at the size of `fine`."""
        upper = upsampled_2x(self.lateral[1](medium) + upsampled_2x(self.lateral[2](coarse)))
        features = functional.relu(self.lateral[0](fine) + self.lateral[3](pyramid) + upper)
        heads: Tensor = self.out(self.near(self.wide(features)))
        return heads


def laterals(levels: Iterable[int], width: int) -> nn.ModuleList:
    """Build one convolution per level's channels; they are added, so only the first has a bias."""
    return nn.ModuleList(
        nn.Conv2d(channels, width, 1, bias=not index) for index, channels in enumerate(levels)
    )


def fold_into(layers: nn.ModuleList, levels: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Fold (level - mean) / deviation into layers from `laterals`, in place.

    levels: mean and deviation [C, 1, 1], one pair per convolution.
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


def separable(width: int, kernel: int) -> nn.Sequential:
    """Build a convolution of each channel, then one across channels, then ReLU."""
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
    )


def upsampled_2x(features: Tensor) -> Tensor:
    """Upsample features [B, C, h, w] to cells of half the side, [B, C, 2h, 2w]."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
