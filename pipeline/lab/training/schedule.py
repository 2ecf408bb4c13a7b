"""What trainings share: the learning rate over a run, a step, the moving average of weights."""

import math
from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel


def rate_at(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate at `step` of `steps`: a linear rise, then a cosine to 0."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def descend(
    loss: Tensor,
    learnt: Iterable[Tensor],
    most_norm: float,
    optimizer: Optimizer,
    schedule: LRScheduler,
) -> None:
    """Take one step of the optimizer against a loss, and one of the learning rate.

    learnt: the parameters whose gradients together have at most the norm `most_norm`.
    """
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(learnt, most_norm)
    optimizer.step()
    schedule.step()


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of a network's weights and batch-norm statistics.

    Starts as a copy of the network; `update_parameters(network)` moves it on. The decay grows
    towards its final value so that the random start is forgotten, as in TensorFlow's
    ExponentialMovingAverage: min(decay, (1 + n) / (10 + n)) at update n.
    """

    def moved(average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return current  # a count of batches
        share = ((1 + updates) / (10 + updates)).clamp(max=decay)  # type: ignore[union-attr]
        return average.lerp(current, 1 - share)

    model = AveragedModel(network, avg_fn=moved, use_buffers=True)
    model.n_averaged += 1  # at 0 the first update would replace the start instead of moving it
    return model
