"""The training steps and channel statistics that the detector's branches on stored features share.

The frozen network's features of each view are computed once. A branch is small, so a step on
sixteen views takes some 20 ms of one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipeline.lab.training.schedule import one_cycle, optimizer_step

VIEWS_PER_STEP, EMA_DECAY = 16, 0.995
CLIP_NORM = 2.0  # norm of a step's gradient
CELLS = 7  # stride of the cells sampled for mean and deviation
MAPS = 400  # about how many maps are sampled for them

ChannelStats = tuple[Tensor, Tensor]  # mean and deviation [C, 1, 1]


def fit_branch(
    module: nn.Module,
    batches: Sequence[Sequence[int]],
    loss_of: Callable[[Sequence[int]], Tensor],
    rate: float,
    decay: float,
) -> list[float]:
    """Train a module with AdamW and a one-cycle rate; its weights become their running mean.

    batches: indices of the views of each step; loss_of: returns the loss of such a step

    Returns the loss of each step.
    """
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
    schedule = one_cycle(optimizer, rate, len(batches))
    averaged = {name: value.clone() for name, value in module.state_dict().items()}
    losses = []
    for step, batch in enumerate(batches):
        loss = loss_of(batch)
        optimizer_step(loss, module.parameters(), CLIP_NORM, optimizer, schedule)
        losses.append(loss.item())
        keep = min(EMA_DECAY, step / (step + 10))
        for name, value in module.state_dict().items():
            averaged[name].lerp_(value, 1 - keep)
    module.load_state_dict(averaged)
    return losses


def channel_stats(maps: Sequence[Tensor]) -> ChannelStats:
    """Estimate mean and deviation of each channel on some cells of some maps [C, h, w]."""
    some = maps[:: max(1, len(maps) // MAPS)]
    cells = torch.cat([one.float().flatten(1)[:, ::CELLS] for one in some], dim=1)
    deviation = cells.std(dim=1) + 1e-3
    return cells.mean(dim=1)[:, None, None], deviation[:, None, None]


def jeffreys_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Sum Jeffreys' divergence of distributions, given as logarithms, over all of them: scalar.

    first, second: of one shape. It is the KL divergence in one direction plus that in the other.
    """
    return ((first.exp() - second.exp()) * (first - second)).sum()
