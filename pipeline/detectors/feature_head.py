"""A branch of the embedded detector that tells S2CNet's feature map: one trunk sees a photo.

S2CNet's own backbone looks at the pixels that the detector has looked at already. This branch reads
the detector's trunk and is trained to give what the packaged S2CNet's backbone gives (Hinton et
al., arXiv 1503.02531, with features in place of class scores; `pipeline.lab.people.feature_recipe`
trains it). All the rest of S2CNet stays as it is. The branch belongs to that one set of weights
(`packaged.FEATURES_OF`): for any other, and on request, S2CNet looks for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.people_head import doubled, laterals
from pipeline.detectors.subject_network import CHANNELS, TAPS, SubjectNetwork

FEATURES = 8  # channels of S2CNet's feature map (reduced_dim of its presets)
WIDTH, MIDDLE = 96, 64


class FeatureHead(nn.Module):
    """The trunk's taps in, S2CNet's feature map out, in cells of 16 pixels of the detector."""

    def __init__(self, width: int = WIDTH, middle: int = MIDDLE) -> None:
        super().__init__()
        self.lateral = laterals(TAPS.values(), width)
        self.middle = nn.Conv2d(width, middle, 3, padding=1)
        self.out = nn.Conv2d(width + middle, FEATURES, 1)

    def forward(self, fine: Tensor, medium: Tensor, coarse: Tensor) -> Tensor:
        """Taps at strides 8, 16 and 32 -> [B, FEATURES, h, w] at the size of `medium`."""
        joined = self.lateral[0](functional.avg_pool2d(fine, 2)) + self.lateral[1](medium)
        joined = joined + doubled(self.lateral[2](coarse))
        nearby = functional.relu(self.middle(functional.relu(joined)))
        features: Tensor = self.out(torch.cat([joined, nearby], dim=1))
        return features


class SharedTrunk(nn.Module):
    """The embedded detector's network with the branch behind its trunk."""

    def __init__(self, subjects: SubjectNetwork, features: FeatureHead) -> None:
        super().__init__()
        self.subjects = subjects
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        """As `SubjectNetwork`, and FEATURES channels in blocks of 2 × 2 equal cells."""
        taps = self.subjects.trunk(images)
        features = doubled(self.features(*taps))  # to stride 8, as all other channels
        return torch.cat([self.subjects.read(*taps), features], dim=1)


def features_in(output: Tensor) -> Tensor | None:
    """S2CNet's feature map [FEATURES, h/2, w/2] in an output [1, C, h, w], None where it is not.

    Its cells are equal shares of the photo's sides.
    """
    if output.shape[1] == CHANNELS:
        return None
    return output[0, CHANNELS:, ::2, ::2].contiguous()


def in_cells(features: Tensor, size: Sequence[int]) -> Tensor:
    """A feature map [B, C, h, w] of the whole photo in other cells, size (rows, columns)."""
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
