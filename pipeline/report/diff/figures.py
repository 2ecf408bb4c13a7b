"""Count what changed between two runs, in total and by slice."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from pipeline import schema
from pipeline.report.diff.compare import CHANGED_PHOTO, CHANGES, MOVED, ComparedRuns

SLICES = {"ratio": "shape", "kind": "kind", "format": "format", "size": "size", "prefix": "folder"}
MOST_VALUES = 40  # values shown of a slice, the most frequent ones
BINS = 20  # of the histogram of overlaps
SHARES = (0.9, 0.7, 0.5)  # overlaps below which crops are counted
DIGITS = 4
_AVERAGED = ("iou", "delta", "delta_same_content")  # of a slice's crops


class DiffFigures:
    """The figures of two runs, from the parts added so far."""

    def __init__(self) -> None:
        self._changes: Counter[str] = Counter()
        self._below: Counter[float] = Counter()
        self._histogram = np.zeros(BINS, np.int64)
        self._means = {
            name: _Mean() for name in ("overlap", "old", "new", "delta", "delta_same_content")
        }
        self._verdicts, self._reasons = _BeforeAndAfter("verdict"), _BeforeAndAfter("reason")
        self._errors: Counter[tuple[str, str]] = Counter()
        self._slices: dict[str, pd.DataFrame] = {}

    def add(self, compared: ComparedRuns) -> None:
        """Add the photos of a part; each photo is in one part."""
        crops = compared.crops.assign(**_deltas(compared.crops))
        overlap = crops["iou"].dropna()
        self._changes.update(_counts(crops["change"]))
        self._below.update({share: int((overlap < share).sum()) for share in SHARES})
        self._histogram += np.histogram(overlap, bins=BINS, range=(0.0, 1.0))[0]
        columns = {"overlap": "iou", "old": "confidence_old", "new": "confidence_new"}
        for name, mean in self._means.items():
            mean.add(crops[columns.get(name, name)])
        for counts in (self._verdicts, self._reasons):
            counts.add(crops)
        self._errors.update(errors_of(compared.photos))
        for column in SLICES:
            sums = slice_sums(crops, column)
            known = self._slices.get(column)
            self._slices[column] = sums if known is None else known.add(sums, fill_value=0)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as JSON values.

        confidence: means of all crops, and of the change of those that have one in both runs, once
        with and once without those of photos whose content changed; and how many these are.
        slices: of the most frequent values. slice_values: how many values there are.
        """
        means = self._means
        return {
            "changes": {name: self._changes[name] for name in CHANGES},
            "overlap": {
                "mean": means["overlap"].value,
                "below": {str(share): self._below[share] for share in SHARES},
                "histogram": self._histogram.tolist(),
            },
            "confidence": {
                "old": means["old"].value,
                "new": means["new"].value,
                "delta": means["delta"].value,
                "both": means["delta"].count,
                "delta_same_content": means["delta_same_content"].value,
                "both_same_content": means["delta_same_content"].count,
            },
            "verdicts": self._verdicts.as_dict(),
            "reasons": self._reasons.as_dict(),
            "errors": self._error_counts(),
            "slices": {
                words: slice_figures(self._slices[column]) if column in self._slices else []
                for column, words in SLICES.items()
            },
            "slice_values": {
                words: len(self._slices[column]) if column in self._slices else 0
                for column, words in SLICES.items()
            },
        }

    def _error_counts(self) -> dict[str, dict[str, int]]:
        """Count by reason the photos that began or ceased to fail, or fail for another reason."""
        counts: dict[str, dict[str, int]] = {name: {} for name in ("new", "gone", "other")}
        for (change, status), count in self._errors.items():
            counts[change][status] = count
        return counts


class _Mean:
    """The mean of the values that are not missing."""

    def __init__(self) -> None:
        self.count, self._sum = 0, 0.0

    def add(self, values: pd.Series) -> None:
        known = pd.to_numeric(values).dropna()
        self.count, self._sum = self.count + len(known), self._sum + float(known.sum())

    @property
    def value(self) -> float | None:
        """The mean, rounded; None without values."""
        return round(self._sum / self.count, DIGITS) if self.count else None


class _BeforeAndAfter:
    """How often each value of a column of crops occurs in the old and in the new run."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())

    def add(self, crops: pd.DataFrame) -> None:
        for counts, run in zip(self._counts, ("old", "new"), strict=True):
            counts.update(_counts(crops[f"{self._column}_{run}"]))

    def as_dict(self) -> dict[str, list[int]]:
        was, now = self._counts
        return {str(name): [was[name], now[name]] for name in sorted({*was, *now})}


def _counts(texts: pd.Series) -> dict[str, int]:
    """Count the values that are not missing."""
    return {str(text): int(count) for text, count in texts.value_counts().items()}


def _deltas(crops: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the change of confidence of each crop that has one in both runs, else NaN."""
    delta = pd.to_numeric(crops["confidence_new"]) - pd.to_numeric(crops["confidence_old"])
    same_content = crops["change"] != CHANGED_PHOTO
    return {"delta": delta, "delta_same_content": delta.where(same_content)}


def slice_sums(crops: pd.DataFrame, column: str) -> pd.DataFrame:
    """Sum up the crops by the values of a column; sums of several parts can be added.

    crops: with the columns of `_deltas`.
    """
    summed = pd.DataFrame(
        {
            column: crops[column],
            "crops": 1,
            "moved": crops["change"] == MOVED,
            **{f"review_{run}": crops[f"verdict_{run}"] == "review" for run in ("old", "new")},
            **{f"sum_{name}": crops[name] for name in _AVERAGED},
            **{f"count_{name}": crops[name].notna() for name in _AVERAGED},
        }
    )
    return summed.groupby(column, sort=True).sum()


def slice_figures(sums: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the figures of a slice's most frequent values; compared: crops with an overlap."""
    most = sums.sort_values("crops", ascending=False, kind="stable").head(MOST_VALUES)
    return [
        {
            "name": str(name),
            "crops": int(row["crops"]),
            "compared": int(row["count_iou"]),
            "moved": int(row["moved"]),
            "overlap": _mean(row, "iou"),
            "confidence_delta": _mean(row, "delta"),
            "confidence_delta_same_content": _mean(row, "delta_same_content"),
            "review_old": int(row["review_old"]),
            "review_new": int(row["review_new"]),
        }
        for name, row in most.iterrows()
    ]


def _mean(row: pd.Series, name: str) -> float | None:
    count = int(row[f"count_{name}"])
    return round(float(row[f"sum_{name}"]) / count, DIGITS) if count else None


def errors_of(photos: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Count photos whose failure changed, by its change, see `error_change`, and its reason.

    The reason is that of the new run; for photos that no longer fail, of the old one.
    """
    change = error_change(photos)
    reason = photos["status_new"].where(change != "gone", photos["status_old"])
    counts = Counter(zip(change, map(str, reason), strict=True))
    return {key: count for key, count in counts.items() if key[0]}


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
