"""Products with matrices, by the library that is fastest for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL = 1 << 14  # numbers of a weight: one of a head's, or one that objects make

_ONEDNN: Any = None
if torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    _ONEDNN = torch.ops.mkldnn._linear_pointwise  # what torch's own compiler calls


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`functional.linear`: x [.., C], weight [F, C] and bias [F] -> [.., F]. Without gradients.

    float32 on a CPU goes to oneDNN. torch gives it to MKL, which takes 2.2 times as long on AMD's
    processors with AVX-512 (98 against 220 GFLOP/s on one core). Small weights stay with MKL: they
    take 4 µs instead of 13 on few rows and as long on many, and oneDNN would keep compiled code of
    .4 MB for every number of rows and objects.
    """
    if not _is_for_onednn(x, weight):
        return functional.linear(x, weight, bias)
    result: Tensor = _ONEDNN.default(x, weight, bias, "none", [], "")
    return result


def packed(weight: Tensor) -> Tensor:
    """A weight [F, C] arranged as oneDNN wants it, where that computes with it; else as it is.

    Otherwise every call arranges it anew, reading and writing it once more, for the same numbers.
    Only this file's functions can use what is arranged.
    """
    if not _is_for_onednn(weight, weight):
        return weight
    arranged: Tensor = torch.ops.mkldnn._reorder_linear_weight.default(weight.detach())
    return arranged


def pack_layer(layer: nn.Linear) -> None:
    """Let `apply` and `add_linear` use the layer's weight as `packed`; it can't be called then."""
    weight = packed(layer.weight)
    if weight is not layer.weight:
        del layer.weight  # what is arranged can't be a parameter
        layer.weight = weight


def apply(layer: nn.Linear, x: Tensor) -> Tensor:
    """`layer(x)`."""
    return linear(x, layer.weight, layer.bias)


def add_linear(other: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`other + linear(x, weight, bias)`, in one pass where oneDNN computes it."""
    if not _is_for_onednn(x, weight):
        return other + linear(x, weight).to(other.dtype) + bias
    result: Tensor = _ONEDNN.binary(x, other, weight, bias, "add")
    return result


def linear_by_head(x: Tensor, weights: Tensor | Sequence[Tensor]) -> Tensor:
    """`linear` of each head's part: x [k, h, d], weights [h, C, d] or as many, -> [k, h, C]."""
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
