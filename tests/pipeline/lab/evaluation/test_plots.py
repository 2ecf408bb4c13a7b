"""The plots, read like a person does: places are compared with the numbers at the axes."""

import numpy as np
import pytest

from pipeline.lab.evaluation.plots import Bar, bars, reliability_plot, scatter
from tests.support.plots import lines, markers, rectangles, texts, ticks, values

COLOUR, OTHER, THIRD, BLACK = "#102030", "#405060", "#708090", "#000000"


def test_scatter_shows_each_point_at_its_numbers() -> None:
    svg = scatter([0, 1, 2], [5, 9, 7], "people", "network", COLOUR)
    assert values(svg, markers(svg, COLOUR)) == pytest.approx(
        np.array([[0, 5], [1, 9], [2, 7]]), abs=0.01
    )
    assert {"people", "network"} <= texts(svg).keys()
    assert texts(svg)["people"][1] > texts(svg)["network"][1]  # below, and at the side
    assert "<title>network against people</title>" in svg
    assert len(lines(svg, "stroke: #808080")) == 0


def test_the_diagonal_is_where_both_are_the_same() -> None:
    svg = scatter([0.2, 0.9], [0.4, 0.6], "a", "b", COLOUR, diagonal=True)
    assert len(markers(svg, COLOUR)) == 2
    (ends,) = values(svg, lines(svg, "stroke: #808080"))
    assert ends[:, 0] == pytest.approx(ends[:, 1], abs=0.01)
    across, up = (np.polyfit(*ticks(svg, axis).T[::-1], 1)[0] for axis in "xy")
    assert across == pytest.approx(-up, rel=0.01)  # a step is as long along either axis


def test_of_many_points_4000_are_drawn_from_the_first_to_the_last() -> None:
    many = np.arange(50_000)
    svg = scatter(many, many, "x", "y", COLOUR)
    drawn = values(svg, markers(svg, COLOUR))[:, 0]
    assert len(drawn) == 4000
    assert (drawn[0], drawn[-1]) == pytest.approx((0, 49_999), abs=5)
    assert np.diff(drawn).max() == pytest.approx(12.5, abs=2)


def test_bars_are_as_long_as_their_values_and_lines_as_their_intervals() -> None:
    made = [Bar("one", 0.5, 0.4, 0.7, COLOUR), Bar("two", 0.25, 0.3, 0.35, OTHER)]
    svg = bars([("first", made), ("second <b>", [Bar("three", -0.1, -0.3, -0.2, THIRD)])], "name")
    assert "<title>name</title>" in svg
    assert "second &lt;b&gt;" in svg
    across = np.polyfit(*ticks(svg, "x").T, 1)
    ends = {colour: np.polyval(across, rectangles(svg, colour)[0, [0, 2]])
            for colour in (COLOUR, OTHER, THIRD)}  # fmt: skip
    assert ends[COLOUR] == pytest.approx([0, 0.5], abs=0.002)
    assert ends[OTHER] == pytest.approx([0, 0.25], abs=0.002)
    assert ends[THIRD] == pytest.approx([-0.1, 0], abs=0.002)
    # An interval that does not hold the mean is drawn from the mean to its far end.
    told = np.polyval(across, lines(svg, f"stroke: {BLACK}; stroke-width: 1.5")[..., 0])
    assert told == pytest.approx(np.array([[0.4, 0.7], [0.25, 0.35], [-0.3, -0.1]]), abs=0.002)


def test_bars_are_listed_from_the_top_with_names_and_figures() -> None:
    made = [Bar("one", 0.5, 0.4, 0.7, COLOUR), Bar("two", 0.25, 0.2, 0.3, OTHER)]
    svg = bars([("first", made), ("second", [Bar("three", -0.1, -0.3, -0.2, THIRD)])], "name")
    told = texts(svg)
    rows = [told[name][1] for name in ("first", "one", "two", "second", "three")]
    assert rows == sorted(rows)
    middles = [rectangles(svg, colour)[0, [1, 3]].mean() for colour in (COLOUR, OTHER, THIRD)]
    one_line, to_the_next_group = np.diff(middles)
    assert to_the_next_group == pytest.approx(2.5 * one_line, rel=0.01)
    # The figure stands in the bar's line, behind the interval or the axis.
    for name, figure, end, colour in (
        ("one", "0.500", 0.7, COLOUR), ("two", "0.250", 0.3, OTHER), ("three", "-0.100", 0, THIRD)
    ):  # fmt: skip
        _, top, _, bottom = rectangles(svg, colour)[0]
        assert bottom - top < one_line
        assert top < told[name][1] < bottom
        assert top < told[figure][1] < bottom
        behind = np.polyval(np.polyfit(*ticks(svg, "x").T, 1), told[figure][0])
        assert behind == pytest.approx(end, abs=0.002)
    assert bars([("first", made)], "name") == bars([("first", made)], "name")  # equal files


def test_the_reliability_plot_shows_each_bin_with_its_interval() -> None:
    bins = [
        {"confidence": 0.2, "accepted": 0.3, "low": 0.1, "high": 0.5, "share": 0.25},
        {"confidence": 0.6, "accepted": 0.5, "low": 0.55, "high": 0.7, "share": 0.75},
    ]
    svg = reliability_plot(bins, COLOUR)
    # The lower ends of both intervals, the upper ones, and the bins themselves.
    drawn = values(svg, markers(svg, COLOUR)).reshape(3, 2, 2)
    expected = [[[0.2, 0.1], [0.6, 0.5]], [[0.2, 0.5], [0.6, 0.7]], [[0.2, 0.3], [0.6, 0.5]]]
    assert drawn == pytest.approx(np.array(expected), abs=0.01)
    ends = [*zip(drawn[0], drawn[1], strict=True), drawn[2]]
    joined = values(svg, lines(svg, f"stroke: {COLOUR}"))  # the ends of each, and the bins
    assert joined == pytest.approx(np.array(ends), abs=0.01)
    (diagonal,) = values(svg, lines(svg, "stroke: #808080"))
    assert diagonal == pytest.approx(np.array([[0, 0], [1, 1]]), abs=0.01)
    assert {"accepted by people", "confidence", "crops"} <= texts(svg).keys()
    # Below, bars of the crops: a quarter of them from 0 to .4, the others from there to 1.
    bottoms = rectangles(svg, COLOUR)
    edges = values(svg, bottoms.reshape(-1, 2, 2))[..., 0]
    assert edges == pytest.approx(np.array([[0, 0.4], [0.4, 1]]), abs=0.01)
    heights = bottoms[:, 3] - bottoms[:, 1]
    assert heights[1] / heights[0] == pytest.approx((0.75 / 0.6) / (0.25 / 0.4), rel=0.01)
    assert bottoms[:, 1].min() > ticks(svg, "y")[:, 0].max()


def test_a_single_bin_is_drawn() -> None:
    one = {"confidence": 1.0, "accepted": 0.5, "low": 0.5, "high": 0.5, "share": 1.0}
    svg = reliability_plot([one], COLOUR)
    assert values(svg, markers(svg, COLOUR))[-1] == pytest.approx([1, 0.5], abs=0.01)
    assert len(rectangles(svg, COLOUR)) == 1
