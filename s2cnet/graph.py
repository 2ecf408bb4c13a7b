"""The graph of one candidate: the crop and the objects as nodes, their relations, the transformer.

Node 0 is the crop, nodes 1..D are the objects. K candidates are K graphs of N = 1 + D nodes.
Formulas: https://arxiv.org/abs/2401.08086, section 3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

# Squared distances below this count as this. They are computed as a difference, so two equal
# projections can come out slightly negative (NaN in the root), and the root has no finite slope at
# 0. The value lies under float32's rounding of that difference and moves a relation by 6e-6.
SQUARED_DISTANCE_FLOOR = 1e-8


def fill_detections(detections: Tensor, count: int, height: int, width: int) -> Tensor:
    """Exactly `count` object boxes from however many there are.

    Too many: the first are kept (they come best first). Too few: they are repeated in order, so
    that the surest objects weigh most. None: every node sees the whole picture.

    `detections` [D_b, 4] xyxy and the result [count, 4] are in input pixels.
    """
    if len(detections) == 0:
        detections = detections.new_tensor([[0.0, 0.0, width, height]])
    order = torch.arange(count, device=detections.device) % len(detections)
    return detections[order]


class Relations(nn.Module):
    """Spatial and semantic relations of every pair of nodes, one map per attention head."""

    def __init__(self, node_dim: int, relation_dim: int, heads: int) -> None:
        super().__init__()
        self.scale = relation_dim**-0.5
        self.spatial_theta = nn.Linear(2, relation_dim)
        self.spatial_phi = nn.Linear(2, relation_dim)
        self.semantic_theta = nn.Linear(node_dim, relation_dim)
        self.semantic_phi = nn.Linear(node_dim, relation_dim)
        self.spatial_heads = nn.Linear(1, heads)
        self.semantic_heads = nn.Linear(1, heads)

    def forward(self, nodes: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """nodes [K, N, node_dim], centres [K, N, 2] -> two maps [K, heads, N, N].

        Centres are shares of the input's sides.
        """
        spatial = self.scale * distance(self.spatial_theta(centres), self.spatial_phi(centres))
        theta, phi = self.semantic_theta(nodes), self.semantic_phi(nodes)
        semantic = self.scale * theta @ phi.transpose(-1, -2)
        return (
            self.spatial_heads(spatial[..., None]).permute(0, 3, 1, 2),
            self.semantic_heads(semantic[..., None]).permute(0, 3, 1, 2),
        )


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Distances [..., N, M] of a [..., N, C] and b [..., M, C], with a finite slope everywhere."""
    a_squared = a.square().sum(dim=-1)[..., :, None]
    b_squared = b.square().sum(dim=-1)[..., None, :]
    squared = a_squared - 2 * a @ b.transpose(-1, -2) + b_squared
    return squared.clamp(min=SQUARED_DISTANCE_FLOOR).sqrt()


class Attention(nn.Module):
    """Queries from the aggregated graph, keys and values from the normalised nodes."""

    def __init__(self, node_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = node_dim**-0.5  # the full width, not a head's
        self.norm = nn.LayerNorm(node_dim)
        self.query = nn.Linear(node_dim, node_dim, bias=False)
        self.key_value = nn.Linear(node_dim, 2 * node_dim, bias=False)  # keys' rows first
        self.out = nn.Linear(node_dim, node_dim)

    def forward(self, nodes: Tensor, aggregated: Tensor, bias: Tensor) -> Tensor:
        """nodes, aggregated [K, N, C], bias [K, heads, N, N] -> [K, N, C]."""
        query = self._split(self.query(aggregated))
        key, value = map(self._split, self.key_value(self.norm(nodes)).chunk(2, dim=-1))
        weights = (self.scale * query @ key.transpose(-1, -2) + bias).softmax(dim=-1)
        out: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        count, nodes, width = x.shape
        split = x.view(count, nodes, self.heads, width // self.heads)
        return split.transpose(1, 2)  # [K, heads, N, C / heads]


class FeedForward(nn.Module):
    """Norm, widen, GELU (erf), narrow."""

    def __init__(self, node_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(node_dim)
        self.widen = nn.Linear(node_dim, mlp_dim)
        self.narrow = nn.Linear(mlp_dim, node_dim)

    def forward(self, nodes: Tensor) -> Tensor:
        """[..., node_dim] -> [..., node_dim]."""
        out: Tensor = self.narrow(functional.gelu(self.widen(self.norm(nodes))))
        return out


class GraphTransformer(nn.Module):
    """Layers of graph-aware attention; the aggregation's weights are shared by all layers."""

    def __init__(self, node_dim: int, layers: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.aggregate = nn.Linear(node_dim, node_dim, bias=False)
        self.aggregate_norm = nn.LayerNorm(node_dim)
        self.attention = nn.ModuleList(Attention(node_dim, heads) for _ in range(layers))
        self.feed_forward = nn.ModuleList(FeedForward(node_dim, mlp_dim) for _ in range(layers))

    def forward(self, nodes: Tensor, spatial: Tensor, semantic: Tensor) -> Tensor:
        """nodes [K, N, C], spatial and semantic [K, heads, N, N] -> [K, N, C]."""
        adjacency = (spatial.mean(dim=1) * semantic.mean(dim=1)).softmax(dim=-1)  # [K, N, N]
        bias = spatial + semantic
        for attention, feed_forward in zip(self.attention, self.feed_forward, strict=True):
            mixed = self.aggregate(adjacency @ nodes)
            aggregated = functional.relu(self.aggregate_norm(mixed))
            nodes = nodes + attention(nodes, aggregated, bias)
            nodes = nodes + feed_forward(nodes)
        return nodes
