"""The report's plots, drawn by matplotlib as SVG for embedding in an HTML page."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 4000  # more would only slow down the page
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "report",  # equal figures give equal files
}


@dataclass(frozen=True)
class Bar:
    """A value with its interval, in a colour."""

    label: str
    mean: float
    low: float
    high: float
    colour: str


def scatter(
    x: ArrayLike, y: ArrayLike, x_label: str, y_label: str, colour: str, diagonal: bool = False
) -> str:
    """Draw points (x, y) as SVG, at most MAX_POINTS, evenly picked; `diagonal` adds y = x."""
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
    """Draw horizontal bars with intervals as SVG, one block per group, the first on top."""
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


def reliability_plot(bins: Sequence[Mapping[str, float]], colour: str) -> str:
    """Draw the share accepted over confidence as SVG, one point per bin with interval, and y = x.

    bins: `confidence`, `accepted`, `low`, `high`, and `share`, the bin's share of all weight, which
    is drawn as a bar over the confidences it spans.
    """
    figure = _figure(4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    confidence = np.array([each["confidence"] for each in bins])
    accepted = np.array([each["accepted"] for each in bins])
    spread = [
        [max(0.0, each["accepted"] - each["low"]) for each in bins],
        [max(0.0, each["high"] - each["accepted"]) for each in bins],
    ]
    upper.axline((0.5, 0.5), slope=1, color="grey", linestyle="--", linewidth=1)
    upper.errorbar(
        confidence, accepted, yerr=spread, fmt="o-", color=colour, capsize=3, linewidth=1
    )
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1)
    upper.set_ylabel("accepted by people")
    upper.grid(alpha=0.3)
    edges = np.concatenate([[0.0], (confidence[1:] + confidence[:-1]) / 2, [1.0]])
    density = [each["share"] for each in bins] / np.maximum(np.diff(edges), 1e-6)
    lower.bar(edges[:-1], density, np.diff(edges), align="edge", color=colour, alpha=0.4)
    lower.set_ylabel("crops")
    lower.set_yticks([])
    lower.set_xlabel("confidence")
    return _svg(figure, "Reliability: share of crops accepted against their confidence")


def _figure(height_in: float) -> "Figure":
    from matplotlib.figure import Figure  # slow to import

    return Figure(figsize=(5.6, height_in), layout="constrained")


def _svg(figure: "Figure", title: str) -> str:
    """Return the figure as an <svg> element with a title, to a screen reader one picture."""
    from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(
            stream, format="svg", metadata={"Creator": None, "Date": None, "Title": title}
        )
    svg = stream.getvalue()
    return '<svg role="img"' + svg[svg.index("<svg") + len("<svg") :]
