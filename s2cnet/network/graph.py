"""Define the adaptive attention graph, formulas (3) to (8): node relations and transformer.

K candidates are K graphs of N = 1 + D nodes: node 0 is the crop, nodes 1..D are the objects.
"""

from torch import Tensor, nn
from torch.nn import functional

# Lower bound of squared distances. They are computed as a difference, so two equal projections can
# come out slightly negative (NaN in the root), and the root has no finite slope at 0. The value is
# below float32's rounding error of that difference and changes a relation by 6e-6.
SQUARED_DISTANCE_FLOOR = 1e-8


class Relations(nn.Module):
    """Spatial and semantic relations of every pair of nodes, and the adjacency: (3), (4), (5)."""

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
        """Map nodes [K, N, C] and centres [K, N, 2] to adjacency [K, N, N], bias [K, N, heads, N].

        The adjacency weighs nodes for the aggregation; the bias P + S is added to the attention's
        logits. Both have the query in the second dimension and the key in the last.
        """
        spatial = self.scale * distance(self.spatial_theta(centres), self.spatial_phi(centres))
        theta, phi = self.semantic_theta(nodes), self.semantic_phi(nodes)
        semantic = self.scale * theta @ phi.transpose(-1, -2)
        spatial = self.spatial_heads(spatial[..., None])  # [K, N, N, heads]
        semantic = self.semantic_heads(semantic[..., None])
        affinity = spatial.mean(dim=-1) * semantic.mean(dim=-1)
        return affinity.softmax(dim=-1), (spatial + semantic).transpose(-1, -2)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Compute distances [..., N, M] of a [..., N, C], b [..., M, C], of finite slope everywhere."""
    a_squared = a.square().sum(dim=-1)[..., :, None]
    b_squared = b.square().sum(dim=-1)[..., None, :]
    squared = a_squared - 2 * a @ b.transpose(-1, -2) + b_squared
    return squared.clamp(min=SQUARED_DISTANCE_FLOOR).sqrt()


class GraphAwareAttention(nn.Module):
    """Graph-aware attention (7): queries from the aggregated graph, keys and values from nodes."""

    def __init__(self, node_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = node_dim**-0.5  # of the full width, not of a head's
        self.norm = nn.LayerNorm(node_dim)
        self.query = nn.Linear(node_dim, node_dim, bias=False)
        self.key_value = nn.Linear(node_dim, 2 * node_dim, bias=False)  # rows of the keys first
        self.out = nn.Linear(node_dim, node_dim)

    def forward(self, nodes: Tensor, aggregated: Tensor, bias: Tensor) -> Tensor:
        """Map nodes and aggregated [K, N, C] and bias [K, N, heads, N] to [K, N, C]."""
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
    """The feed-forward network (8): norm, widen, GELU (erf), narrow."""

    def __init__(self, node_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(node_dim)
        self.widen = nn.Linear(node_dim, mlp_dim)
        self.narrow = nn.Linear(mlp_dim, node_dim)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map [..., node_dim] to [..., node_dim]."""
        out: Tensor = self.narrow(functional.gelu(self.widen(self.norm(nodes))))
        return out


class Layer(nn.Module):
    """Attention (7), then a feed-forward network (8), each added to its input."""

    def __init__(self, node_dim: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.attention = GraphAwareAttention(node_dim, heads)
        self.feed_forward = FeedForward(node_dim, mlp_dim)

    def forward(self, nodes: Tensor, aggregated: Tensor, bias: Tensor) -> Tensor:
        """Apply the layer, with arguments and result as of `GraphAwareAttention.forward`."""
        nodes = nodes + self.attention(nodes, aggregated, bias)
        out: Tensor = nodes + self.feed_forward(nodes)
        return out


class GraphTransformer(nn.Module):
    """Layers of (6), (7) and (8). The weights of the aggregation (6) are shared by all layers."""

    def __init__(self, node_dim: int, layers: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.aggregate = nn.Linear(node_dim, node_dim, bias=False)
        self.aggregate_norm = nn.LayerNorm(node_dim)
        self.layers = nn.ModuleList(Layer(node_dim, heads, mlp_dim) for _ in range(layers))

    def forward(self, nodes: Tensor, adjacency: Tensor, bias: Tensor) -> Tensor:
        """Map nodes [K, N, C], adjacency [K, N, N] and bias [K, N, heads, N] to [K, N, C]."""
        for layer in self.layers:
            nodes = layer(nodes, self.aggregated(self.aggregate(adjacency @ nodes)), bias)
        return nodes

    def layer(self, index: int) -> Layer:
        """Return one of the layers, with its type."""
        layer = self.layers[index]
        assert isinstance(layer, Layer)
        return layer

    def aggregated(self, projected: Tensor) -> Tensor:
        """Apply the part of (6) after the linear map."""
        return functional.relu(self.aggregate_norm(projected))
