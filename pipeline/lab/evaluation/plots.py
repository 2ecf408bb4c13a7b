"""Plots as inline SVG, drawn here: two kinds are not worth a plotting library in a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 560, 420
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 48  # margins, px
MAX_POINTS = 4000
BAR_ROW, GROUP_GAP = 17, 12  # px


@dataclass(frozen=True)
class Bar:
    """One value with its interval, in a colour."""

    label: str
    mean: float
    low: float
    high: float
    colour: str


def scatter(
    x: ArrayLike, y: ArrayLike, x_label: str, y_label: str, colour: str, diagonal: bool = False
) -> str:
    """Points (x, y), at most 4,000 of them, evenly picked; `diagonal` draws y = x."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    picked = np.linspace(0, len(xs) - 1, min(len(xs), MAX_POINTS)).astype(int)
    x_range, y_range = _range(xs), _range(ys)
    if diagonal:
        x_range = y_range = (min(x_range[0], y_range[0]), max(x_range[1], y_range[1]))
    px = LEFT + (xs - x_range[0]) / (x_range[1] - x_range[0]) * (WIDTH - LEFT - RIGHT)
    py = HEIGHT - BOTTOM - (ys - y_range[0]) / (y_range[1] - y_range[0]) * (HEIGHT - TOP - BOTTOM)
    radius, opacity = (2.0, 0.35) if len(picked) > 500 else (3.5, 0.6)
    points = "".join(f'<circle cx="{px[i]:.1f}" cy="{py[i]:.1f}" r="{radius}"/>' for i in picked)
    line = (
        f'<line class="guide" x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{TOP}"/>'
        if diagonal
        else ""
    )
    body = f'<g fill="{colour}" fill-opacity="{opacity}">{points}</g>'
    axes = _axes(x_range, y_range, x_label, y_label)
    return _svg(WIDTH, HEIGHT, f"{y_label} against {x_label}", axes + line + body)


def bars(groups: Sequence[tuple[str, Sequence[Bar]]], title: str) -> str:
    """Horizontal bars with intervals, one block a group. Values start at 0."""
    left, right, value_room = 190, 12, 52
    highest = max((bar.high for _, group in groups for bar in group), default=1.0)
    lowest = min([bar.low for _, group in groups for bar in group] + [0.0])
    scale = (WIDTH - left - right - value_room) / max(highest - lowest, 1e-9)
    parts, y = [], 8.0
    for name, group in groups:
        parts.append(f'<text class="group" x="0" y="{y + 12:.0f}">{escape(name)}</text>')
        y += BAR_ROW
        for bar in group:
            parts.append(_bar(bar, y, left, scale, lowest))
            y += BAR_ROW
        y += GROUP_GAP
    return _svg(WIDTH, round(y), title, "".join(parts))


def _bar(bar: Bar, y: float, left: float, scale: float, lowest: float) -> str:
    zero, end = left - lowest * scale, left + (bar.mean - lowest) * scale
    low, high = left + (bar.low - lowest) * scale, left + (bar.high - lowest) * scale
    middle = y + BAR_ROW / 2 - 1
    return (
        f'<text class="label" x="{left - 8}" y="{y + 12:.0f}">{escape(bar.label)}</text>'
        f'<rect x="{min(zero, end):.1f}" y="{y + 2:.1f}" width="{abs(end - zero):.1f}" '
        f'height="{BAR_ROW - 5}" rx="2" fill="{bar.colour}"/>'
        f'<line class="whisker" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
        f'<text class="value" x="{max(high, zero) + 6:.1f}" y="{y + 12:.0f}">{bar.mean:.3f}</text>'
    )


def _axes(x: tuple[float, float], y: tuple[float, float], x_label: str, y_label: str) -> str:
    parts = []
    for share in np.linspace(0, 1, 6):
        px = LEFT + share * (WIDTH - LEFT - RIGHT)
        py = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        x_value, y_value = x[0] + share * (x[1] - x[0]), y[0] + share * (y[1] - y[0])
        parts.append(
            f'<line class="grid" x1="{px:.1f}" y1="{TOP}" x2="{px:.1f}" y2="{HEIGHT - BOTTOM}"/>'
            f'<line class="grid" x1="{LEFT}" y1="{py:.1f}" x2="{WIDTH - RIGHT}" y2="{py:.1f}"/>'
            f'<text class="tick" x="{px:.1f}" y="{HEIGHT - BOTTOM + 17}">{x_value:.2f}</text>'
            f'<text class="tick y" x="{LEFT - 7}" y="{py + 4:.1f}">{y_value:.2f}</text>'
        )
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="axis" x="{middle_x}" y="{HEIGHT - 8}">{escape(x_label)}</text>'
        f'<text class="axis" transform="translate(13 {middle_y}) rotate(-90)">'
        f"{escape(y_label)}</text>"
    )
    return "".join(parts)


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = max(high - low, 1e-6) * 0.03
    return low - room, high + room


def _svg(width: int, height: int, title: str, body: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title, {chr(34): "&quot;"})}">{body}</svg>'
    )
