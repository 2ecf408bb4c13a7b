"""Views of photos for the feature branch: the detector's levels, and S2CNet's own feature map.

No labels are needed: the target is the output of S2CNet's backbone for a view. The views of a photo
are the photo itself and two parts of it; parts are mirrored half of the time and have changed
brightness. Each view has a degraded copy with the same target as the view itself, so that a photo
keeps its map when it is encoded again.
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
from pipeline.detectors.embedded import detector_input, to_view
from pipeline.detectors.feature_head import at_stride_16
from pipeline.detectors.postprocess import postprocess
from pipeline.detectors.subject_network import Levels, SubjectNetwork
from pipeline.lab.datasets.layout import read_upright_pixels
from pipeline.lab.people.views import PARTS, jitter_brightness, part_of, reencoded_copy
from s2cnet import boxes_to_input, prepare_image

BLURRED = 0.3  # share of the copies that are blurred
BLUR = (0.3, 0.8)  # pixels, deviation of the kernel


@dataclass(frozen=True, eq=False)
class FeatureView:
    """Both networks' outputs for a view; maps are in half precision.

    levels: of the detector, at stride 16 and 32 (`at_stride_16`), [C, h, w] each.
    target: the feature map of S2CNet's own backbone, [8, H, W].
    copy: levels of a degraded copy of the view; the view's own where the detector's input for the
        copy has another size.
    objects: boxes that the detector finds, [D, 4] xyxy in pixels of S2CNet's input.
    size_wh: size of that input, in pixels.
    """

    levels: Levels
    target: Tensor
    copy: Levels
    objects: Tensor
    size_wh: tuple[int, int]

    @property
    def sizes(self) -> tuple[torch.Size, torch.Size]:
        """The sizes that all views of a batch must share."""
        return self.levels.medium.shape, self.target.shape


def feature_views(
    network: SubjectNetwork, backbone: nn.Module, photos: Sequence[Path], seed: int = 0
) -> Iterator[list[FeatureView]]:
    """Yield the views of each photo; randomness depends only on the seed and the photo's name."""
    for path in photos:
        random = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
        pixels = read_upright_pixels(path)
        seen = [pixels]
        for shares, _ in PARTS:
            _, part = part_of(pixels, shares, random)
            part = part[:, ::-1] if random.random() < 0.5 else part
            seen.append(jitter_brightness(np.ascontiguousarray(part), random))
        yield [feature_view(network, backbone, one, reuploaded_copy(one, random)) for one in seen]


def reuploaded_copy(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Make a copy like a re-uploaded photo: sometimes blurred a little, then `reencoded_copy`."""
    if random.random() < BLURRED:
        blurred = cv2.GaussianBlur(pixels, (0, 0), random.uniform(*BLUR))
        return reencoded_copy(np.asarray(blurred, np.uint8), random)
    return reencoded_copy(pixels, random)


@torch.inference_mode()
def feature_view(
    network: SubjectNetwork, backbone: nn.Module, pixels: Pixels, copied: Pixels
) -> FeatureView:
    """Run both networks on pixels, uint8 [h, w, 3], and the detector on their copy."""
    inputs = [detector_input(one) for one in (pixels, copied)]
    seen, copy = (network.levels(_as_batch(one)) for one in inputs)
    objects = to_view(postprocess(network.read(seen)), inputs[0].shape, pixels)
    image, scale_xy = prepare_image(pixels)
    same_size = inputs[0].shape == inputs[1].shape
    return FeatureView(
        _kept(seen),
        backbone(image[None])[0].half().clone(),
        _kept(copy if same_size else seen),
        boxes_to_input(objects.boxes, scale_xy),
        (image.shape[2], image.shape[1]),
    )


def _as_batch(pixels: Pixels) -> Tensor:
    """Convert pixels uint8 [h, w, 3] to the network's input, [1, 3, h, w]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float()


def _kept(levels: Levels) -> Levels:
    """Convert the levels of one photo to the form that `FeatureView` keeps."""
    return Levels(*(one[0].half().clone() for one in at_stride_16(levels)))
