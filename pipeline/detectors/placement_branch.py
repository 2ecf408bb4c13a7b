"""Predict where a thumbnail should be, by a branch of the embedded detector: the placement map.

Gaze says what people look at, not what a thumbnail has to hold: an animal's head gets the gaze, and
its body belongs to the thumbnail too. The branch reads the taps of the trunk and the finest level
of the feature pyramid, and gives one value per cell of stride 16. The sum of a crop's cells tells
how good its place is among crops of the same shape. It was trained on crops of given shapes and on
people's gaze (`pipeline.lab.people.placement`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.head_branch import LEVELS, laterals, upsampled_2x
from pipeline.detectors.people_head import POSITION, positions

WIDTH = 64
DROPOUT = 0.2  # share of the channels that are left out while training


class PlacementBranch(nn.Module):
    """Maps taps and pyramid to placement at stride 16. An untrained branch prefers no place."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.lateral = laterals(LEVELS, width)
        self.near = nn.Conv2d(width + POSITION, width, 3, padding=1)
        self.wider = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.widest = nn.Conv2d(width, width, 3, padding=4, dilation=4)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.whole = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, 1, 1)
        for tensor in self.out.state_dict().values():
            tensor.zero_()

    def forward(self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor) -> Tensor:
        """Map taps and pyramid to placement [B, 1, h, w] at the size of `medium`.

        A constant added to a map changes nothing: all crops of a shape have the same area.
        """
        lateral = self.lateral
        fine, pyramid = (functional.avg_pool2d(level, 2) for level in (fine, pyramid))
        same = lateral[0](fine) + lateral[1](medium) + lateral[3](pyramid)
        joined = same + upsampled_2x(lateral[2](coarse))
        seen = functional.dropout2d(functional.relu(joined), DROPOUT, self.training)
        near = functional.relu(self.near(torch.cat([seen, positions(seen)], dim=1)))
        wider = near + functional.relu(self.wider(near))
        whole = self.whole(self.mean(wider))
        placement: Tensor = self.out(wider + functional.relu(self.widest(wider) + whole))
        return placement
