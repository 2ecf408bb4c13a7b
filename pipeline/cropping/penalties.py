"""Penalise crops that cut heads, objects or text.

All boxes are shares of the photo's sides. A penalty has no unit and is 0 for a crop that cuts
nothing; the rule weighs it (`pipeline.cropping.rule`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.boxes import FloatArray, area
from pipeline.cropping.evidence import Evidence
from pipeline.cropping.extents import Extents
from pipeline.cropping.rule import distance_of, nearness
from pipeline.detectors.attention import ramp

# Size of the shape's largest crop over an object's: the object counts from the first value on, and
# fully from the second on. With a hard limit its box would count in one copy of a photo and not in
# another.
FITS = (0.9, 1.1)
# A large head should be shown with this share of its height above it: at the very edge it looks
# squeezed, and its box may end below the hair or the ears. Set by eye (docs/EFFECTS.md).
HEADROOM = 0.1
# Of a person's head that is too large for the crop, the face should be shown: all but these shares
# of its height at the top, hair and forehead, and at the bottom, where the box reaches below the
# chin. Set by eye (docs/EFFECTS.md).
FOREHEAD, BELOW_CHIN = 0.4, 0.07
# A head of an animal should be shown with this share of its width at both sides, at the photo's own
# ratio: its nose or beak may be outside the box. The further the shape's ratio is, the less room it
# can give. Set by eye (docs/EFFECTS.md).
SIDE_ROOM = 0.2
TINY = 1e-9  # share of the photo: areas are at least this where they are divided by


@dataclass(frozen=True, eq=False)
class Cuts:
    """Boxes that crops should not cut, and the cost of each. Calling it gives the penalty.

    boxes: [M, 4]. outside: cost of the share outside a crop, [M]. across: cost of that share times
    the share inside, [M]. All may have the same leading dimensions: one row per shape.
    """

    boxes: FloatArray
    outside: FloatArray
    across: FloatArray

    def __call__(self, crops: FloatArray) -> FloatArray:
        """Compute the penalty of crops [N, 4]: [N]."""
        return self.of_extents(Extents.of(crops))

    def of_extents(self, crops: Extents) -> FloatArray:
        """Compute the penalty of N crops, perhaps of each shape: [..., N].

        A box with the share s inside costs (outside + across · s) · (1 - s). As s is a product of
        the lengths inside across and down, the sums over boxes are products of matrices.
        """
        wide, high = crops.shared_with(self.boxes)
        nothing, linear, squared = self._terms
        costs = wide @ (linear * high).swapaxes(-1, -2)
        wide *= wide
        high *= high
        costs -= wide @ (squared * high).swapaxes(-1, -2)
        costs += nothing
        return np.asarray(costs[..., crops.columns, crops.rows])

    @cached_property
    def _terms(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The cost of holding nothing, and the factors of a box's area inside and its square."""
        areas = np.maximum(area(self.boxes), TINY)
        linear = (self.across - self.outside) / areas
        nothing = self.outside.sum(axis=-1)[..., None, None]
        return nothing, linear[..., None, :], (self.across / areas**2)[..., None, :]


def weighted_cuts(cuts: Sequence[tuple[float, Cuts]]) -> Cuts:
    """Combine cuts of several kinds, each times a weight, leaving out boxes that cost nothing."""
    boxes = np.concatenate([one.boxes for _, one in cuts])
    outside = np.concatenate([weight * one.outside for weight, one in cuts])
    across = np.concatenate([weight * one.across for weight, one in cuts])
    counts = (outside != 0) | (across != 0)
    return Cuts(boxes[counts], outside[counts], across[counts])


def head_cuts(evidence: Evidence, cut: float) -> Cuts:
    """Return the cuts of heads of people, left out or cut. Half a head counts 0.5 + `cut`."""
    heads = evidence.head_votes
    return _left_out_or_cut(heads.boxes_rel, heads.counts, cut)


def whole_head_cuts(evidence: Evidence, cut: float, ratio: float | None) -> Cuts:
    """Return the cuts of large heads of people, with headroom, that a crop of the shape can hold.

    The only one, if it is sure, costs 1 if it is left out and 0.5 + `cut` for half of it. It
    shares that with other large heads, since of many a crop can hold only some. ratio: of the
    crops, as shares; None for any.
    """
    shares = whole_head_shares(evidence, ratio)[: len(evidence.heads)]
    return _left_out_or_cut(with_headroom(evidence.heads, ratio), shares, cut)


def animal_head_cuts(evidence: Evidence, cut: float, ratio: float | None) -> Cuts:
    """Return the cuts of large heads of animals, with room at their sides, as `whole_head_cuts`."""
    shares = whole_head_shares(evidence, ratio)[len(evidence.heads) :]
    heads = with_side_room(with_headroom(evidence.animal_heads, ratio), ratio)
    return _left_out_or_cut(heads, shares, cut)


def face_cuts(evidence: Evidence, cut: float, ratio: float | None) -> Cuts:
    """Return the cuts of faces that a crop can hold, of large heads of people that it cannot.

    Without them a wide crop of a portrait shows the hair and ends above the chin. They cost as much
    as heads in `whole_head_cuts`.
    """
    shown = faces(evidence.heads)
    fits = fits_in_crop(shown, ratio) - fits_in_crop(evidence.heads, ratio)
    weights = evidence.whole_heads[: len(shown)] * fits
    return _left_out_or_cut(shown, weights / total_weight(weights), cut)


