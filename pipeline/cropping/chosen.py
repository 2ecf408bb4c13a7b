"""Hold the crops chosen for one shape, and pick crops that are clearly different."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes, FloatArray, iou

# Two crops of one shape are "clearly different" if their IoU is below this. The grid of candidates
# is fine, so neighbours of the best crop overlap it by .8 to .95 and show the same.
DISTINCT_IOU = 0.7
# Subtracted from a crop's value for each level of broken guards: more than any two values differ.
LEVEL_COST = 1e6


class Chosen(NamedTuple):
    """Crops that are clearly different, best first, in whole source pixels inside the photo.

    choice: the number that decided, higher is better; comparable within one shape of one photo.
    levels: how badly each breaks guards, see `ShapeGuard.levels`; None: no guard is broken. Crops
        of a lower level are ranked first, and by `choice` within a level.
    rivals: for each, the highest value of a clearly different candidate, whatever guards that
        breaks; -inf if none is different. None: not known.
    deciding, deciding_levels: value and level of the box that has decided each crop's place, before
        the crop was framed; None: `choice` and `levels`.
    """

    boxes: Boxes  # [K, 4]
    choice: FloatArray  # [K]
    levels: NDArray[np.int64] | None = None  # [K]
    rivals: FloatArray | None = None  # [K]
    deciding: FloatArray | None = None  # [K]
    deciding_levels: NDArray[np.int64] | None = None  # [K]

    @property
    def levels_or_zero(self) -> NDArray[np.int64]:
        """The levels, 0 where none are given: [K]."""
        return np.zeros(len(self.boxes), np.int64) if self.levels is None else self.levels

    def passes(self, rank: int) -> bool:
        """Return whether the crop of this rank breaks no guard."""
        return not self.levels_or_zero[rank]

    def lead(self, rank: int) -> float | None:
        """Return the lead of this rank's crop over the box that has decided the next one's place.

        None if there is no next one, or that box has another level: values are only compared
        within a level, and framing may have led the next crop to a lower one.
        """
        if rank + 1 == len(self.boxes):
            return None
        next_levels = self.levels if self.deciding_levels is None else self.deciding_levels
        if next_levels is not None and self.levels_or_zero[rank] != next_levels[rank + 1]:
            return None
        others = self.choice if self.deciding is None else self.deciding
        return float(self.choice[rank]) - float(others[rank + 1])


def pick_distinct(boxes: NDArray[np.floating], values: FloatArray, count: int) -> list[int]:
    """Pick the highest values whose boxes are clearly different from all picked before.

    boxes [N, 4], values [N]; -inf is not picked. Returns at most `count` indices, best first. Of
    equal values the first is picked.
    """
    left = np.flatnonzero(values > -np.inf)
    order: list[int] = []
    while len(left) and len(order) < count:
        order.append(int(left[values[left].argmax()]))
        if len(order) < count:  # after the last pick this would be wasted
            left = left[iou(boxes[order[-1]], boxes[left]) < DISTINCT_IOU]
    return order


def rivals_of(boxes: Boxes, candidates: Boxes, values: FloatArray) -> FloatArray:
    """Return, for each of boxes [K, 4], the highest value of a clearly different candidate: [K].

    values: of the candidates, [N]. -inf if no candidate is different.
    """
    different = iou(boxes[:, None], candidates) < DISTINCT_IOU  # [K, N]
    return np.asarray(np.where(different, values, -np.inf).max(axis=1))


def lowered_by_level(values: FloatArray, levels: NDArray[np.int64]) -> FloatArray:
    """Lower values [N] so that they are below all those of a lower level: [N]."""
    return np.asarray(values - LEVEL_COST * levels)
