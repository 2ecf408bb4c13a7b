"""The epochs of a training so far, which of them is best, and their plot."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.output_files import write_atomic


@dataclass(frozen=True)
class Epoch:
    """Measures of one epoch; those of validation come from the averaged weights.

    rate: the learning rate at the start of the next epoch.
    """

    epoch: int
    rate: float
    loss: float
    validation_loss: float
    validation_srcc: float
    validation_acc5: float


@dataclass
class History:
    """The epochs of a run so far, which a checkpoint stores in addition to the tensors."""

    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch | None:
        """The epoch of the highest validation SRCC, the first of equals; no test photo counts."""
        return max(self.epochs, key=lambda epoch: epoch.validation_srcc, default=None)


def draw_curves(epochs: Sequence[Epoch], path: Path) -> None:
    """Write a PNG of two charts: both losses, and SRCC and Acc5 on the validation photos."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(7.2, 6), dpi=100, layout="constrained")
    losses, measures = figure.subplots(2, 1)
    numbers = [epoch.epoch + 1 for epoch in epochs]
    losses.plot(numbers, [epoch.loss for epoch in epochs], "o-", label="training loss")
    losses.plot(numbers, [epoch.validation_loss for epoch in epochs], "o-", label="validation loss")
    measures.plot(numbers, [epoch.validation_srcc for epoch in epochs], "o-", label="SRCC")
    measures.plot(numbers, [epoch.validation_acc5 for epoch in epochs], "o-", label="Acc5")
    for chart in (losses, measures):
        chart.set_xlabel("epoch")
        chart.grid(alpha=0.3)
        chart.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomic(path, picture.getvalue())
