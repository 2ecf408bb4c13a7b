"""From rows of photos to the figures of a data set, each with a bootstrap interval.

The unit that is resampled is the photo: crops of one photo are not independent. A photo's value
is the mean over its people where it has several.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.lab.evaluation.fairness import fairness, integrity
from pipeline.lab.evaluation.photo import OURS, Row
from pipeline.lab.evaluation.slices import ORDER

SLICE_MEASURES = ("iou", "srcc", "acc5")
LEVEL = 95  # percent of the bootstrap distribution inside an interval

Interval = dict[str, float]  # mean, low, high, photos
PhotoValues = dict[str, dict[str, dict[str, float]]]  # photo id -> method -> measure -> value


def summarise(rows: Sequence[Row], resamples: int, seed: int) -> dict[str, Any]:
    """All figures of a run. Only rows of status ok count; the others are counted by status."""
    interval = bootstrap(resamples, seed)
    values = {row["id"]: photo_values(row) for row in rows if row["status"] == "ok"}
    found = {tag for row in rows for tag in row.get("tags", ())}
    return {
        "photos": len(rows),
        "statuses": dict(Counter(row["status"] for row in rows).most_common()),
        "measures": table(values, interval),
        "differences": differences(values, interval),
        "slices": {
            tag: slice_table(values, {r["id"] for r in rows if tag in r.get("tags", ())}, interval)
            for tag in ORDER
            if tag in found
        },
        "integrity": integrity(rows, interval),
        "fairness": fairness(rows, interval),
    }


def photo_values(row: Row) -> dict[str, dict[str, float]]:
    """method -> measure -> value of one photo."""
    values: dict[str, dict[str, float]] = {}
    if row["scored"]:
        for method, measured in row["scored"]["measures"].items():
            values.setdefault(method, {}).update(measured)
    if row["human"]:
        for method, lists in row["human"]["measures"].items():
            means = {name: float(np.mean(people)) for name, people in lists.items()}
            values.setdefault(method, {}).update(means)
        values.setdefault(OURS, {}).update(row["human"]["free"]["measures"])
    return values


def table(
    values: PhotoValues, interval: Callable[[Iterable[float]], Interval]
) -> dict[str, dict[str, Interval]]:
    """method -> measure -> interval over all photos that have it."""
    columns: dict[tuple[str, str], list[float]] = {}
    for methods in values.values():
        for method, measured in methods.items():
            for name, value in measured.items():
                columns.setdefault((method, name), []).append(value)
    result: dict[str, dict[str, Interval]] = {}
    for (method, name), column in columns.items():
        result.setdefault(method, {})[name] = interval(column)
    return result


def differences(
    values: PhotoValues, interval: Callable[[Iterable[float]], Interval]
) -> dict[str, dict[str, Interval]]:
    """Ours minus each other method, photo by photo: method -> measure -> interval."""
    paired: PhotoValues = {}
    for photo, methods in values.items():
        ours = methods.get(OURS, {})
        paired[photo] = {
            method: {name: ours[name] - value for name, value in measured.items() if name in ours}
            for method, measured in methods.items()
            if method != OURS
        }
    return table(paired, interval)


def slice_table(
    values: PhotoValues, photos: set[str], interval: Callable[[Iterable[float]], Interval]
) -> dict[str, Any]:
    """The main measures over some of the photos."""
    own = {
        photo: {
            method: {name: value for name, value in measured.items() if name in SLICE_MEASURES}
            for method, measured in methods.items()
        }
        for photo, methods in values.items()
        if photo in photos
    }
    return {"photos": len(own), "measures": table(own, interval)}


def bootstrap(resamples: int, seed: int) -> Callable[[Iterable[float]], Interval]:
    """A function from values to their mean and the percentile interval of the mean.

    Every call draws from the same seed, so a figure does not depend on which were made before.
    """

    def interval(values: Iterable[float]) -> Interval:
        column = np.fromiter(values, np.float64)
        drawn = np.random.default_rng(seed).integers(0, len(column), (resamples, len(column)))
        edges = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)
        low, high = np.percentile(column[drawn].mean(axis=1), edges)
        return {
            "mean": float(column.mean()),
            "low": float(low),
            "high": float(high),
            "photos": len(column),
        }

    return interval


def main_measure(summary: Mapping[str, Any]) -> str | None:
    """iou where people drew crops, else srcc where they scored them, else None."""
    ours = summary["measures"].get(OURS, {})
    return next((name for name in ("iou", "srcc") if name in ours), None)
