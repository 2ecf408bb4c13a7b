"""Count the multiply-adds of a call."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.support.drawn import draw_inputs


def addmm_flop(into: torch.Size, a: torch.Size, b: torch.Size, **_: object) -> int:
    return 2 * into[0] * into[1] * a[1]


def baddbmm_flop(into: torch.Size, a: torch.Size, b: torch.Size, **_: object) -> int:
    return 2 * into[0] * into[1] * into[2] * a[2]


def onednn_flop(x: torch.Size, *others: torch.Size, **_: object) -> int:
    """Count the FLOP of oneDNN's (x, weight, bias, …) or (x, addend, weight, bias, …)."""
    weight = next(shape for shape in reversed(others[:2]) if shape is not None and len(shape) == 2)
    return 2 * x.numel() * weight[0]


# torch's counter supports only the variants of the first two that are not in place.
UNKNOWN_TO_TORCH = {
    torch.ops.aten.addmm_: addmm_flop,
    torch.ops.aten.baddbmm_: baddbmm_flop,
    torch.ops.mkldnn._linear_pointwise: onednn_flop,
}


def multiply_adds(score: Callable[..., Tensor], candidates: int, objects: int) -> int:
    """Count those of `score(images, crops, detections)` for one image: products, convolutions."""
    inputs = draw_inputs([candidates], [objects])
    counter = FlopCounterMode(display=False, custom_mapping=UNKNOWN_TO_TORCH)
    with counter, torch.no_grad():
        score(*inputs)
    return counter.get_total_flops() // 2  # torch counts a multiply-add as two


def multiply_adds_per_candidate(score: Callable[..., Tensor], objects: int) -> float:
    """Return the multiply-adds of each additional candidate."""
    return (multiply_adds(score, 228, objects) - multiply_adds(score, 100, objects)) / 128
