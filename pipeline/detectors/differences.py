"""Keep the stages that the maps read as their differences from the trunk's, a byte a weight.

They were trained from a copy of the trunk's upper stages and differ by little, so 8 bits tell the
difference to .4 % of its largest value, at half the size of the weights themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.detectors.subject_network import UPPER

LOOKING, STAGES, STEP = "looking.", "stages.", ".step"
Tensors = dict[str, Tensor]


def as_differences(state: Tensors) -> Tensors:
    """All tensors of a `SubjectNetwork`, half precision; those of `looking` as differences.

    `looking.…` has whole steps, int8, and `looking.….step` the step of each output channel, float.
    """
    packed = {name: tensor.half() for name, tensor in state.items() if not name.startswith(LOOKING)}
    for name, tensor in state.items():
        if name.startswith(LOOKING):
            difference = tensor.float() - packed[of_trunk(name)].float()
            largest = difference.flatten(1).abs().amax(1) if tensor.dim() > 1 else difference.abs()
            step = (largest / 127).clamp_min(1e-12)
            packed[name] = (difference / _along(step, tensor)).round().to(torch.int8)
            packed[name + STEP] = step
    return packed


def from_differences(packed: Tensors) -> Tensors:
    """The tensors that `as_differences` was given, half precision; all others as they are."""
    state = {}
    for name, tensor in packed.items():
        if name.startswith(LOOKING) and name.endswith(STEP):
            continue
        if name.startswith(LOOKING) and tensor.dtype == torch.int8:
            difference = tensor.float() * _along(packed[name + STEP], tensor)
            tensor = (packed[of_trunk(name)].float() + difference).half()
        state[name] = tensor
    return state


def of_trunk(name: str) -> str:
    """The tensor of the trunk that one of `looking` is a copy of."""
    stage, rest = name.removeprefix(LOOKING).split(".", 1)
    return f"{STAGES}{int(stage) + UPPER}.{rest}"


def _along(step: Tensor, tensor: Tensor) -> Tensor:
    return step.view(-1, *[1] * (tensor.dim() - 1))
