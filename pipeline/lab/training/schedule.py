"""The learning rate over a run, a step, and the moving average of weights, for all trainings."""

import math
from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel

from pipeline.errors import UsageError

RISING_SHARE = 0.1  # of the steps of `one_cycle`


def rate_at(step: int, steps: int, warmup_share: float) -> float:
    """Return the share of the peak rate at `step` of `steps`: a linear rise, then a cosine to 0."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def one_cycle(optimizer: Optimizer, peaks: float | list[float], steps: int) -> OneCycleLR:
    """Make the schedule of `steps` steps whose rate rises over the first tenth, then falls.

    peaks: the peak rate of all parameters, or of each group.
    """
    total = steps + 1  # it is also asked for the rate after the last step
    # Torch divides by the rising steps less one, so there are at least two.
    rising = max(RISING_SHARE, 2 / total)
    return OneCycleLR(optimizer, peaks, total_steps=total, pct_start=rising)


def optimizer_step(
    loss: Tensor,
    parameters: Iterable[Tensor],
    max_norm: float,
    optimizer: Optimizer,
    schedule: LRScheduler,
) -> None:
    """Take one step of the optimizer on a loss, and one of the learning rate.

    parameters: those whose joint gradient is clipped to the norm `max_norm`.

    Raises UsageError where the loss is not finite, as all weights would be after the step.
    """
    if not loss.isfinite():
        raise UsageError("the training diverged: its loss is not finite; check labels and weights")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()
    schedule.step()


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Make an exponential moving average of a network's weights and batch-norm statistics.

    It starts as a copy of the network; `update_parameters(network)` updates it. The decay grows
    towards its final value so that the random start is forgotten, as in TensorFlow's
    ExponentialMovingAverage: min(decay, (1 + n) / (10 + n)) at update n.
    """

    def moved(average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return current  # a count of batches
        share = ((1 + updates) / (10 + updates)).clamp(max=decay)  # type: ignore[union-attr]
        return average.lerp(current, 1 - share)

    model = AveragedModel(network, avg_fn=moved, use_buffers=True)
    model.n_averaged += 1  # at 0, the first update would replace the start instead of averaging
    return model
