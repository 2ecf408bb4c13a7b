"""Loss and rank correlation over the epochs, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.lab.training.loop import Epoch

WIDTH, HEIGHT, MARGIN = 720, 300, 48
INK, GRID = "#222222", "#dddddd"
Line = tuple[str, str, list[float]]  # label, colour, one value an epoch


def draw_curves(epochs: Sequence[Epoch], path: Path) -> None:
    """A PNG of two charts: losses of training and validation, SRCC and Acc5 of validation."""
    losses: list[Line] = [
        ("training loss", "#1f6fb4", [epoch.loss for epoch in epochs]),
        ("validation loss", "#d9661f", [epoch.validation_loss for epoch in epochs]),
    ]
    measures: list[Line] = [
        ("validation SRCC", "#2a8f3c", [epoch.validation_srcc for epoch in epochs]),
        ("validation Acc5", "#8452a8", [epoch.validation_acc5 for epoch in epochs]),
    ]
    sheet = Image.new("RGB", (WIDTH, 2 * HEIGHT), "white")
    for index, lines in enumerate((losses, measures)):
        chart = Image.new("RGB", (WIDTH, HEIGHT), "white")
        _draw(ImageDraw.Draw(chart), lines)
        sheet.paste(chart, (0, index * HEIGHT))
    sheet.save(path)


def _draw(pen: ImageDraw.ImageDraw, lines: list[Line]) -> None:
    values = [value for _, _, line in lines for value in line if math.isfinite(value)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - MARGIN)
        pen.line([(MARGIN, y), (right, y)], fill=GRID)
        pen.text((4, y - 6), f"{low + share * (high - low):.3f}", fill=INK)
    count = max(len(line) for _, _, line in lines)
    pen.text((MARGIN, bottom + 8), "epoch 1", fill=INK)
    pen.text((right - 40, bottom + 8), f"epoch {count}", fill=INK)
    for index, (label, colour, line) in enumerate(lines):
        points = [
            (
                MARGIN + (right - MARGIN) * epoch / max(1, count - 1),
                bottom - (value - low) / (high - low) * (bottom - MARGIN),
            )
            for epoch, value in enumerate(line)
            if math.isfinite(value)
        ]
        pen.line(points, fill=colour, width=2)
        for x, y in points:
            pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
        pen.text((MARGIN + 180 * index, 12), label, fill=colour)
