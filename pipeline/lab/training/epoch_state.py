"""The state of an interrupted epoch: steps done, losses, random number generators."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class EpochState:
    """An interrupted epoch, from which training continues as if it had not been stopped.

    epoch: its number, from 0. steps: those done in it. total: sum of their losses.
    order, torch_state: states of the generators of NumPy and torch.
    cuda_state: state of the GPU's generator, which dropout uses; None without a GPU, and in files
        of earlier versions.
    """

    epoch: int
    steps: int
    total: float
    order: str  # JSON of the NumPy generator's state
    torch_state: Tensor
    cuda_state: Tensor | None = None

    @classmethod
    def at(
        cls, epoch: int, steps: int, total: float, random: np.random.Generator, device: str
    ) -> "EpochState":
        """Record the current state, including the generators'. device: the network's."""
        order = json.dumps(random.bit_generator.state)
        cuda_state = torch.cuda.get_rng_state(device) if _is_gpu(device) else None
        return cls(epoch, steps, total, order, torch.get_rng_state(), cuda_state)

    def resume(self, random: np.random.Generator, device: str) -> tuple[int, float]:
        """Restore the generators; return the steps done and the sum of their losses."""
        random.bit_generator.state = json.loads(self.order)
        torch.set_rng_state(self.torch_state)
        if self.cuda_state is not None and _is_gpu(device):
            torch.cuda.set_rng_state(self.cuda_state, device)
        return self.steps, self.total


def _is_gpu(device: str) -> bool:
    return torch.device(device).type == "cuda"
