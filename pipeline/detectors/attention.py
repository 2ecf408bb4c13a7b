"""Define what a source finds besides objects: what people look at and keep, and where heads are.

Maps are grids of equal cells over the whole photo, so they apply in any frame: cell [i, j] of
[h, w] covers the shares j/w to (j+1)/w of the width and i/h to (i+1)/h of the height.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.boxes import FloatArray


@dataclass(frozen=True, eq=False)
class Votes:
    """Every cell that may be the centre of an object, not only peaks, with the predicted object.

    A list of peaks changes when a likelihood crosses a threshold or two peaks swap ranks. Votes
    change as little as the network's output does. The cells around an object's centre share it.

    boxes_rel: the object of each cell, as shares of the photo's sides, inside it. [V, 4] xyxy
    counts: how many objects each stands for; all votes for a certain object sum to about 1. [V]
    """

    boxes_rel: NDArray[np.float64]
    counts: NDArray[np.float64]


class Profile(NamedTuple):
    """Placement along one side of the photo, in equal parts.

    worth: of showing each part; the sum is 0. [C]
    edge_cost: of a crop's edge in the middle of each part. [C]
    """

    worth: FloatArray
    edge_cost: FloatArray


class Placement(NamedTuple):
    """How good the places of the largest crop of a shape are.

    A place is as good as the worth of what it shows, less the costs of its two edges.

    across: for crops that move to the left and right. down: for those that move up and down.
    """

    across: Profile
    down: Profile


@dataclass(frozen=True, eq=False)
class Attention:
    """Maps and heads of one photo.

    gaze: share of people's fixations that falls into each cell; its sum is 1. [h, w]
    kept: share of people whose own crop holds each cell, 0..1. [h, w]
    heads_rel: heads, hair included, as shares of the photo's sides, inside it. [H, 4] xyxy
    likelihood: of each head, 0..1. [H]
    subject: how likely each cell belongs to what the photo is about, 0..1; None if the source
        does not provide it. [h, w]
    placement: how good a crop's place is; None if the source does not provide it.
    head_votes: the same heads as votes; None if the source does not provide them.
    animal_heads_rel: heads of animals, not of persons, ears, horns and beak included. [A, 4]
    animal_likelihood: of each of these, 0..1. [A]
    """

    gaze: FloatArray
    kept: FloatArray
    heads_rel: NDArray[np.float64]
    likelihood: NDArray[np.float64]
    head_votes: Votes | None = None
    subject: FloatArray | None = None
    placement: Placement | None = None
    animal_heads_rel: FloatArray = field(default_factory=lambda: np.zeros((0, 4)))
    animal_likelihood: FloatArray = field(default_factory=lambda: np.zeros(0))

    def focus_rel(self) -> tuple[float, float]:
        """Return the peak (x, y) of the gaze map as shares of the photo's sides, 0..1.

        The peak is the cell whose 3 × 3 neighbourhood holds most. The focus is the centre of mass
        of that neighbourhood, so it moves by less than a cell where two cells are nearly equal.
        """
        height, width = self.gaze.shape
        held = sliding_window_view(np.pad(self.gaze, 1), (3, 3)).sum(axis=(2, 3))
        row, column = np.unravel_index(int(held.argmax()), held.shape)
        top, left = max(int(row) - 1, 0), max(int(column) - 1, 0)
        part = self.gaze[top : row + 2, left : column + 2]
        rows, columns = np.indices(part.shape)
        x = float((part * (columns + left + 0.5)).sum() / part.sum() / width)
        y = float((part * (rows + top + 0.5)).sum() / part.sum() / height)
        return x, y


def ramp(values: FloatArray, low: float, high: float) -> FloatArray:
    """Rise smoothly from 0 up to `low` to 1 from `high` on, with 3t² - 2t³ between them."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
