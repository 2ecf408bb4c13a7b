"""Encode labelled photos for training: features of some views, lists with targets, gaze.

The backbone up to the first FROZEN blocks of its stride-16 stage is not trained, so it runs only
once for each view of a photo. `upper_backbone` is the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.boxes import Boxes
from pipeline.detectors import Detector
from pipeline.lab.datasets.example import Example
from pipeline.lab.starter.labelled_lists import (
    TargetList,
    fixations_inside,
    gaze_density,
    target_lists,
)
from pipeline.lab.starter.semantic_map import GAZE_SCALE
from pipeline.lab.training.samples import recoloured
from s2cnet import S2CNet, boxes_to_input
from s2cnet.inputs import normalised, resized
from s2cnet.network.backbone import resize_aligned

FROZEN = 4  # first blocks of the backbone's stride-16 stage, which are not trained
COLOUR = 0.25  # brightness, contrast and saturation change by up to this share


@dataclass(frozen=True, eq=False)
class LabelledPhoto:
    """A labelled photo as training needs it; its views are plain, mirrored, recoloured, and both.

    fine [V, 32, h, w], middle [V, 64, h, w]: frozen features. map_before [V, 8, h, w]: the map
    before training. All three are in half precision. objects [D, 4]: in input pixels. gaze [h, w]:
    its mean is GAZE_SCALE; or None.
    """

    size_wh: tuple[int, int]  # of the input
    fine: Tensor
    middle: Tensor
    map_before: Tensor
    objects: Boxes
    gaze: NDArray[np.float32] | None
    lists: list[TargetList]  # boxes in input pixels


@torch.inference_mode()
def encode_labelled(
    network: S2CNet,
    example: Example,
    pixels: NDArray[np.uint8],
    detector: Detector,
    random: np.random.Generator,
) -> LabelledPhoto:
    """Encode a photo, uint8 RGB [h, w, 3] in the frame of its labels.

    network: before training on labels; its map is kept as `map_before`.

    Raises DetectError.
    """
    height, width = pixels.shape[:2]
    small = resized(pixels)
    input_h, input_w = small.shape[:2]
    scale_xy = (width / input_w, height / input_h)
    (found,) = detector.detect([pixels])
    sides = [small, np.ascontiguousarray(small[:, ::-1])]
    views = [*sides, *(recoloured(side, COLOUR, random) for side in sides)]
    backbone = network.backbone
    features = backbone.stage3(torch.stack([normalised(torch.from_numpy(v)) for v in views]))
    middle = backbone.stage4[:FROZEN](features)
    rows, columns = middle.shape[-2:]
    fine = resize_aligned(features, [rows, columns])
    gaze = None
    if example.fixations_px is not None:
        points, weights = fixations_inside(example, width, height)
        share = gaze_density(points, weights, rows, columns, (width, height), blur=1.0)
        gaze = (GAZE_SCALE * share / max(share.mean(), 1e-9)).astype(np.float32)
    return LabelledPhoto(
        (input_w, input_h),
        fine.half(),
        middle.half(),
        upper_backbone(network, fine, middle).half(),
        boxes_to_input(found.boxes, scale_xy).numpy(),
        gaze,
        [
            TargetList(each.ratio, boxes_to_input(each.boxes, scale_xy).numpy(), each.truth)
            for each in target_lists(example, (width, height))
        ],
    )


def upper_backbone(network: S2CNet, fine: Tensor, middle: Tensor) -> Tensor:
    """Compute the map [B, 8, h, w] from frozen features: the rest of `Backbone.forward`."""
    return network.backbone.reduce(joined_features(network, fine, middle))  # type: ignore[no-any-return]


def joined_features(network: S2CNet, fine: Tensor, middle: Tensor) -> Tensor:
    """Compute the channels [B, 448, h, w] that the backbone's reducing convolution reads."""
    middle = network.backbone.stage4[FROZEN:](middle)
    coarse = resize_aligned(network.backbone.stage5(middle), list(middle.shape[-2:]))
    return torch.cat([fine, middle, 0.5 * coarse], dim=1)


def trained_parts(network: S2CNet) -> list[nn.Module]:
    """List the parts of the backbone that are trained."""
    backbone = network.backbone
    return [backbone.stage4[FROZEN:], backbone.stage5, backbone.reduce]
