"""One photo of a data set with its human labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes


def _no_boxes() -> Boxes:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, eq=False)
class Example:
    """A photo and its human labels. Boxes are xyxy in pixels of the upright photo.

    id: the photo's name without suffix, or its path where other photos of the set share that name.
    scored_px [N, 4] and mos [N]: crops and their mean opinion scores, higher is better.
    human_px [M, 4]: one row for each crop that a person drew; where crops are scored, as in CPC,
        the crops of the best score, which may tie.
    asked: the shape that each of human_px was drawn for; empty where people chose the shape.
    objects_px [D, 4]: object boxes that come with the data set; None where it has none.
    heads_px [H, 4]: every head in the photo, hair included, drawn by hand; None where heads were
        not drawn.
    fixations_px [F, 2]: x and y of where people looked, all viewers together, F ≥ 1; None where
        gaze was not recorded. Some are outside the photo.
    places_px [K, 2] of each of some shapes, by `Shape.name`: acceptable places of the largest crop,
        as ranges of its left or, where it has the photo's width, of its upper edge.
    first_fixations [F]: which of the fixations are a viewer's first; None without fixations.
    """

    id: str
    image: Path
    scored_px: Boxes = field(default_factory=_no_boxes)
    mos: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    human_px: Boxes = field(default_factory=_no_boxes)
    asked: tuple[str, ...] = ()
    objects_px: Boxes | None = None
    heads_px: Boxes | None = None
    fixations_px: NDArray[np.float32] | None = None
    places_px: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    first_fixations: NDArray[np.bool_] | None = None

    @property
    def drawn_by_people(self) -> bool:
        """Whether each of human_px was drawn by a different person."""
        return not len(self.mos)
