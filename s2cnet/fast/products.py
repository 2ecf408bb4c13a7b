"""Multiply by matrices with the library that is fastest for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL = 1 << 14  # elements of a weight: one of a head, or one computed from objects

_ONEDNN: Any = None
if torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    _ONEDNN = torch.ops.mkldnn._linear_pointwise  # what torch's own compiler calls


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute `functional.linear` of x [.., C], weight [F, C], bias [F]: [.., F]. No gradients.

    oneDNN computes float32 on a CPU. torch uses MKL, which takes 2.2 times as long on AMD's
    processors with AVX-512 (98 against 220 GFLOP/s on one core). Small weights stay with MKL: they
    take 4 µs instead of 13 on few rows and as long on many, and oneDNN would keep compiled code of
    .4 MB for every number of rows and objects.
    """
    if not _is_for_onednn(x, weight):
        return functional.linear(x, weight, bias)
    result: Tensor = _ONEDNN.default(x, weight, bias, "none", [], "")
    return result


def packed(weight: Tensor) -> Tensor:
    """Arrange a weight [F, C] for oneDNN if that computes with it; else return it as it is.

    Without this, every call arranges it again, reading and writing it once more, for the same
    numbers. Only this file's functions can use an arranged weight.
    """
    if not _is_for_onednn(weight, weight):
        return weight
    arranged: Tensor = torch.ops.mkldnn._reorder_linear_weight.default(weight.detach())
    return arranged


def pack_layer(layer: nn.Linear) -> None:
    """Pack a layer's weight for `apply` and `add_linear`; the layer can't be called after that."""
    weight = packed(layer.weight)
    if weight is not layer.weight:
        del layer.weight  # an arranged weight can't be a parameter
        layer.weight = weight


def apply(layer: nn.Linear, x: Tensor) -> Tensor:
    """Compute `layer(x)`."""
    return linear(x, layer.weight, layer.bias)


def add_linear(other: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute `other + linear(x, weight, bias)`, in one pass if oneDNN computes it."""
    if not _is_for_onednn(x, weight):
        return other + linear(x, weight).to(other.dtype) + bias
    result: Tensor = _ONEDNN.binary(x, other, weight, bias, "add")
    return result


def linear_by_head(x: Tensor, weights: Tensor | Sequence[Tensor]) -> Tensor:
    """Apply `linear` to each head's part: x [k, h, d], weights [h, C, d] or a list -> [k, h, C]."""
    if isinstance(weights, Tensor) and not _is_for_onednn(x, weights[0]):
        return torch.bmm(x.transpose(0, 1), weights.transpose(1, 2)).transpose(0, 1)
    heads = [linear(part, weight) for part, weight in zip(x.unbind(1), weights, strict=True)]
    return torch.stack(heads, dim=1)


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    if weight.is_mkldnn:
        return True
    if _ONEDNN is None or weight.numel() <= SMALL:
        return False
    return x.dtype == torch.float32 and x.device.type == "cpu"
