"""Say what a chooser is: what decides among the candidates of a shape (`choose` has them)."""

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
    """A shape of one photo, its candidates [N, 4] in source pixels, and what was found of them."""

    shape: Shape
    candidates: Boxes
    found: SearchResult


class Chooser(Protocol):
    """What decides among candidates, for one photo. Boxes are in source pixels."""

    def values(self, searched: ShapeSearch) -> FloatArray:
        """The number that decides, of each candidate; -inf: not to be taken: [N]."""
        ...

    def best(self, searched: Sequence[ShapeSearch], count: int) -> list[Chosen]:
        """Of each shape the `count` best crops that are clearly different, 1 <= K <= count.

        They are candidates, or near one where a chooser moves its choice; the
        engine has those scored that were not yet. What is chosen of a shape does not depend on
        which others are in the call.
        """
        ...

    def confidence(self, searched: ShapeSearch, chosen: Chosen) -> list[float | None]:
        """The probability that a person would accept each of the crops chosen: K.

        None where no one can tell: the confidence is fitted on crops that the fitted rule chose by
        maps of attention.
        """
        ...

    def best_other(self, searched: ShapeSearch, boxes: Boxes, score: Score, count: int) -> Chosen:
        """As `best`, of other boxes [M, 4] of the shape, M ≥ 1, that are no candidates.

        score: the network's score of any boxes, where it is needed.
        """
        ...


GuardOf = Callable[[Shape], ShapeGuard]
"""The guards of a shape of one photo."""


class ChooserFor(Protocol):
    """Makes the chooser for a photo."""

    def __call__(
        self, objects: Detections, size_wh: tuple[int, int], guard_of: GuardOf | None = None
    ) -> Chooser:
        """See the arguments of `OverlapChooser`."""
        ...


def active_guard(guard_of: GuardOf | None, shape: Shape) -> ShapeGuard | None:
    """The guards of a shape; None where no crop of this photo can break one."""
    guard = None if guard_of is None else guard_of(shape)
    return guard if guard is not None and guard.active else None
