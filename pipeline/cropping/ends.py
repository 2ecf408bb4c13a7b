"""Penalise crops that cut off the end by which a thing is recognised.

Vertically that is the top: a head, a spire, the crown of a tree. Horizontally it is the side that
people look at: an animal's head, the front of a car. A crop that can't hold the whole thing should
lose the other end. A head without its top is worse than any other thing without its top. Boxes are
shares of the photo's sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.extents import Extents
from pipeline.cropping.penalties import TINY, total_weight, whole_head_shares
from pipeline.detectors.attention import ramp

# How much more of the gaze on a thing one half has than the other: that half counts from the first
# share on and fully from the second on. If it counts in proportion, copies of a photo get different
# crops more often (IoU below .6: 34 instead of 27 of 4,800 pairs).
LEAN = (0.2, 0.8)


@dataclass(frozen=True, eq=False)
class EndCuts:
    """Boxes of things, and the cost of each for a crop that ends at its middle.

    boxes: [M, 4]. tops: cost without the upper half, [M]. sides: cost without the left and without
    the right half, [M, 2]. All may have the same leading dimensions: one row per shape.
    """

    boxes: FloatArray
    tops: FloatArray
    sides: FloatArray

    def of_extents(self, crops: Extents) -> FloatArray:
        """Compute the penalty of N crops, perhaps of each shape: [..., N].

        A box with the share `beyond` of its height above the crop, `inside` of its height in it
        and `wide` of its width in it costs 4 · beyond · inside · wide times `tops`, and for its
        sides in the same way. So a box costs nothing if it is whole, left out, or cut at its other
        end.
        """
        left, top, right, bottom = (self.boxes[..., edge] for edge in range(4))  # [..., M]
        wide, high = np.maximum(right - left, TINY), np.maximum(bottom - top, TINY)
        across, down = crops.shared_with(self.boxes)  # [..., U, M], [..., V, M]
        above = np.maximum(crops.down[..., :1] - top[..., None, :], 0)
        before = np.maximum(crops.across[..., :1] - left[..., None, :], 0)
        after = np.maximum(right[..., None, :] - crops.across[..., 1:], 0)
        lost = self.sides[..., None, :, 0] * before + self.sides[..., None, :, 1] * after
        lost *= across * (4 / (wide**2 * high))[..., None, :]
        costs = lost @ down.swapaxes(-1, -2)  # [..., U, V]
        lost = above * down * (4 * self.tops / (high**2 * wide))[..., None, :]
        costs += across @ lost.swapaxes(-1, -2)
        return np.asarray(costs[..., crops.columns, crops.rows])


def end_cuts(
    evidence: Evidence, ratio: float | None, tops: float, sides: float, of_heads: float
) -> EndCuts:
    """Build the end cuts of objects and of large heads that a crop can hold.

    A head that no crop can hold should lose what people look at least, as the rest of the rule
    says. The boxes of each kind share its weights.

    ratio: of the crops, as shares; None: no ends are penalised.
    tops: weight of people, things and regions: for the only, certain one without its upper half.
    sides: weight of the same without the half to which the gaze on it leans, see LEAN.
    of_heads: weight of heads without their upper half.
    """
    shares = evidence.object_weights / total_weight(evidence.object_weights)
    head_shares = whole_head_shares(evidence, ratio)
    if ratio is None:
        tops = sides = of_heads = 0.0
    boxes = np.concatenate([evidence.objects, evidence.all_heads])
    leaning = np.zeros((len(boxes), 2))
    lean = evidence.lean[:, None] * (-1, 1)
    leaning[: len(shares)] = sides * shares[:, None] * ramp(lean, *LEAN)
    of_tops = np.concatenate([tops * shares, of_heads * head_shares])
    counts = (of_tops > 0) | leaning.any(axis=1)
    return EndCuts(boxes[counts], of_tops[counts], leaning[counts])
