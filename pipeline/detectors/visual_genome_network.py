"""Define Faster R-CNN, ResNet-101 C4, for 1,600 Visual Genome classes: tensors in, tensors out.

The modules have the published checkpoint's names, so its state dict loads as it is. Boxes here use
the older "+1" width: a box [x1, y1, x2, y2] covers x2 - x1 + 1 pixels, both corners included, in
pixels of the resized photo.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import resnet101
from torchvision.models.resnet import Bottleneck
from torchvision.ops import clip_boxes_to_image, nms, roi_align

CLASSES = 1601
"""The background as class 0, then 1,600 object classes."""
STRIDE = 16
ANCHOR_RATIOS = (0.5, 1.0, 2.0)  # height / width
ANCHOR_SCALES = (4, 8, 16, 32)
ANCHORS = len(ANCHOR_RATIOS) * len(ANCHOR_SCALES)
# Region proposals and their suppression: TEST.RPN_* of the authors' configuration.
RPN_NMS_IOU = 0.7
RPN_BEFORE_NMS = 6000
RPN_AFTER_NMS = 300
DELTA_STD = (0.1, 0.1, 0.2, 0.2)
"""Training divided the head's deltas by these."""
MAX_LOG_SIZE = math.log(1000 / 16)
"""Cap on a predicted log size, as in torchvision: beyond it the exponential overflows."""


class RoiOutput(NamedTuple):
    """The network's output for the R regions of one photo."""

    rois: Tensor  # [R, 4]
    probabilities: Tensor  # [R, 1601], class 0 is the background
    deltas: Tensor  # [R, 6404], dx, dy, dw, dh of class c at 4c, raw
    pooled: Tensor  # [R, 2048]


class VisualGenomeNetwork(nn.Module):
    """ResNet-101 cut after its third stage, region proposals, and its fourth stage per region."""

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet101(weights=None)
        for stage in (resnet.layer2, resnet.layer3, resnet.layer4):
            _stride_on_first_convolution(stage[0])
        self.RCNN_rpn = _RegionProposals()
        self.RCNN_base = nn.Sequential(
            resnet.conv1,
            resnet.bn1,
            resnet.relu,
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            resnet.layer1,
            resnet.layer2,
            resnet.layer3,
        )
        self.RCNN_top = nn.Sequential(resnet.layer4)
        self.RCNN_cls_score = nn.Linear(2048, CLASSES)
        self.RCNN_bbox_pred = nn.Linear(2048, 4 * CLASSES)

    def forward(self, images: Tensor) -> list[RoiOutput]:
        """Evaluate images [B, 3, H, W]: resized BGR minus its mean, all of one size."""
        size_hw = (images.shape[2], images.shape[3])
        features = self.RCNN_base(images)  # [B, 1024, ~H/16, ~W/16]
        rois = self.RCNN_rpn(features, size_hw)
        pooled = self.pool(features, rois)  # [sum of R, 2048]
        probabilities = self.RCNN_cls_score(pooled).softmax(1)
        deltas = self.RCNN_bbox_pred(pooled)
        outputs, start = [], 0
        for boxes in rois:
            rows = slice(start, start + len(boxes))
            outputs.append(RoiOutput(boxes, probabilities[rows], deltas[rows], pooled[rows]))
            start += len(boxes)
        return outputs

    def pool(self, features: Tensor, rois: list[Tensor]) -> Tensor:
        """Apply the fourth stage to each region and average over space: [sum of R, 2048]."""
        regions = roi_align(features, rois, 7, 1 / STRIDE, sampling_ratio=-1, aligned=False)
        return torch.as_tensor(self.RCNN_top(regions)).mean((2, 3))


class _RegionProposals(nn.Module):
    """Proposes at most 300 class-less boxes per photo."""

    def __init__(self) -> None:
        super().__init__()
        self.RPN_Conv = nn.Conv2d(1024, 512, 3, padding=1)
        self.RPN_cls_score = nn.Conv2d(512, 2 * ANCHORS, 1)
        self.RPN_bbox_pred = nn.Conv2d(512, 4 * ANCHORS, 1)

    def forward(self, features: Tensor, size_hw: tuple[int, int]) -> list[Tensor]:
        """Map features [B, 1024, h, w] to B tensors [R, 4], best first."""
        hidden = self.RPN_Conv(features).relu()
        batch, _, height, width = hidden.shape
        pairs = self.RPN_cls_score(hidden).view(batch, 2, ANCHORS, height, width)
        foreground = pairs.softmax(1)[:, 1].permute(0, 2, 3, 1).reshape(batch, -1)
        deltas = self.RPN_bbox_pred(hidden).permute(0, 2, 3, 1).reshape(batch, -1, 4)
        anchors = anchor_grid(height, width).to(deltas)
        return [
            propose_regions(clip(decode_boxes(anchors, delta), size_hw), score)
            for delta, score in zip(deltas, foreground, strict=True)
        ]


def propose_regions(boxes: Tensor, foreground: Tensor) -> Tensor:
    """Return the 300 best of boxes [A, 4] by foreground [A] with an IoU of at most .7."""
    order = foreground.argsort(descending=True, stable=True)[:RPN_BEFORE_NMS]
    boxes, foreground = boxes[order], foreground[order]
    return boxes[nms_inclusive(boxes, foreground, RPN_NMS_IOU)[:RPN_AFTER_NMS]]


def anchor_grid(height: int, width: int) -> Tensor:
    """Build anchors [height * width * 12, 4] of a feature map, by y, then x, ratio, scale."""
    shapes = []
    for ratio in ANCHOR_RATIOS:
        base_width = round(math.sqrt(STRIDE * STRIDE / ratio))
        base_height = round(base_width * ratio)
        shapes += [(base_width * scale, base_height * scale) for scale in ANCHOR_SCALES]
    sizes = torch.tensor(shapes, dtype=torch.float32)
    centre = (STRIDE - 1) / 2
    half = (sizes - 1) / 2
    window = torch.cat([centre - half, centre + half], 1)  # [12, 4]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    shifts = STRIDE * torch.stack([x, y, x, y], 2).float()  # [h, w, 4]
    return (shifts[:, :, None] + window).reshape(-1, 4)


def decode_boxes(boxes: Tensor, deltas: Tensor) -> Tensor:
    """Move and scale boxes [..., 4] by deltas [..., 4] (dx, dy, dw, dh)."""
    sizes = boxes[..., 2:] - boxes[..., :2] + 1
    centres = boxes[..., :2] + sizes / 2 + deltas[..., :2] * sizes
    half = sizes * deltas[..., 2:].clamp(max=MAX_LOG_SIZE).exp() / 2
    return torch.cat([centres - half, centres + half], -1)


def clip(boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Clip corners to [0, W - 1] x [0, H - 1]: a corner is the last pixel that a box covers."""
    height, width = size_hw
    return torch.as_tensor(clip_boxes_to_image(boxes, (height - 1, width - 1)))


def nms_inclusive(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Return the surviving indices, best first, for overlaps that include both corners.

    torchvision's areas leave out the high corner, so it is moved by one.
    """
    high_corner = torch.tensor([0.0, 0.0, 1.0, 1.0]).to(boxes)
    return torch.as_tensor(nms(boxes + high_corner, scores, iou))


def _stride_on_first_convolution(block: Bottleneck) -> None:
    """Halve the map in the 1x1 convolution, as the first ResNets did, not in the 3x3."""
    block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
