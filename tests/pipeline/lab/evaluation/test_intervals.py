"""Confidence intervals: edge cases by hand, one share for all, and undefined figures."""

import math

import numpy as np
import pytest

from pipeline.lab.evaluation import intervals
from pipeline.lab.evaluation.calibration import with_interval
from pipeline.lab.evaluation.intervals import bootstrap, percentile_interval
from pipeline.lab.evaluation.tables import glance


def test_the_edges_by_hand() -> None:
    """Of 0 … 1000 a fortieth lies below 25, and as much above 975."""
    drawn = np.random.default_rng(0).permutation(1001).astype(float)
    told = percentile_interval(400.5, drawn, 7)
    assert told == {"mean": 400.5, "low": 25, "high": 975, "photos": 7}


def test_resamples_without_a_figure_do_not_count() -> None:
    told = percentile_interval(2, np.array([np.nan, 1, 1, np.nan, 1]), 3)
    assert told == {"mean": 2, "low": 1, "high": 1, "photos": 3}
    for value, drawn in ((2.0, [np.nan, np.nan]), (np.nan, [1.0, 1.0])):
        told = percentile_interval(value, np.array(drawn), 3)
        assert math.isnan(told["low"])
        assert math.isnan(told["high"])


def test_all_figures_have_intervals_of_one_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nothing but the middle both edges are the median of what was drawn."""
    monkeypatch.setattr(intervals, "INTERVAL_PERCENT", 0)
    values = np.arange(9.0)
    mean = bootstrap(resamples=99, seed=1)(values)
    weighted = with_interval(
        lambda confidence, accepted, weights: float(confidence @ weights / weights.sum()),
        values, values, np.ones(9), [str(n) for n in range(9)], resamples=99, seed=1,
    )  # fmt: skip
    assert mean["low"] == mean["high"]
    assert weighted["low"] == weighted["high"]


@pytest.mark.parametrize(("photos", "resamples"), [(1, 99), (5, 99), (4000, 99), (300_000, 5)])
def test_parts_of_the_resamples_are_those_drawn_together(photos: int, resamples: int) -> None:
    """4,000 photos are drawn for 65 resamples at a time, and 300,000 for one."""
    values = np.random.default_rng(photos).random(photos)
    drawn = np.random.default_rng(7).integers(0, photos, (resamples, photos))
    means = values[drawn].mean(axis=1)
    assert bootstrap(resamples, seed=7)(values) == percentile_interval(
        float(values.mean()), means, photos
    )


def test_the_page_tells_the_share() -> None:
    assert intervals.INTERVAL_PERCENT == 95
    report = {"measures": {}, "verdicts": {}}
    assert "the 95 % bootstrap interval of the difference" in glance(report).note
