"""Define GAIC, the baseline: the same backbone and operators, each crop scored without a graph.

Zeng, Li, Cao and Zhang: "Reliable and Efficient Image Cropping: A Grid Anchor based Approach",
CVPR 2019. The difference between `S2CNet`'s scores and these is what the graph of objects adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuda_ops import rod_align, roi_align
from s2cnet.config import STRIDE, BackboneName
from s2cnet.network.arguments import check_inputs
from s2cnet.network.backbone import Backbone


@dataclass(frozen=True)
class GAICConfig:
    """Shape of the baseline; the defaults are those of the published GAIC-MobileNetV2.

    backbone: feature extractor. align_size: samples per side of a crop. reduced_dim: channels of
    the map that is sampled.
    """

    backbone: BackboneName = "mobilenet_v2"
    align_size: int = 9
    reduced_dim: int = 8


class GAIC(nn.Module):
    """Scores crops from the features inside and outside of them."""

    def __init__(self, config: GAICConfig | None = None) -> None:
        super().__init__()
        self.config = config or GAICConfig()
        channels = 2 * self.config.reduced_dim
        self.backbone = Backbone(self.config.backbone, self.config.reduced_dim)
        self.head = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(channels, 768, self.config.align_size), nn.BatchNorm2d(768), nn.ReLU()
            ),
            nn.Sequential(nn.Conv2d(768, 128, 1), nn.BatchNorm2d(128), nn.ReLU()),
            nn.Dropout(0.5),
            nn.Conv2d(128, 1, 1),
        )

    @classmethod
    def untrained(cls, config: GAICConfig | None = None, seed: int = 0) -> "GAIC":
        """Build a network with weights drawn from `seed`, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config).eval()

    def forward(self, images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> Tensor:
        """Score as `S2CNet.forward`; the detections are checked but not used."""
        check_inputs(images, crops, detections)
        features = self.backbone(images)  # [B, C, h, w]
        size, scale = self.config.align_size, 1 / STRIDE
        inside = roi_align(features, crops, size, scale)
        outside = rod_align(features, crops, size, scale)
        scores: Tensor = self.head(torch.cat([inside, outside], dim=1))  # [K, 1, 1, 1]
        return scores.flatten()
