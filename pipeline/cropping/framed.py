"""Pick the best crops that are clearly different, and frame each of them exactly.

The box with the highest value decides the place of a crop. Boxes that are not clearly different
from it show the same, so among these the weights of framing decide (`Rule.framing`): what the edges
cut may count more there, since the crop cannot miss what people look at. The best one is then moved
in small steps to where the same value is highest.

Boxes are in source pixels of one photo; those of several shapes are moved together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Box, Boxes, FloatArray, iou, to_whole_pixels
from pipeline.cropping.chosen import DISTINCT_IOU, Chosen, lowered_by_level
from pipeline.cropping.crop_value import CropValue
from pipeline.cropping.extents import Extents
from pipeline.cropping.guards import ShapeGuard, call_per_guard, guard_levels
from pipeline.cropping.refine import refine
from pipeline.cropping.values import StackedValues


class ValuedBoxes(NamedTuple):
    """The boxes of one shape among which to choose.

    boxes: [M, 4], M ≥ 1. values: of the boxes, [M]; value_of: returns them for any boxes.
    framing: the values that compare boxes at one place, [M]; framing_of: returns them for any.
    guard: None for none.
    """

    boxes: Boxes
    values: FloatArray
    framing: FloatArray
    value_of: CropValue
    framing_of: CropValue
    guard: ShapeGuard | None


class _Place(NamedTuple):
    """The place of a crop: the box that has decided it, with its value and level.

    far: which boxes of the shape are clearly different from it, [M].
    start: the best box at this place, which breaks guards no worse than `box`; start_level and
    framing: its level and its value of framing.
    """

    shape: ValuedBoxes
    box: Box
    far: NDArray[np.bool_]
    value: float
    level: int
    start: Box
    start_level: int
    framing: float


def best_framed(
    shapes: Sequence[ValuedBoxes], size_wh: tuple[int, int], count: int
) -> list[Chosen]:
    """Return the best crops of each shape, 1 <= K <= count, with their rivals among its boxes.

    All but the last of several are framed; it is only there for a lead. `choice` is the value of a
    crop, or that of the box that has decided its place if that is higher, but at most the one
    before. A crop does not depend on how many follow it. size_wh: of the photo.
    """
    if not shapes:
        return []
    guards, lists = [one.guard for one in shapes], [one.boxes for one in shapes]
    levels = call_per_guard(guards, lists, guard_levels)
    ranked = [_Ranked(shape, of_boxes) for shape, of_boxes in zip(shapes, levels, strict=True)]
    for _ in range(max(1, count - 1)):
        open_ = [one for one in ranked if one.has_more]
        if not open_:
            break
        places = [one.next_place() for one in open_]
        for one, place, *crop in zip(open_, places, *_framed(places, size_wh), strict=True):
            one.add(place, *crop)
    if count > 1:
        for one in ranked:
            if one.has_more:
                last = one.next_place()
                one.add(last, last.box, last.value, last.level)
    return [one.chosen() for one in ranked]


class _Ranked:
    """The crops of a shape that are ranked so far, and its boxes that are different from these."""

    def __init__(self, shape: ValuedBoxes, levels: NDArray[np.int64]) -> None:
        self._shape, self._levels = shape, levels
        self._order = lowered_by_level(shape.values, levels)
        self._left = np.flatnonzero(self._order > -np.inf)
        self._crops: list[tuple[Box, float, int, _Place]] = []  # with their choices and levels

    @property
    def has_more(self) -> bool:
        """Whether there is a box that is clearly different from all crops."""
        return len(self._left) > 0

    def next_place(self) -> _Place:
        """Return the place of the best box that is clearly different from all crops."""
        shape, levels = self._shape, self._levels
        index = int(self._left[self._order[self._left].argmax()])
        box, level = shape.boxes[index], int(levels[index])
        far = iou(box, shape.boxes) < DISTINCT_IOU
        start = int(np.where(~far & (levels <= level), shape.framing, -np.inf).argmax())
        begun = shape.boxes[start], int(levels[start]), float(shape.framing[start])
        return _Place(shape, box, far, float(shape.values[index]), level, *begun)

    def add(self, place: _Place, crop: Box, choice: float, level: int) -> None:
        """Rank a crop [4] next, after all others.

        The box that has decided its place is taken instead where the crop is not clearly different
        from one before, or breaks fewer guards.
        """
        if self._crops:
            before = np.stack([one for one, *_ in self._crops])
            _, last_choice, last_level, _ = self._crops[-1]
            if (iou(crop, before) >= DISTINCT_IOU).any() or level < last_level:
                crop, choice, level = place.box, place.value, place.level
            choice = min(choice, last_choice) if level == last_level else choice
        self._crops.append((crop, choice, level, place))
        from_crop = iou(crop, self._shape.boxes[self._left]) < DISTINCT_IOU
        self._left = self._left[from_crop & place.far[self._left]]

    def chosen(self) -> Chosen:
        """Return the crops; the rivals of one are those of the box that has decided its place."""
        boxes, choice, levels, places = zip(*self._crops, strict=True)
        values = self._shape.values
        rivals = np.array([np.where(one.far, values, -np.inf).max() for one in places])
        deciding = np.array([one.value for one in places]), np.array([one.level for one in places])
        return Chosen(np.stack(boxes), np.array(choice), np.array(levels), rivals, *deciding)


def _framed(
    places: Sequence[_Place], size_wh: tuple[int, int]
) -> tuple[Boxes, FloatArray, NDArray[np.int64]]:
    """Frame the crop of each place.

    Returns the crops [P, 4] in whole pixels, the `choice` of each and its level, [P] both.
    """
    moved, levels = _moved(places, size_wh)
    # Rounding may have broken a guard, and several steps may have led away from the place.
    is_off = iou(np.stack([one.box for one in places]), moved) < DISTINCT_IOU
    is_off |= levels > [one.level for one in places]
    crops = np.where(is_off[:, None], [one.start for one in places], moved)
    value_of = StackedValues([one.shape.value_of for one in places])
    values = value_of((crops / np.tile(size_wh, 2))[:, None])[:, 0]
    choice = np.maximum(values, [one.value for one in places])
    return crops, choice, np.where(is_off, [one.start_level for one in places], levels)


def _moved(places: Sequence[_Place], size_wh: tuple[int, int]) -> tuple[Boxes, NDArray[np.int64]]:
    """Move each start to where its value of framing is highest: [P, 4] in whole pixels.

    Returns the levels [P] too.
    """
    sides = np.array([*size_wh, *size_wh], np.float64)
    framings = [one.shape.framing_of for one in places]
    guards = [one.shape.guard for one in places]
    widths = np.array([one.largest_width for one in framings])
    starts = np.stack([one.start for one in places]) / sides

    def whole(boxes_rel: FloatArray) -> Boxes:
        return to_whole_pixels((boxes_rel * sides).astype(np.float32), *size_wh)

    values = np.array([one.framing for one in places])
    moved = whole(refine(starts, values, StackedValues(framings), widths))
    levels = np.concatenate(call_per_guard(guards, np.split(moved, len(moved)), guard_levels))
    for row in np.flatnonzero(levels):  # most crops pass where they are best

        def guarded(near: FloatArray, _: Extents | None, row: int = int(row)) -> FloatArray:
            """Return the values, guards before all else; the guards see the rounded boxes."""
            of_near = guard_levels(guards[row], whole(near[0]))
            return lowered_by_level(framings[row](near[0]), of_near)[None]

        own = slice(row, row + 1)
        known = guarded(starts[own, None], None)[0]
        moved[own] = whole(refine(starts[own], known, guarded, widths[own]))
        levels[own] = guard_levels(guards[row], moved[own])
    return moved, levels
