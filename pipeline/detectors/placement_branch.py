"""Predict where a thumbnail should be, by a branch of the embedded detector: the placement maps.

Gaze says what people look at, not what a thumbnail has to hold: an animal's head gets the gaze, and
its body belongs to the thumbnail too. The branch reads the taps of the trunk and the finest level
of the feature pyramid, and gives three values per cell of stride 16: how good it is to show it, and
what it costs if the left or right edge of a crop, or its upper or lower one, goes through it. The
mean over a crop's cells, less the costs along its edges, tells how good its place is among crops of
the same shape. It was trained on acceptable places of thumbnails and on people's labels
(`pipeline.lab.people.placement`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.head_branch import LEVELS, laterals, upsampled_2x
from pipeline.detectors.people_head import POSITION, positions

WIDTH = 64
PLACEMENT_CHANNELS = 3  # worth of showing a cell; cost of a side, of an end
DROPOUT = 0.2  # share of the channels that are left out while training


class PlacementBranch(nn.Module):
    """Maps taps and pyramid to placement maps at stride 16. An untrained one prefers no place."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.lateral = laterals(LEVELS, width)
        self.dropout: nn.Module = nn.Dropout2d(DROPOUT)
        self.near = nn.Conv2d(width + POSITION, width, 3, padding=1)
        self.wider = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.widest = nn.Conv2d(width, width, 3, padding=4, dilation=4)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.whole = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, PLACEMENT_CHANNELS, 1)
        for tensor in self.out.state_dict().values():
            tensor.zero_()

    def forward(self, fine: Tensor, medium: Tensor, coarse: Tensor, pyramid: Tensor) -> Tensor:
        """Map taps and pyramid to placement maps [B, 3, h, w] at the size of `medium`."""
        lateral = self.lateral
        fine, pyramid = (functional.avg_pool2d(level, 2) for level in (fine, pyramid))
        same = lateral[0](fine) + lateral[1](medium) + lateral[3](pyramid)
        joined = same + upsampled_2x(lateral[2](coarse))
        seen = self.dropout(functional.relu(joined))
        near = functional.relu(self.near(torch.cat([seen, positions(seen)], dim=1)))
        wider = near + functional.relu(self.wider(near))
        whole = self.whole(self.mean(wider))
        placement: Tensor = self.out(wider + functional.relu(self.widest(wider) + whole))
        return placement
