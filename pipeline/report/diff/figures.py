"""Count what changed between two runs, in total and by slice."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from pipeline import schema
from pipeline.report.diff.compare import CHANGES, MOVED, ComparedRuns

SLICES = {"ratio": "shape", "kind": "kind", "format": "format", "size": "size", "prefix": "folder"}
MOST_VALUES = 40  # values shown of a slice, the most frequent ones
BINS = 20  # of the histogram of overlaps
SHARES = (0.9, 0.7, 0.5)  # overlaps below which crops are counted
DIGITS = 4


def diff_figures(compared: ComparedRuns) -> dict[str, Any]:
    """Compute all figures, as JSON values."""
    crops = compared.crops
    overlap = crops["iou"].dropna()
    delta = crops["confidence_new"] - crops["confidence_old"]  # of crops with one in both runs
    return {
        "changes": {name: int((crops["change"] == name).sum()) for name in CHANGES},
        "overlap": {
            "mean": _mean(overlap),
            "below": {str(share): int((overlap < share).sum()) for share in SHARES},
            "histogram": np.histogram(overlap, bins=BINS, range=(0.0, 1.0))[0].tolist(),
        },
        "confidence": {
            "old": _mean(crops["confidence_old"]),
            "new": _mean(crops["confidence_new"]),
            "delta": _mean(delta),
            "both": int(delta.notna().sum()),
        },
        "verdicts": _before_and_after(crops, "verdict"),
        "reasons": _before_and_after(crops, "reason"),
        "errors": error_figures(compared.photos),
        "slices": {
            words: [slice_figures(name, part) for name, part in _parts(crops, column)]
            for column, words in SLICES.items()
        },
    }


def slice_figures(name: str, part: pd.DataFrame) -> dict[str, Any]:
    """Compute the figures of one slice's crops. compared: those that have an overlap."""
    overlap = part["iou"].dropna()
    return {
        "name": name,
        "crops": len(part),
        "compared": len(overlap),
        "moved": int((part["change"] == MOVED).sum()),
        "overlap": _mean(overlap),
        "confidence_delta": _mean(part["confidence_new"] - part["confidence_old"]),
        "review_old": int((part["verdict_old"] == "review").sum()),
        "review_new": int((part["verdict_new"] == "review").sum()),
    }


def error_figures(photos: pd.DataFrame) -> dict[str, Any]:
    """Count by reason the photos that began or ceased to fail, or fail for another reason."""
    change = error_change(photos)
    reason = photos["status_new"].where(change != "gone", photos["status_old"])
    counts: dict[str, Any] = {name: {} for name in ("new", "gone", "other")}
    for (name, status), count in Counter(zip(change, reason, strict=True)).items():
        if name:
            counts[name][str(status)] = count
    return counts


def error_change(photos: pd.DataFrame) -> pd.Series:
    """Return for each photo "new", "gone", "other" (reason), or "" if nothing changed."""
    was, now = photos["status_old"], photos["status_new"]
    both = was.notna() & now.notna()
    failed_before, fails_now = (~status.isin(schema.NOT_FAILED) for status in (was, now))
    change = pd.Series("", index=photos.index)
    change[both & ~failed_before & fails_now] = "new"
    change[both & failed_before & ~fails_now] = "gone"
    change[both & failed_before & fails_now & (was != now)] = "other"
    return change


def _before_and_after(crops: pd.DataFrame, column: str) -> dict[str, list[int]]:
    """Count how often each value occurs in the old and in the new run."""
    was, now = (crops[f"{column}_{run}"].value_counts() for run in ("old", "new"))
    names = sorted({*was.index, *now.index})
    return {str(name): [int(was.get(name, 0)), int(now.get(name, 0))] for name in names}


def _parts(crops: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """Group the crops by a column's values, the most frequent first."""
    parts = [(str(name), part) for name, part in crops.groupby(column, sort=True)]
    return sorted(parts, key=lambda part: -len(part[1]))[:MOST_VALUES]


def _mean(values: pd.Series) -> float | None:
    """Return the mean of the values that are not missing; None if all are."""
    known = pd.to_numeric(values).dropna()
    return round(float(known.mean()), DIGITS) if len(known) else None
