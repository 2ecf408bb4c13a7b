"""Define the interface of choosers, which decide among a shape's candidates (see `choose`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.boxes import Boxes, FloatArray
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.guards import ShapeGuard
from pipeline.cropping.search import Score, SearchResult
from pipeline.detectors import Detections
from pipeline.shapes import Shape


@dataclass(frozen=True, eq=False)
class ShapeSearch:
    """A shape of one photo, its candidates [N, 4] in source pixels, and their search result."""

    shape: Shape
    candidates: Boxes
    found: SearchResult


class Chooser(Protocol):
    """Decides among the candidates of one photo. Boxes are in source pixels."""

    def values(self, searched: ShapeSearch) -> FloatArray:
        """Return the number that decides for each candidate, -inf for those never taken: [N]."""
        ...

    def best(self, searched: Sequence[ShapeSearch], count: int) -> list[Chosen]:
        """Return each shape's `count` best crops that are clearly different, 1 <= K <= count.

        They are candidates, or near one if the chooser moves its choice; the engine scores those
        that have no score yet. The choice for a shape does not depend on the others in the call.
        """
        ...

    def confidence(self, searched: ShapeSearch, chosen: Chosen) -> list[float | None]:
        """Return the probability that a person would accept each of the chosen crops: K.

        None where it is unknown: the confidence is fitted on crops that the fitted rule chose by
        maps of attention.
        """
        ...

    def best_other(self, searched: ShapeSearch, boxes: Boxes, score: Score, count: int) -> Chosen:
        """Choose as `best` among boxes [M, 4] of the shape, M ≥ 1, that are not candidates.

        score: returns the network's score of any boxes, if it is needed.
        """
        ...


GuardOf = Callable[[Shape], ShapeGuard]
"""Returns the guards of a shape of one photo."""


class ChooserFor(Protocol):
    """Builds the chooser for a photo."""

    def __call__(
        self, objects: Detections, size_wh: tuple[int, int], guard_of: GuardOf | None = None
    ) -> Chooser:
        """See the arguments of `OverlapChooser`."""
        ...


def active_guard(guard_of: GuardOf | None, shape: Shape) -> ShapeGuard | None:
    """Return the guards of a shape; None if no crop of this photo can break one."""
    guard = None if guard_of is None else guard_of(shape)
    return guard if guard is not None and guard.active else None
