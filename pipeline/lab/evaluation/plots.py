"""The report's plots, drawn by matplotlib as SVG to stand inside an HTML page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 4000  # more only slow down the page
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "report",  # equal figures give equal files
}


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
    """SVG of points (x, y), at most MAX_POINTS of them, evenly picked; `diagonal` draws y = x."""
    figure = _figure(4.2)
    axes = figure.subplots()
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    picked = np.linspace(0, len(xs) - 1, min(len(xs), MAX_POINTS)).astype(int)
    few = len(picked) <= 500
    axes.plot(
        xs[picked], ys[picked], "o", color=colour, markeredgewidth=0,
        markersize=6 if few else 3, alpha=0.6 if few else 0.35,
    )  # fmt: skip
    if diagonal:
        axes.axline((0.5, 0.5), slope=1, color="grey", linestyle="--", linewidth=1)
        axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    return _svg(figure, f"{y_label} against {x_label}")


def bars(groups: Sequence[tuple[str, Sequence[Bar]]], title: str) -> str:
    """SVG of horizontal bars with intervals, one block a group, the first one on top."""
    rows = sum(len(group) + 1.5 for _, group in groups)
    figure = _figure(0.6 + 0.22 * rows)
    axes = figure.subplots()
    axes.set_axisbelow(True)
    axes.grid(axis="x", alpha=0.3)
    row, ticks = 0.0, []
    for name, group in groups:
        axes.text(
            0, row, name, fontweight="bold", va="center", transform=axes.get_yaxis_transform()
        )
        for bar in group:
            row += 1
            ticks.append((row, bar.label))
            spread = [[max(0.0, bar.mean - bar.low)], [max(0.0, bar.high - bar.mean)]]
            axes.barh(row, bar.mean, color=bar.colour, xerr=spread, height=0.75)
            axes.text(max(bar.high, 0.0), row, f" {bar.mean:.3f}", va="center")
        row += 1.5
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    axes.set_ylim(row - 0.5, -0.75)
    axes.margins(x=0.12)
    return _svg(figure, title)


def _figure(height_in: float) -> "Figure":
    from matplotlib.figure import Figure  # slow to import

    return Figure(figsize=(5.6, height_in), layout="constrained")


def _svg(figure: "Figure", title: str) -> str:
    """The figure as an <svg> element that is as wide as its place and names itself."""
    from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(
            stream, format="svg", metadata={"Creator": None, "Date": None, "Title": title}
        )
    return stream.getvalue()[stream.getvalue().index("<svg") :]
