"""Views of photos for the feature branch: the detector's taps, and S2CNet's own feature map.

No label is needed: what S2CNet's backbone tells of a view is the target. A photo gives itself and
two parts of it, mirrored every second time, in other brightness and compressed anew.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.detectors import Pixels
from pipeline.detectors.embedded import detector_input
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.people.views import PARTS, part_of, worn_copy
from s2cnet import prepare_image


@dataclass(frozen=True, eq=False)
class FeatureView:
    """The detector's taps at strides 8, 16 and 32, and the target [8, H, W], half precision."""

    taps: list[Tensor]
    target: Tensor

    @property
    def sizes(self) -> tuple[torch.Size, torch.Size]:
        """Views with the same may be put together."""
        return self.taps[0].shape, self.target.shape


def feature_views(
    network: SubjectNetwork, backbone: nn.Module, photos: Sequence[Path], seed: int = 0
) -> Iterator[list[FeatureView]]:
    """The views of each photo; chance depends on the seed and the photo's name alone."""
    for path in photos:
        random = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
        pixels = np.asarray(Image.open(path).convert("RGB"))
        seen = [pixels]
        for shares, _ in PARTS:
            _, part = part_of(pixels, shares, random)
            part = part[:, ::-1] if random.random() < 0.5 else part
            seen.append(worn_copy(np.ascontiguousarray(part), random))
        yield [feature_view(network, backbone, one) for one in seen]


@torch.inference_mode()
def feature_view(network: SubjectNetwork, backbone: nn.Module, pixels: Pixels) -> FeatureView:
    """What both networks tell of pixels, uint8 [h, w, 3]."""
    image = torch.from_numpy(detector_input(pixels)).permute(2, 0, 1)[None].float()
    taps = [tap[0].half().clone() for tap in network.trunk(image)]
    image, _ = prepare_image(pixels)
    return FeatureView(taps, backbone(image[None])[0].half().clone())
