"""Compute the nodes of the graph, formula (2): their boxes, samples and embedding.

Boxes are xyxy in pixels of the network's input.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuda_ops import rod_align, roi_align
from s2cnet.config import STRIDE


def used_detections(detections: Tensor, most: int, height: int, width: int) -> Tensor:
    """Take the first `most` boxes (the best come first), or the whole image if there are none.

    detections [D_b, 4] -> [1..most, 4].
    """
    if len(detections) == 0:
        return detections.new_tensor([[0.0, 0.0, width, height]])
    return detections[:most]


def fill_detections(detections: Tensor, count: int, height: int, width: int) -> Tensor:
    """Return exactly `count` object boxes from any number: detections [D_b, 4] -> [count, 4].

    Of too many the first are used. Too few are repeated in order, so that the most certain objects
    weigh most. If there are none, every object node has the whole image.
    """
    used = used_detections(detections, count, height, width)
    return used[torch.arange(count, device=used.device) % len(used)]


def batch_rois(boxes: Tensor) -> Tensor:
    """Convert boxes [B, D, 4] to rows [B * D, 5] with the image's index in front."""
    index = torch.arange(len(boxes), device=boxes.device, dtype=boxes.dtype)
    rows = index[:, None, None].expand(-1, boxes.shape[1], 1)
    return torch.cat([rows, boxes], dim=2).flatten(0, 1)


def box_centres(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return centres (x, y) of boxes [..., 4] as shares of the input's sides: [..., 2]."""
    # Width and height are Python numbers: a tensor of them would be a copy that a GPU waits for.
    x, y = ((boxes[..., :2] + boxes[..., 2:]) / 2).unbind(dim=-1)
    return torch.stack([x / width, y / height], dim=-1)


def sample(features: Tensor, rois: Tensor, size: int) -> Tensor:
    """Sample the map inside each box (RoIAlign) and outside it (RoDAlign).

    features [B, c, h, w], rois [K, 5] in input pixels -> [K, c * 2 * size * size]: for each channel
    first RoIAlign's values, then RoDAlign's.
    """
    inside = roi_align(features, rois, size, 1 / STRIDE).flatten(2)
    outside = rod_align(features, rois, size, 1 / STRIDE).flatten(2)
    return torch.cat([inside, outside], dim=2).flatten(1)


class Embedding(nn.Module):
    """Maps the samples of a box to its node."""

    def __init__(self, samples: int, node_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(samples, node_dim)
        self.norm = nn.LayerNorm(node_dim)

    def forward(self, samples: Tensor) -> Tensor:
        """Map [K, samples] to [K, node_dim]."""
        return self.finish(self.linear(samples))

    def finish(self, projected: Tensor) -> Tensor:
        """Apply the part after the linear map."""
        return functional.relu(self.norm(projected))
