"""Views of photos for the feature branch: the detector's taps, and S2CNet's own feature map.

No label is needed: what S2CNet's backbone tells of a view is the target. A photo gives itself and
two parts of it, mirrored every second time and in other brightness. With each goes a worn copy,
whose target is that of the view as it was: so a photo keeps its map when it is encoded anew.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pipeline.detectors import Pixels
from pipeline.detectors.embedded import detector_input
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.datasets.layout import pixels_shown
from pipeline.lab.people.views import PARTS, encoded_copy, in_other_light, part_of
from s2cnet import prepare_image

BLURRED = 0.3  # share of the copies that are blurred
BLUR = (0.3, 0.8)  # pixels, deviation of the kernel


@dataclass(frozen=True, eq=False)
class FeatureView:
    """The detector's taps at strides 8, 16 and 32, and the target [8, H, W], half precision.

    copy: taps of a worn copy of the view; its own where the detector reads that in another size.
    """

    taps: list[Tensor]
    target: Tensor
    copy: list[Tensor]

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
        pixels = pixels_shown(path)
        seen = [pixels]
        for shares, _ in PARTS:
            _, part = part_of(pixels, shares, random)
            part = part[:, ::-1] if random.random() < 0.5 else part
            seen.append(in_other_light(np.ascontiguousarray(part), random))
        yield [feature_view(network, backbone, one, worn(one, random)) for one in seen]


def worn(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """A copy as users upload it again: perhaps blurred a little, then `encoded_copy`."""
    if random.random() < BLURRED:
        blurred = cv2.GaussianBlur(pixels, (0, 0), random.uniform(*BLUR))
        return encoded_copy(np.asarray(blurred, np.uint8), random)
    return encoded_copy(pixels, random)


@torch.inference_mode()
def feature_view(
    network: SubjectNetwork, backbone: nn.Module, pixels: Pixels, copied: Pixels
) -> FeatureView:
    """What both networks tell of pixels, uint8 [h, w, 3], and the detector's of their copy."""
    taps, copy = _taps(network, pixels), _taps(network, copied)
    image, _ = prepare_image(pixels)
    same_size = taps[0].shape == copy[0].shape
    return FeatureView(taps, backbone(image[None])[0].half().clone(), copy if same_size else taps)


def _taps(network: SubjectNetwork, pixels: Pixels) -> list[Tensor]:
    image = torch.from_numpy(detector_input(pixels)).permute(2, 0, 1)[None].float()
    return [tap[0].half().clone() for tap in network.trunk(image)]
