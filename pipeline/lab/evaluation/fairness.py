"""Whom and what the crops keep: parity between groups of people, and integrity of objects.

Parity is pairwise (after Yee, Tantipongpipat and Mishra, "Image Cropping on Twitter", CSCW 2021):
of two people of different groups in one photo, whom does a crop keep more of? A crop favours the
one whose box it shows a larger share of, by more than 5 points. The advantage of a group over
another is the share of decisions for it minus the share against it: 0 is parity.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

Row = dict[str, Any]
IntervalOf = Callable[[Iterable[float]], dict[str, float]]

FAVOUR_MARGIN = 0.05
LOST_BELOW, WHOLE_FROM = 0.05, 0.95


def fairness(rows: Sequence[Row], interval: IntervalOf) -> list[dict[str, Any]]:
    """One entry for each method and pair of groups that meet in a photo.

    first, second: the groups. first_kept, second_kept, alike: shares of the decisions (photo ×
    ratio × pair of people). advantage: interval over photos, of the first over the second.
    """
    votes: dict[tuple[str, str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in _followed(rows):
        groups = row["kept"]["groups"]
        for method, ratios in row["kept"]["shares"].items():
            for shares, (first, second) in product(ratios.values(), _pairs(groups)):
                for a, b in product(_members(groups, first), _members(groups, second)):
                    vote = _vote(shares[a] - shares[b])
                    votes[method, first, second][row["id"]].append(vote)
    return [
        _parity(method, first, second, by_photo, interval)
        for (method, first, second), by_photo in votes.items()
    ]


def integrity(rows: Sequence[Row], interval: IntervalOf) -> dict[str, dict[str, Any]]:
    """method -> whole, cut, lost: shares of the followed boxes, mean over ratios, then photos."""
    shares: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in _followed(rows):
        for method, ratios in row["kept"]["shares"].items():
            kept = np.array(list(ratios.values()))  # [ratios, boxes]
            lost, whole = float((kept < LOST_BELOW).mean()), float((kept >= WHOLE_FROM).mean())
            shares[method].append({"whole": whole, "lost": lost, "cut": 1 - whole - lost})
    return {
        method: {name: interval(photo[name] for photo in photos) for name in photos[0]}
        for method, photos in shares.items()
    }


def _followed(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.get("kept") and row["kept"]["groups"]]


def _pairs(groups: Sequence[str]) -> list[tuple[str, str]]:
    return list(combinations(sorted({group for group in groups if group}), 2))


def _members(groups: Sequence[str], group: str) -> list[int]:
    return [index for index, own in enumerate(groups) if own == group]


def _vote(difference: float) -> int:
    return int(difference > FAVOUR_MARGIN) - int(difference < -FAVOUR_MARGIN)


def _parity(
    method: str, first: str, second: str, by_photo: dict[str, list[int]], interval: IntervalOf
) -> dict[str, Any]:
    everything = np.array([vote for votes in by_photo.values() for vote in votes])
    advantage = interval(float(np.mean(votes)) for votes in by_photo.values())
    return {
        "method": method,
        "first": first,
        "second": second,
        "decisions": len(everything),
        "first_kept": float((everything > 0).mean()),
        "second_kept": float((everything < 0).mean()),
        "alike": float((everything == 0).mean()),
        "advantage": advantage,
        "parity": advantage["low"] <= 0 <= advantage["high"],
    }
