"""Define the backbone, formula (1): three stages of a known network, joined at stride 16."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2cnet.config import BackboneName
from s2cnet.network.mobilenet import mobilenet_v2_features


class Backbone(nn.Module):
    """Joins stages of stride 8, 16 and 32 into one map of stride 16 with `reduced_dim` channels.

    The stages are slices of torchvision's `features` and keep its block numbers, so that stage4 of
    MobileNetV2 begins with block "7". They start from torchvision's random initialisation.
    """

    def __init__(self, name: BackboneName, reduced_dim: int) -> None:
        super().__init__()
        if name == "mobilenet_v2":  # without its last layer of 1280 channels
            features, ends, channels = mobilenet_v2_features(), (7, 14, 18), 448
        elif name == "efficientnet_b1":
            from torchvision.models import efficientnet_b1  # slow to import

            features, ends, channels = efficientnet_b1(weights=None).features, (4, 6, 9), 1432
        else:
            raise ValueError(
                f'no backbone {name!r}; there are "mobilenet_v2" and "efficientnet_b1"'
            )
        self.stage3 = features[: ends[0]]
        self.stage4 = features[ends[0] : ends[1]]
        self.stage5 = features[ends[1] : ends[2]]
        self.reduce = nn.Conv2d(channels, reduced_dim, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map prepared images [B, 3, H, W] to [B, reduced_dim, H / 16, W / 16]."""
        stride8 = self.stage3(images)
        stride16 = self.stage4(stride8)
        stride32 = self.stage5(stride16)
        size = stride16.shape[-2:]
        # The published network halves the share of the coarsest map.
        joined = [resize_aligned(stride8, size), stride16, 0.5 * resize_aligned(stride32, size)]
        reduced: Tensor = self.reduce(torch.cat(joined, dim=1))
        return reduced


def resize_aligned(features: Tensor, size: Sequence[int]) -> Tensor:
    """Resize features [B, C, h, w] to size (height, width), bilinear, corners aligned."""
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=True)
