"""Learning rate over a run, and the running average of its weights."""

import math

import torch
from torch import Tensor, nn


def rate_at(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate at `step` of `steps`: a linear rise, then a cosine to 0."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class AveragedWeights:
    """Exponential moving average of a network's floating tensors, batch-norm statistics included.

    The decay grows from 0 towards its final value, so that the random start is forgotten:
    min(decay, (1 + n) / (10 + n)) at update n.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the network's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor, 1 - decay)
            else:
                self.tensors[name].copy_(tensor)

    def state(self) -> dict[str, Tensor | int]:
        """For a checkpoint."""
        return {"updates": torch.tensor(self.updates), **self.tensors}

    def restore(self, state: dict[str, Tensor]) -> None:
        """From a checkpoint."""
        self.updates = int(state["updates"])
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])
