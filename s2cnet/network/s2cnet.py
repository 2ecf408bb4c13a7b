"""Define S2CNet, from images to scores; the formulas are numbered in `s2cnet.network`."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from s2cnet.config import PRESETS, S2CNetConfig
from s2cnet.network.arguments import check_inputs
from s2cnet.network.backbone import Backbone
from s2cnet.network.graph import GraphTransformer, Relations
from s2cnet.network.heads import AllNodesHead, CropNodeHead
from s2cnet.network.nodes import Embedding, batch_rois, box_centres, fill_detections, sample


class S2CNet(nn.Module):
    """Scores crop candidates by what they show, what they leave out, and the image's objects.

    A new network has random weights, see also `untrained`. `forward` is the definition; it is
    trainable. The package `s2cnet` adds `score`: the same numbers, computed by `s2cnet.fast`.
    """

    score: ClassVar[Callable[..., Tensor]]

    def __init__(self, config: S2CNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.node_dim
        self.backbone = Backbone(config.backbone, config.reduced_dim)
        samples = 2 * config.reduced_dim * config.align_size**2
        self.embedding = Embedding(samples, width)
        self.relations = Relations(width, config.relation_dim, config.heads)
        self.transformer = GraphTransformer(width, config.layers, config.heads, config.mlp_dim)
        self.head = (
            CropNodeHead(width)
            if config.head == "crop_node"
            else AllNodesHead(1 + config.detections, width)
        )

    @classmethod
    def untrained(cls, preset: str = "gaicv1", seed: int = 0) -> "S2CNet":
        """Build a network with weights drawn from `seed`, in evaluation mode, for trials, tests."""
        if preset not in PRESETS:
            raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(PRESETS[preset]).eval()

    def forward(self, images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> Tensor:
        """Score every crop.

        Args:
            images: [B, 3, H, W] of one size, as `prepare_image` returns them: float32, not checked
                for NaN. Crops and detections have the same dtype.
            crops: [K, 5] rows of (image index in 0..B-1, x0, y0, x1, y1), in input pixels.
            detections: B tensors [D_b, 4] of object boxes xyxy in input pixels, best first. Any
                number of them, see `fill_detections`.

        Returns: [K] scores without a unit. Higher is better; comparable within an image.

        Raises:
            ValueError: a shape or dtype that does not fit, an image index out of range, or a box
                that is not finite.
        """
        check_inputs(images, crops, detections)
        return self.judge(self.backbone(images), crops, detections, *images.shape[-2:])

    def judge(
        self, features: Tensor, crops: Tensor, detections: Sequence[Tensor], height: int, width: int
    ) -> Tensor:
        """Score every crop on given feature maps: `forward` without the backbone and the checks.

        features: [B, reduced_dim, h, w] of stride 16, (1). height, width: of the network's input.
        The other arguments and the result are those of `forward`.
        """
        count, places = crops.shape[0], self.config.detections  # not len(): an export traces it
        objects = torch.stack([fill_detections(d, places, height, width) for d in detections])
        rois = torch.cat([crops, batch_rois(objects)])  # objects are [B, D, 4]
        embedded = self.embedding(sample(features, rois, self.config.align_size))  # (2)

        # One graph for each crop: its own node, then the object nodes of its image.
        image = crops[:, 0].long()
        object_nodes = embedded[count:].unflatten(0, objects.shape[:2])[image]
        nodes = torch.cat([embedded[:count, None], object_nodes], dim=1)  # [K, 1 + D, node_dim]
        boxes = torch.cat([crops[:, None, 1:], objects[image]], dim=1)

        adjacency, bias = self.relations(nodes, box_centres(boxes, height, width))  # (3), (4), (5)
        nodes = self.transformer(nodes, adjacency, bias)  # (6), (7), (8)
        scores: Tensor = self.head(nodes)  # (9)
        return scores
