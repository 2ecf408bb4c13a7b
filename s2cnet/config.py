"""Configure an S2CNet: the numbers that define it, and the two published presets."""

from dataclasses import dataclass
from typing import Literal, get_args

BackboneName = Literal["mobilenet_v2", "efficientnet_b1"]
HeadName = Literal["crop_node", "all_nodes"]
STRIDE = 16  # input pixels per cell of the feature map


@dataclass(frozen=True)
class S2CNetConfig:
    """Shape of the network; the defaults are common to both published presets.

    Source: https://arxiv.org/abs/2401.08086 and its published checkpoints.

    Attributes:
        backbone: feature extractor; both give a map of stride 16.
        align_size: A, samples per side of RoIAlign and RoDAlign.
        detections: D, object nodes in every graph. Of more boxes the first D are used; for fewer,
            see `s2cnet.network.nodes.fill_detections`.
        head: "crop_node" reads only the crop's node, "all_nodes" reads all 1 + D.
        reduced_dim: channels of the map that is sampled.
        node_dim: width of a node. "all_nodes" views it as a square map, so it must be a square.
        relation_dim: width in which two nodes are compared.
        layers, heads, mlp_dim: of the graph transformer.
    """

    backbone: BackboneName = "mobilenet_v2"
    align_size: int = 9
    detections: int = 10
    head: HeadName = "crop_node"
    reduced_dim: int = 8
    node_dim: int = 256
    relation_dim: int = 256
    layers: int = 2
    heads: int = 4
    mlp_dim: int = 1024

    def __post_init__(self) -> None:
        if self.head not in get_args(HeadName):
            raise ValueError(f"head is {' or '.join(get_args(HeadName))}, not {self.head!r}")
        if self.align_size < 1 or self.detections < 1:
            raise ValueError("align_size and detections must be at least 1")
        if self.node_dim % self.heads:
            raise ValueError(f"node_dim {self.node_dim} must be a multiple of heads {self.heads}")
        if self.head == "all_nodes" and round(self.node_dim**0.5) ** 2 != self.node_dim:
            raise ValueError(f'head "all_nodes" needs a square node_dim, got {self.node_dim}')


PRESETS: dict[str, S2CNetConfig] = {
    "gaicv1": S2CNetConfig(align_size=9, detections=10, head="crop_node"),
    "gaicv2": S2CNetConfig(align_size=15, detections=5, head="all_nodes"),
}
