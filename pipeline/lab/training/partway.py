"""How far an epoch is in which a training was stopped."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Partway:
    """What it takes to go on as if the training had not been stopped.

    total: of the losses so far; order, torch_state: of the two streams of random numbers.
    """

    epoch: int
    steps: int
    total: float
    order: str  # JSON: of numpy's generator
    torch_state: Tensor

    @classmethod
    def at(cls, epoch: int, steps: int, total: float, random: np.random.Generator) -> "Partway":
        """Note where a training is, its random numbers too."""
        state = json.dumps(random.bit_generator.state)
        return cls(epoch, steps, total, state, torch.get_rng_state())

    def resume(self, random: np.random.Generator) -> tuple[int, float]:
        """Set the random numbers; returns the steps done and the sum of their losses."""
        random.bit_generator.state = json.loads(self.order)
        torch.set_rng_state(self.torch_state)
        return self.steps, self.total
