"""Summarise rows of photos into the figures of a data set, each with a bootstrap interval.

Photos are resampled, because crops of one photo are not independent. A photo's value is the mean
over its people where it has several.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.lab.evaluation.catalogue import MEASURES, OURS, measure_of, shape_key
from pipeline.lab.evaluation.fairness import fairness, integrity
from pipeline.lab.evaluation.intervals import Interval, IntervalOf, bootstrap, holds_0
from pipeline.lab.evaluation.photo import Row
from pipeline.lab.evaluation.reliability import confidence_figures
from pipeline.lab.evaluation.slices import ORDER
from pipeline.words import counted

if TYPE_CHECKING:
    from pandas import DataFrame

SLICE_MEASURES = ("iou", "srcc", "acc5", "gaze_kept", "heads_out", "any violation")

IntervalTable = dict[str, dict[str, Interval]]  # method -> measure -> interval


def summarise(rows: Sequence[Row], resamples: int, seed: int) -> dict[str, Any]:
    """Compute all figures of a run from rows of status ok; count the others by status."""
    interval = bootstrap(resamples, seed)
    judged = [row for row in rows if row["status"] == "ok"]
    values = measurements(judged)
    tagged = {tag: [row["id"] for row in judged if tag in row.get("tags", ())] for tag in ORDER}
    shown = values[values.measure.isin(SLICE_MEASURES)]
    paired = table(differences(values), interval)
    return {
        "photos": len(rows),
        "statuses": dict(Counter(row["status"] for row in rows).most_common()),
        "measures": table(values, interval),
        "differences": paired,
        "verdicts": verdicts(paired),
        "slices": {
            tag: {"photos": len(ids), "measures": table(shown[shown.photo.isin(ids)], interval)}
            for tag, ids in tagged.items()
            if ids
        },
        "confidence": confidence_figures(judged, resamples, seed),
        "integrity": integrity(rows, interval),
        "fairness": fairness(rows, interval),
    }


def not_judged(rows: Sequence[Row]) -> Iterator[tuple[str, int, str]]:
    """Yield status, number of photos and words for each reason why photos have no figures.

    The commonest comes first. The words are for people, and tell the message of the first photo.
    """
    statuses = Counter(row["status"] for row in rows if row["status"] != "ok")
    for status, count in statuses.most_common():
        first = next(row for row in rows if row["status"] == status)
        why = status.replace("_", " ")
        told = f"{counted(count, 'photo')}, {why}; {first['id']}: {first['message']}"
        yield status, count, told


def measurements(rows: Sequence[Row]) -> "DataFrame":
    """Tabulate every figure of every photo: columns photo, method, measure, value."""
    from pandas import DataFrame  # slow to import

    records = [
        (row["id"], method, measure, value)
        for row in rows
        for method, measured in photo_values(row).items()
        for measure, value in measured.items()
    ]
    return DataFrame(records, columns=["photo", "method", "measure", "value"])


def differences(values: "DataFrame") -> "DataFrame":
    """Subtract each other method from ours, photo by photo, in the columns of `measurements`."""
    ours, others = values[values.method == OURS], values[values.method != OURS]
    paired = others.merge(ours, on=["photo", "measure"], suffixes=("", "_ours"))
    return paired.assign(value=paired.value_ours - paired.value)


def table(values: "DataFrame", interval: IntervalOf) -> IntervalTable:
    """Compute the interval of each method and measure over all photos that have it."""
    found: IntervalTable = {}
    for (method, measure), part in values.groupby(["method", "measure"], sort=False):
        found.setdefault(str(method), {})[str(measure)] = interval(part.value)
    return found


def photo_values(row: Row) -> dict[str, dict[str, float]]:
    """Map method -> measure -> value for one photo."""
    values: dict[str, dict[str, float]] = {}
    if scored := row.get("scored"):
        for method, measured in scored["measures"].items():
            values.setdefault(method, {}).update(measured)
    if human := row.get("human"):
        for method, lists in human["measures"].items():
            means = {name: float(np.mean(people)) for name, people in lists.items()}
            values.setdefault(method, {}).update(means)
        if human["free"]:
            values.setdefault(OURS, {}).update(human["free"]["measures"])
    for method, shapes in row.get("shapes", {}).items():
        measured = {name: judged["measures"] for name, judged in shapes.items()}
        values.setdefault(method, {}).update(over_shapes(measured))
    return values


def over_shapes(measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return each measure's mean over the shapes and, if it is reported by shape, each value."""
    names = next(iter(measured.values()), {})
    means = {name: float(np.mean([of[name] for of in measured.values()])) for name in names}
    return means | {
        shape_key(name, shape): of[name]
        for name in names
        if MEASURES[name].per_shape
        for shape, of in measured.items()
    }


def verdicts(differences: IntervalTable) -> dict[str, dict[str, str]]:
    """Compare ours with each other method: method -> measure -> better, worse or level.

    Level means that the interval of the paired difference contains 0, or is of one photo, which
    says nothing of others.
    """
    return {
        method: {
            measure: _verdict(value, measure_of(measure).lower)
            for measure, value in measured.items()
        }
        for method, measured in differences.items()
    }


def _verdict(difference: Interval, lower: bool) -> str:
    if difference["photos"] < 2 or holds_0(difference):
        return "level"
    return "better" if (difference["mean"] > 0) != lower else "worse"


def keys_of(summary: Mapping[str, Any]) -> list[str]:
    """List all measures of a page, in the catalogue's order, single shapes after their mean."""
    found = dict.fromkeys(key for of in summary["measures"].values() for key in of)
    shown = [key for key in found if measure_of(key).on_page]
    return sorted(shown, key=lambda key: list(MEASURES.values()).index(measure_of(key)))


def sort_measure(summary: Mapping[str, Any]) -> str | None:
    """Return the measure by which best and worst photos are shown; None where nothing is judged.

    It follows from the kind of labels of the data set, not from which figure matters most.
    """
    measured = summary["measures"].get(OURS, {})
    order = ("iou", "srcc", "gaze_kept", "heads_out", "any violation")
    return next((name for name in order if name in measured), None)
