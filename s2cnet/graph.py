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


def used_detections(detections: Tensor, most: int, height: int, width: int) -> Tensor:
    """The first `most` boxes (they come best first); the whole picture when there are none.

    `detections` [D_b, 4] xyxy and the result [1..most, 4] are in input pixels.
    """
    if len(detections) == 0:
        return detections.new_tensor([[0.0, 0.0, width, height]])
    return detections[:most]


def fill_detections(detections: Tensor, count: int, height: int, width: int) -> Tensor:
    """Exactly `count` object boxes from however many there are.

    Too many: the first are kept. Too few: they are repeated in order, so that the surest objects
    weigh most. None: every node sees the whole picture. Boxes [.., 4] xyxy in input pixels.
    """
    used = used_detections(detections, count, height, width)
    return used[torch.arange(count, device=used.device) % len(used)]


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
        """nodes [K, N, node_dim], centres [K, N, 2] -> adjacency [K, N, N], bias [K, N, heads, N].

        The adjacency weighs nodes for the aggregation, the bias is added to the attention's logits.
        Both are per query (second dimension) and key (last dimension).
        """
        spatial = self.scale * distance(self.spatial_theta(centres), self.spatial_phi(centres))
        theta, phi = self.semantic_theta(nodes), self.semantic_phi(nodes)
        semantic = self.scale * theta @ phi.transpose(-1, -2)
        spatial = self.spatial_heads(spatial[..., None])  # [K, N, N, heads]
        semantic = self.semantic_heads(semantic[..., None])
        affinity = spatial.mean(dim=-1) * semantic.mean(dim=-1)
        return affinity.softmax(dim=-1), (spatial + semantic).transpose(-1, -2)


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
        """nodes, aggregated [K, N, C], bias [K, N, heads, N] -> [K, N, C]."""
        query = self._split(self.query(aggregated))
        key, value = map(self._split, self.key_value(self.norm(nodes)).chunk(2, dim=-1))
        logits = self.scale * query @ key.transpose(-1, -2) + bias.transpose(1, 2)
        out: Tensor = self.out((logits.softmax(dim=-1) @ value).transpose(1, 2).flatten(2))
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


class Embedding(nn.Module):
    """Samples of a box to a node."""

    def __init__(self, samples: int, node_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(samples, node_dim)
        self.norm = nn.LayerNorm(node_dim)

    def forward(self, samples: Tensor) -> Tensor:
        """[K, samples] -> [K, node_dim]."""
        return self.finish(self.linear(samples))

    def finish(self, projected: Tensor) -> Tensor:
        """What follows the linear map."""
        return functional.relu(self.norm(projected))


class Layer(nn.Module):
    """Attention, then a feed-forward network, each added to its input."""

    def __init__(self, node_dim: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.attention = Attention(node_dim, heads)
        self.feed_forward = FeedForward(node_dim, mlp_dim)

    def forward(self, nodes: Tensor, aggregated: Tensor, bias: Tensor) -> Tensor:
        """Arguments and result of `Attention`."""
        nodes = nodes + self.attention(nodes, aggregated, bias)
        out: Tensor = nodes + self.feed_forward(nodes)
        return out


class GraphTransformer(nn.Module):
    """Layers of graph-aware attention; the aggregation's weights are shared by all layers."""

    def __init__(self, node_dim: int, layers: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.aggregate = nn.Linear(node_dim, node_dim, bias=False)
        self.aggregate_norm = nn.LayerNorm(node_dim)
        self.layers = nn.ModuleList(Layer(node_dim, heads, mlp_dim) for _ in range(layers))

    def forward(self, nodes: Tensor, adjacency: Tensor, bias: Tensor) -> Tensor:
        """nodes [K, N, C], adjacency [K, N, N], bias [K, N, heads, N] -> [K, N, C]."""
        for layer in self.layers:
            nodes = layer(nodes, self.aggregated(self.aggregate(adjacency @ nodes)), bias)
        return nodes

    def layer(self, index: int) -> Layer:
        """One of the layers, typed."""
        layer = self.layers[index]
        assert isinstance(layer, Layer)
        return layer

    def aggregated(self, mixed: Tensor) -> Tensor:
        """What follows the aggregation's linear map."""
        return functional.relu(self.aggregate_norm(mixed))


def box_centres(boxes: Tensor, height: int, width: int) -> Tensor:
    """Centres of xyxy boxes [..., 4] in input pixels, as shares of the input's sides: [..., 2]."""
    # Sides one by one: a tensor of them would be a copy that a GPU waits for.
    x, y = ((boxes[..., :2] + boxes[..., 2:]) / 2).unbind(dim=-1)
    return torch.stack([x / width, y / height], dim=-1)
