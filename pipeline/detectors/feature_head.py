"""Predict S2CNet's feature map by a branch of the embedded detector, so that one trunk is enough.

S2CNet's own backbone would read the same pixels as the detector. This branch reads all levels of
the detector, including those of the maps' own stages, and is trained to reproduce the output of the
packaged S2CNet's backbone (Hinton et al., arXiv 1503.02531, with features and the scores that they
lead to in place of classes; `pipeline.lab.people.feature_recipe` trains it). The rest of S2CNet
stays as it is. The branch belongs to that one set of weights (`packaged.FEATURES_OF`): with any
other, and on request, S2CNet uses its own backbone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.head_branch import LEVELS, laterals, upsampled_2x
from pipeline.detectors.subject_network import CHANNELS, Levels, SubjectNetwork

FEATURES = 8  # channels of S2CNet's feature map (reduced_dim of its presets)
# Channels of `Levels`: what the people branches read, and the stages of the maps, as the trunk's.
READ = (*LEVELS, *LEVELS[1:3])
WIDTH, MIDDLE = 128, 96


class FeatureHead(nn.Module):
    """The detector's levels in, S2CNet's feature map out, in cells of 16 pixels of the detector."""

    def __init__(self, width: int = WIDTH, middle: int = MIDDLE) -> None:
        super().__init__()
        self.lateral = laterals(READ, width)
        self.middle = nn.Conv2d(width, middle, 3, padding=1)
        self.second = nn.Conv2d(middle, middle, 3, padding=1)
        self.out = nn.Conv2d(width + 2 * middle, FEATURES, 1)

    def forward(self, levels: Levels) -> Tensor:
        """Map levels from `at_stride_16` to [B, FEATURES, h, w] at the size of `medium`."""
        lateral = self.lateral
        same = lateral[0](levels.fine) + lateral[1](levels.medium)
        same = same + lateral[3](levels.pyramid) + lateral[4](levels.map_medium)
        coarser = lateral[2](levels.coarse) + lateral[5](levels.map_coarse)
        joined = same + upsampled_2x(coarser)
        nearby = functional.relu(self.middle(functional.relu(joined)))
        further = functional.relu(self.second(nearby))
        features: Tensor = self.out(torch.cat([joined, nearby, further], dim=1))
        return features


def at_stride_16(levels: Levels) -> Levels:
    """Return the levels, with those of stride 8 averaged over 2 x 2 cells."""
    fine, pyramid = (functional.avg_pool2d(one, 2) for one in (levels.fine, levels.pyramid))
    return levels._replace(fine=fine, pyramid=pyramid)


class SharedTrunk(nn.Module):
    """The embedded detector's network followed by the branch."""

    def __init__(self, subjects: SubjectNetwork, features: FeatureHead) -> None:
        super().__init__()
        self.subjects = subjects
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        """Return `SubjectNetwork`'s output and FEATURES channels in blocks of 2 × 2 equal cells."""
        levels = self.subjects.levels(images)
        features = self.features(at_stride_16(levels))
        features = upsampled_2x(features)  # to stride 8, as all other channels
        return torch.cat([self.subjects.read(levels), features], dim=1)


def features_in(output: Tensor) -> Tensor | None:
    """Extract S2CNet's feature map [FEATURES, h/2, w/2] from an output [1, C, h, w]; None if none.

    Its cells are equal shares of the photo's sides.
    """
    if output.shape[1] == CHANNELS:
        return None
    return output[0, CHANNELS:, ::2, ::2].contiguous()


def resample_map(features: Tensor, size: Sequence[int]) -> Tensor:
    """Resample a feature map [B, C, h, w] of the whole photo to cells of size (rows, columns)."""
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
