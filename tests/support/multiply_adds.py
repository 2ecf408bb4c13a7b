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


# torch's counter knows only the variants of these that are not in place.
IN_PLACE = {torch.ops.aten.addmm_: addmm_flop, torch.ops.aten.baddbmm_: baddbmm_flop}


def multiply_adds(score: Callable[..., Tensor], candidates: int, objects: int) -> int:
    """Of all matrix products and convolutions of `score(images, crops, detections)`, one image."""
    inputs = draw_inputs([candidates], [objects])
    counter = FlopCounterMode(display=False, custom_mapping=IN_PLACE)
    with counter, torch.no_grad():
        score(*inputs)
    return counter.get_total_flops() // 2  # torch counts a multiply-add as two


def multiply_adds_per_candidate(score: Callable[..., Tensor], objects: int) -> float:
    """What each further candidate costs."""
    return (multiply_adds(score, 228, objects) - multiply_adds(score, 100, objects)) / 128
