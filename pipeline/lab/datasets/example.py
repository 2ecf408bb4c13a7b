"""One photo of a data set with what people said about it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]  # [N, 4] xyxy


def _no_boxes() -> Boxes:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, eq=False)
class Example:
    """A photo and its human judgement. Boxes are xyxy in pixels of the stored photo.

    scored_px [N, 4] and mos [N]: crops and their mean opinion scores, higher is better.
    human_px [M, 4]: one row for each person's own crop.
    objects_px [D, 4]: object boxes that come with the data set; None where it has none.
    """

    id: str
    image: Path
    scored_px: Boxes = field(default_factory=_no_boxes)
    mos: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    human_px: Boxes = field(default_factory=_no_boxes)
    objects_px: Boxes | None = None