def object_cuts(evidence: Evidence, ratio: float | None) -> Cuts:
    """Return the cuts of people, things and regions that a crop of the shape can hold.

    Half of the only one costs 1. Regions are what the photo is about where no class names it: a
    tower, a pair of pinwheels. ratio: of the crops, as shares; None for any.
    """
    return _cuts_of_objects(evidence, evidence.object_weights, ratio)


def thing_cuts(evidence: Evidence, ratio: float | None) -> Cuts:
    """Return the cuts of people and things that a crop of the shape can hold; regions may be cut.

    A region only roughly bounds what belongs together, so a crop may well end inside it, while a
    person or a thing should not be halved. ratio: as for `object_cuts`.
    """
    return _cuts_of_objects(evidence, evidence.object_weights * evidence.is_thing, ratio)


def main_object_cuts(evidence: Evidence, ratio: float | None) -> Cuts:
    """Return the cuts of objects that most of the gaze is on, and that a crop can hold.

    ratio: as for `object_cuts`.
    """
    return _cuts_of_objects(evidence, evidence.main_weights, ratio)


def text_cuts(evidence: Evidence) -> Cuts:
    """Return the cuts of text: 1 for half of the only block; 0 if it is whole or left out."""
    return _cuts(evidence.text, evidence.text_weights)


def whole_head_shares(evidence: Evidence, ratio: float | None) -> FloatArray:
    """Return what each of all heads counts, of at most 1 together: [H + A].

    The sure, large ones that a crop of the shape can hold count in equal parts.
    """
    weights = evidence.whole_heads * fits_in_crop(evidence.all_heads, ratio)
    return np.asarray(weights / total_weight(weights))


def faces(heads: FloatArray) -> FloatArray:
    """Return the part from the brow to the chin of heads [H, 4]."""
    height = heads[:, 3] - heads[:, 1]
    shown = heads.copy()
    shown[:, 1] += FOREHEAD * height
    shown[:, 3] -= BELOW_CHIN * height
    return shown


def with_headroom(heads: FloatArray, ratio: float | None) -> FloatArray:
    """Return heads [H, 4] grown upwards by HEADROOM of their height, as far as the photo goes.

    The room is at most half of the height that the shape's largest crop has beyond the head's, so
    that a crop that can hold the head can hold both. ratio: of the crops, as shares; None for any.
    """
    height = heads[:, 3] - heads[:, 1]
    spare = np.maximum(largest_sides(ratio)[1] - height, 0)
    grown = heads.copy()
    grown[:, 1] = np.maximum(heads[:, 1] - np.minimum(HEADROOM * height, spare / 2), 0)
    return grown


def with_side_room(heads: FloatArray, ratio: float | None) -> FloatArray:
    """Return heads [H, 4] grown at both sides by up to SIDE_ROOM, as far as the photo goes.

    Each side's room is at most a quarter of the width that the shape's largest crop has beyond the
    head's. ratio: of the crops, as shares; None for any.
    """
    width = heads[:, 2] - heads[:, 0]
    spare = np.maximum(largest_sides(ratio)[0] - width, 0)
    share = SIDE_ROOM * nearness(0.0 if ratio is None else distance_of(ratio))
    room = np.minimum(share * width, spare / 4)
    grown = heads.copy()
    grown[:, 0] = np.maximum(heads[:, 0] - room, 0)
    grown[:, 2] = np.minimum(heads[:, 2] + room, 1)
    return grown


def largest_sides(ratio: float | None) -> FloatArray:
    """Return width and height of the shape's largest crop, as shares of the photo's sides: [2]."""
    return np.ones(2) if ratio is None else np.array([min(1, ratio), min(1, 1 / ratio)])


def fits_in_crop(boxes: FloatArray, ratio: float | None) -> FloatArray:
    """Return 1 for boxes [M, 4] that a crop of the shape can hold, 0 for larger ones: [M]."""
    sides = boxes[:, 2:] - boxes[:, :2]
    largest = largest_sides(ratio)
    return ramp(np.asarray((largest / np.maximum(sides, TINY)).min(axis=1)), *FITS)


def total_weight(weights: FloatArray) -> float:
    """Return the divisor with which weights [M] share at most 1: their sum, but at least 1."""
    return max(float(weights.sum()), 1.0)


def _cuts(boxes: FloatArray, weights: FloatArray) -> Cuts:
    """Return cuts with the mean of 4 · share inside · share outside, weighted by weights [M]."""
    return Cuts(boxes, np.zeros(len(boxes)), weights * (4 / total_weight(weights)))


def _cuts_of_objects(evidence: Evidence, weights: FloatArray, ratio: float | None) -> Cuts:
    """Return the cuts of objects with these weights [D], without those that no crop can hold."""
    return _cuts(evidence.objects, weights * fits_in_crop(evidence.objects, ratio))


def _left_out_or_cut(boxes: FloatArray, counts: FloatArray, cut: float) -> Cuts:
    """Return cuts that cost `counts` [M] for a box left out, and 0.5 + `cut` of it for half."""
    return Cuts(boxes, counts, 4 * cut * counts)
