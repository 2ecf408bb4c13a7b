"""The state of an interrupted epoch: steps done, losses, random number generators."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Partway:
    """An interrupted epoch, from which training goes on as if it had not been stopped.

    epoch: its number, from 0. steps: done in it. total: sum of their losses.
    order, torch_state: states of the generators of NumPy and torch.
    """

    epoch: int
    steps: int
    total: float
    order: str  # JSON: of numpy's generator
    torch_state: Tensor

    @classmethod
    def at(cls, epoch: int, steps: int, total: float, random: np.random.Generator) -> "Partway":
        """Take the state now, that of both generators included."""
        state = json.dumps(random.bit_generator.state)
        return cls(epoch, steps, total, state, torch.get_rng_state())

    def resume(self, random: np.random.Generator) -> tuple[int, float]:
        """Restore both generators; return the steps done and the sum of their losses."""
        random.bit_generator.state = json.loads(self.order)
        torch.set_rng_state(self.torch_state)
        return self.steps, self.total
