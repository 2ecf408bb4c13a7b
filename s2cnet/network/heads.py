"""Define the two heads, formula (9): from the nodes of a candidate's graph to its score."""

from torch import Tensor, nn


class CropNodeHead(nn.Module):
    """One linear map of the crop's node (gaicv1)."""

    def __init__(self, node_dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(node_dim, 1)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map [K, N, node_dim] to [K]."""
        out: Tensor = self.score(nodes[:, 0]).squeeze(-1)
        return out


class AllNodesHead(nn.Module):
    """Convolutions over all nodes, each viewed as a square map, one channel per node (gaicv2).

    The first kernel covers the whole square, so it is one linear map of all nodes at once.
    """

    def __init__(self, nodes: int, node_dim: int) -> None:
        super().__init__()
        self.side = round(node_dim**0.5)
        self.layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(nodes, 768, self.side), nn.BatchNorm2d(768), nn.ReLU()),
            nn.Sequential(nn.Conv2d(768, 128, 1), nn.BatchNorm2d(128), nn.ReLU()),
            nn.Dropout(0.5),
            nn.Conv2d(128, 1, 1),
        )

    def forward(self, nodes: Tensor) -> Tensor:
        """Map [K, N, node_dim] to [K]."""
        count, channels, _ = nodes.shape
        squares = nodes.reshape(count, channels, self.side, self.side)
        out: Tensor = self.layers(squares).flatten()
        return out
