"""Parity between groups of people in the crops, and integrity of objects.

Parity is pairwise (after Yee, Tantipongpipat and Mishra, "Image Cropping on Twitter", CSCW 2021):
it compares how much a crop keeps of two people of different groups in one photo. A crop favours a
person if the share of their box that it shows is larger by more than 5 points. The advantage of a
group over another is the share of decisions for it minus the share against it: 0 is parity.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from pipeline.lab.evaluation.intervals import IntervalOf, holds_0
from pipeline.lab.evaluation.photo import Row

FAVOUR_MARGIN = 0.05  # ours: difference of two people's shares, about the error of detected boxes
LOST_BELOW, WHOLE_FROM = 0.05, 0.95  # ours, for the same reason


def fairness(rows: Sequence[Row], interval: IntervalOf) -> list[dict[str, Any]]:
    """Compute an entry for each method and pair of groups that occur together in a photo.

    first, second: the groups. first_kept, second_kept, alike: shares of the decisions (photo ×
    shape × pair of people). advantage: of the first over the second, an interval over photos.
    parity: whether that holds 0; None if it is of one photo.
    """
    from pandas import DataFrame  # slow to import

    columns = ["method", "first", "second", "photo", "vote"]
    votes = DataFrame([vote for row in _followed(rows) for vote in _votes(row)], columns=columns)
    entries = []
    for (method, first, second), decided in votes.groupby(columns[:3], sort=False):
        advantage = interval(decided.groupby("photo").vote.mean())
        entries.append(
            {
                "method": method,
                "first": first,
                "second": second,
                "decisions": len(decided),
                "first_kept": float((decided.vote > 0).mean()),
                "second_kept": float((decided.vote < 0).mean()),
                "alike": float((decided.vote == 0).mean()),
                "advantage": advantage,
                "parity": None if advantage["photos"] < 2 else holds_0(advantage),
            }
        )
    return entries


def integrity(rows: Sequence[Row], interval: IntervalOf) -> dict[str, dict[str, Any]]:
    """Map methods to whole, cut, lost: shares of followed boxes, mean over shapes, then photos."""
    from pandas import DataFrame

    shares = DataFrame(
        [
            (method, (kept >= WHOLE_FROM).mean(), (kept < LOST_BELOW).mean())
            for row in _followed(rows)
            for method, shapes in row["kept"]["shares"].items()
            for kept in [np.array(list(shapes.values()))]  # [shapes, boxes]
        ],
        columns=["method", "whole", "lost"],
    )
    shares["cut"] = 1 - shares.whole - shares.lost
    return {
        str(method): {name: interval(part[name]) for name in ("whole", "cut", "lost")}
        for method, part in shares.groupby("method", sort=False)
    }


def _followed(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.get("kept") and row["kept"]["groups"]]


def _votes(row: Row) -> list[tuple[str, str, str, str, int]]:
    """List a vote per method, shape and pair of people of two groups; 1 is for the first group."""
    groups = row["kept"]["groups"]
    pairs = list(combinations(sorted({group for group in groups if group}), 2))
    return [
        (method, first, second, row["id"], _vote(shares[a] - shares[b]))
        for method, shapes in row["kept"]["shares"].items()
        for shares, (first, second) in product(shapes.values(), pairs)
        for a, b in product(_members(groups, first), _members(groups, second))
    ]


def _members(groups: Sequence[str], group: str) -> list[int]:
    return [index for index, own in enumerate(groups) if own == group]


def _vote(difference: float) -> int:
    return int(difference > FAVOUR_MARGIN) - int(difference < -FAVOUR_MARGIN)
