"""Plot loss and rank correlation over the epochs."""

import io
from collections.abc import Sequence
from pathlib import Path

from pipeline.lab.training.history import Epoch
from pipeline.output_files import write_atomic


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
