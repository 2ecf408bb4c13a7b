"""Exact rearrangements of S2CNet's linear maps, used by `s2cnet.scoring`.

Shapes: C node width, h heads of d = C / h channels, A align size, c channels of the feature map.
"""

import torch
from torch import Tensor

from s2cnet.config import S2CNetConfig
from s2cnet.graph import Attention, Embedding


def fold_keys(attention: Attention, keys: Tensor) -> Tensor:
    """keys [n, C] -> [n, h, C] such that aggregated . result = scale * query . key, per head."""
    heads = attention.heads
    weight = attention.query.weight.view(heads, -1, keys.shape[1])  # [h, d, C]
    split = attention.scale * keys.view(len(keys), heads, -1)  # [n, h, d]
    return torch.einsum("nhd,hdc->nhc", split, weight)


def fold_values(attention: Attention, values: Tensor) -> Tensor:
    """values [n, C] -> [n, h, C], each head's share after the output projection (no bias)."""
    heads = attention.heads
    weight = attention.out.weight.view(values.shape[1], heads, -1)  # [C, h, d]
    return torch.einsum("nhd,chd->nhc", values.view(len(values), heads, -1), weight)


def roi_weight(embedding: Embedding, config: S2CNetConfig) -> Tensor:
    """The half of the embedding's linear map that reads RoIAlign: [C, c * A * A]."""
    return _halves(embedding, config)[:, :, 0].flatten(1)


def discard_table(embedding: Embedding, features: Tensor, config: S2CNetConfig) -> Tensor:
    """What RoDAlign contributes to the embedding, as integral images [B, A + 2, A + 2, C].

    RoDAlign is a fixed grid of points, less those inside the box, averaged 2 x 2; then comes the
    embedding's linear map. Averaging and map together weigh each point with a vector of C values.
    Entry [i, j] sums the points above row i and left of column j, so entry [-1, -1] is all of them.
    """
    size = config.align_size
    weight = _halves(embedding, config)[:, :, 1]  # [C, c, A, A]
    # A point feeds the up to four averages around it, each with weight 1/4.
    padded = torch.nn.functional.pad(weight, (1, 1, 1, 1))
    weight = torch.nn.functional.avg_pool2d(padded, 2, stride=1)  # [C, c, A + 1, A + 1]
    points = _at_rows(_at_rows(features, size).transpose(2, 3), size).transpose(2, 3)
    shares = torch.einsum("bcij,ncij->bijn", points, weight)
    return torch.nn.functional.pad(shares.cumsum(1).cumsum(2), (0, 0, 1, 0, 1, 0))


def discard(table: Tensor, boxes: Tensor, size_hw: torch.Size) -> Tensor:
    """Sums [k, C] of `discard_table`'s points outside boxes [k, 4], in feature cells.

    A point on a box's edge is inside it; an inverted box has no inside.
    """
    steps = table.shape[0] - 2
    left, top, right, bottom = boxes.T.contiguous()
    rows, columns = (grid_positions(side, steps, boxes) for side in size_hw)
    first_row, first_column = torch.searchsorted(rows, top), torch.searchsorted(columns, left)
    end_row = torch.searchsorted(rows, bottom, right=True).maximum(first_row)
    end_column = torch.searchsorted(columns, right, right=True).maximum(first_column)
    inside = table[end_row, end_column] - table[first_row, end_column]
    inside += table[first_row, first_column] - table[end_row, first_column]
    return table[-1, -1] - inside


def grid_positions(side: int, steps: int, like: Tensor) -> Tensor:
    """RoDAlign's points along one side of the map, in feature cells: [steps + 1]."""
    return torch.arange(steps + 1, device=like.device, dtype=like.dtype) * ((side - 1.001) / steps)


def bordered(corner: Tensor, row: Tensor, column: Tensor, block: Tensor) -> Tensor:
    """Matrices [k, 1 + D, 1 + D] from node 0's corner [k], row [k, D], column and shared block."""
    top = torch.cat([corner[:, None], row], dim=1)[:, None]  # [k, 1, 1 + D]
    rest = torch.cat([column[:, :, None], block.expand(len(corner), -1, -1)], dim=2)
    return torch.cat([top, rest], dim=1)


def _halves(embedding: Embedding, config: S2CNetConfig) -> Tensor:
    size = config.align_size
    return embedding.linear.weight.view(-1, config.reduced_dim, 2, size, size)


def _at_rows(features: Tensor, steps: int) -> Tensor:
    """The map [B, c, H, W] interpolated at RoDAlign's rows: [B, c, steps + 1, W]."""
    position = grid_positions(features.shape[2], steps, features)
    above = position.floor().long()
    share = (position - above)[:, None]
    return (1 - share) * features[:, :, above] + share * features[:, :, above + 1]
