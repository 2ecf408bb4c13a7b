"""The schedules that several trainings share."""

import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.lab.training.schedule import one_cycle, optimizer_step


@pytest.mark.parametrize(("steps", "peak"), [(2, 1), (9, 1), (19, 1), (99, 9)])
def test_one_cycle_rises_over_a_tenth_but_at_least_two_steps(steps: int, peak: int) -> None:
    """The rates are those of steps + 1. A tenth of ten is one, and torch divided by 1 - 1."""
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    schedule, rates = one_cycle(optimizer, 0.5, steps), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.5 / 25)  # torch's first share of the peak
    assert rates[peak] == max(rates) == pytest.approx(0.5)
    assert optimizer.param_groups[0]["lr"] < 1e-4


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_no_step_is_taken_on_a_loss_that_is_not_finite(loss: float) -> None:
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.AdamW([weight])
    schedule = one_cycle(optimizer, 0.5, 10)
    with pytest.raises(UsageError, match="the training diverged: its loss is not finite"):
        optimizer_step(weight.sum() * loss, [weight], 1.0, optimizer, schedule)
    assert weight.item() == 1
    optimizer_step(weight.sum(), [weight], 1.0, optimizer, schedule)
    assert weight.item() < 1
