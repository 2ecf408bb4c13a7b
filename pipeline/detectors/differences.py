"""Store the stages that the maps read as differences from the trunk's, at one byte per weight.

They were trained from a copy of the trunk's upper stages and differ little from it. So 8 bits give
the difference to .4 % of its largest value, at half the size of the weights themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.detectors.subject_network import UPPER

LOOKING, STAGES, STEP = "looking.", "stages.", ".step"
Tensors = dict[str, Tensor]


def as_differences(state: Tensors) -> Tensors:
    """Pack a `SubjectNetwork`'s tensors in half precision, those of `looking` as differences.

    `looking.…` has whole steps, int8, and `looking.….step` the step of each output channel, float.
    """
    packed = {name: tensor.half() for name, tensor in state.items() if not name.startswith(LOOKING)}
    for name, tensor in state.items():
        if name.startswith(LOOKING):
            difference = tensor.float() - packed[of_trunk(name)].float()
            largest = difference.flatten(1).abs().amax(1) if tensor.dim() > 1 else difference.abs()
            step = (largest / 127).clamp_min(1e-12)
            packed[name] = (difference / _per_channel(step, tensor)).round().to(torch.int8)
            packed[name + STEP] = step
    return packed


def from_differences(packed: Tensors) -> Tensors:
    """Restore the tensors given to `as_differences`, in half precision; others stay unchanged."""
    state = {}
    for name, tensor in packed.items():
        if name.startswith(LOOKING) and name.endswith(STEP):
            continue
        if name.startswith(LOOKING) and tensor.dtype == torch.int8:
            difference = tensor.float() * _per_channel(packed[name + STEP], tensor)
            tensor = (packed[of_trunk(name)].float() + difference).half()
        state[name] = tensor
    return state


def of_trunk(name: str) -> str:
    """Return the name of the trunk's tensor that one of `looking` was copied from."""
    stage, rest = name.removeprefix(LOOKING).split(".", 1)
    return f"{STAGES}{int(stage) + UPPER}.{rest}"


def _per_channel(step: Tensor, tensor: Tensor) -> Tensor:
    return step.view(-1, *[1] * (tensor.dim() - 1))
