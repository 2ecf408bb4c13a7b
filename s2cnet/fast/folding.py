"""Rearrange S2CNet's linear maps exactly, by functions of tensors and weights.

Shapes: C node width, h heads of d = C / h channels, A align size, c channels of the feature map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2cnet.config import S2CNetConfig
from s2cnet.network.graph import GraphAwareAttention
from s2cnet.network.nodes import Embedding


def by_head(weight: Tensor, heads: int) -> Tensor:
    """Split the last dimension [..., C] by heads: [..., h, d]."""
    return weight.reshape(*weight.shape[:-1], heads, weight.shape[-1] // heads)


class AttentionMaps(NamedTuple):
    """An attention's projections by head, arranged so that keys and values can be folded."""

    keys: Tensor  # [h, C, d]; a mapped key, times an aggregated node, is scale * query · key
    values: Tensor  # [h, C, d]; a mapped value is its head's part of the output, without bias
    node_keys: Tensor  # [h, C, d]; a mapped query, times a normed node, is query · key
    node_values: Tensor  # [h, d, C]; a mapped, normed node is a head's value

    @classmethod
    def of(cls, attention: GraphAwareAttention) -> AttentionMaps:
        """Copy and arrange the projections' weights."""
        heads = attention.heads
        key, value = attention.key_value.weight.chunk(2)
        parts = [attention.scale * attention.query.weight.T, attention.out.weight]
        parts += [attention.scale * key.T, value.T]
        keys, values, node_keys, node_values = (
            by_head(part, heads).transpose(0, 1).contiguous() for part in parts
        )
        return cls(keys, values, node_keys, node_values.transpose(1, 2).contiguous())


def fold_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return weight and bias such that linear(norm(x)) = weight · x / deviation(x) + bias."""
    weight = linear.weight * norm.weight
    return weight - weight.mean(dim=1, keepdim=True), linear.bias + linear.weight @ norm.bias


def roi_weight(embedding: Embedding, config: S2CNetConfig) -> Tensor:
    """Return the half of the embedding's linear map that reads RoIAlign: [C, c * A * A]."""
    return _halves(embedding, config)[:, :, 0].flatten(1)


def roi_samples(features: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Apply RoIAlign to boxes [k, 4], in feature cells, and a map [1, c, H, W]: [k, c, size, size].

    Rows and columns are sampled independently, so the operator is a product of matrices: weights of
    rows, map, weights of columns. On a CPU that takes a seventh of the time of gathering taps.
    """
    left, top, right, bottom = boxes.T
    _, channels, height, width = features.shape
    rows = _roi_weights(top, bottom, height, size)  # [k, size, H]
    columns = _roi_weights(left, right, width, size)  # [k, size, W]
    by_row = features[0].transpose(0, 1).flatten(1)  # [H, c * W]
    sampled = (rows.flatten(0, 1) @ by_row).view(len(boxes), size * channels, width)
    samples = sampled @ columns.transpose(1, 2)  # [k, size * c, size]
    return samples.view(len(boxes), size, channels, size).transpose(1, 2)


def _roi_weights(low: Tensor, high: Tensor, side: int, size: int) -> Tensor:
    """Return weights [k, size, side] of cells along a side of the map, for boxes' two edges [k]."""
    steps = torch.arange(size + 1, device=low.device, dtype=low.dtype)
    # Divided by A on the device, as in the definition: CUDA multiplies by a number's reciprocal.
    position = low[:, None] + steps * ((high - low + 1).clamp(min=0) / steps[-1])[:, None]
    first = position.floor().clamp(0, side - 2)
    share = (position - first)[:, :, None]
    offset = torch.arange(side, device=low.device) - first[:, :, None]  # [k, size + 1, side]
    weights = torch.where(offset == 0, 1 - share, torch.where(offset == 1, share, 0))
    weights *= ((position >= 0) & (position < side))[:, :, None]
    return (weights[:, :-1] + weights[:, 1:]) / 2


def rod_weight(embedding: Embedding, config: S2CNetConfig) -> Tensor:
    """Return the weights of RoDAlign's grid points in the embedding: [A + 1, A + 1, c, C].

    The 2 x 2 averages and the embedding's linear map together weigh the c channels of each point.
    """
    weight = _halves(embedding, config)[:, :, 1].permute(2, 3, 1, 0)  # [A, A, c, C]
    # A point feeds the up to four averages around it, each with weight 1/4.
    padded = functional.pad(weight, (0, 0, 0, 0, 1, 1, 1, 1))
    rows = padded[:-1] + padded[1:]
    return (rows[:, :-1] + rows[:, 1:]) / 4


def rod_table(weight: Tensor, features: Tensor) -> Tensor:
    """Compute RoDAlign's contribution to the embedding as integral images [B, A + 2, A + 2, C].

    RoDAlign is a fixed grid of points without those inside the box. Entry [i, j] sums the points
    above row i and left of column j, each weighted by `rod_weight`; entry [-1, -1] sums them all.
    """
    size = len(weight) - 1
    points = _at_rows(_at_rows(features, size).transpose(2, 3), size).transpose(2, 3)
    shares = torch.einsum("bcij,ijcn->bijn", points, weight)
    return functional.pad(shares.cumsum(1).cumsum(2), (0, 0, 1, 0, 1, 0))


def rod_outside(table: Tensor, boxes: Tensor, size_hw: torch.Size) -> Tensor:
    """Sum `rod_table`'s points outside boxes [k, 4] in feature cells: [k, C].

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
    """Return RoDAlign's points along one side of the map, in feature cells: [steps + 1]."""
    return torch.arange(steps + 1, device=like.device, dtype=like.dtype) * ((side - 1.001) / steps)


def bordered(corner: Tensor, row: Tensor, column: Tensor, block: Tensor) -> Tensor:
    """Build matrices [k, 1 + D, 1 + D] of node 0's corner [k], row [k, D], column, shared block."""
    top = torch.cat([corner[:, None], row], dim=1)[:, None]  # [k, 1, 1 + D]
    rest = torch.cat([column[:, :, None], block.expand(len(corner), -1, -1)], dim=2)
    return torch.cat([top, rest], dim=1)


def _halves(embedding: Embedding, config: S2CNetConfig) -> Tensor:
    size = config.align_size
    return embedding.linear.weight.view(-1, config.reduced_dim, 2, size, size)


def _at_rows(features: Tensor, steps: int) -> Tensor:
    """Interpolate the map [B, c, H, W] at RoDAlign's rows: [B, c, steps + 1, W]."""
    position = grid_positions(features.shape[2], steps, features)
    above = position.floor().long()
    share = (position - above)[:, None]
    return (1 - share) * features[:, :, above] + share * features[:, :, above + 1]


def softmax(logits: Tensor) -> Tensor:
    """Compute softmax over the last dimension: 2 ns a value on a CPU's short rows; torch's: 19."""
    weights = (logits - logits.amax(dim=-1, keepdim=True)).exp_()
    return weights.div_(weights.sum(dim=-1, keepdim=True))
