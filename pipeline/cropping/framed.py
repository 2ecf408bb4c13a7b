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
from pipeline.cropping.chosen import (
    DISTINCT_IOU,
    Chosen,
    lowered_by_level,
    pick_distinct,
    rivals_of,
)
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

    start: the best box at this place, which breaks guards no worse than `box`; start_level and
    framing: its level and its value of framing.
    """

    shape: ValuedBoxes
    box: Box
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
    crop, or that of the box that has decided its place if that is higher. size_wh: of the photo.
    """
    if not shapes:
        return []
    guards, lists = [one.guard for one in shapes], [one.boxes for one in shapes]
    levels = call_per_guard(guards, lists, guard_levels)
    known = [Chosen(one.boxes, one.values, each) for one, each in zip(shapes, levels, strict=True)]
    places = [_places(*each, max(1, count - 1)) for each in zip(shapes, known, strict=True)]
    framed = _framed([place for some in places for place in some], size_wh)
    ends = np.cumsum([len(some) for some in places])[:-1]
    by_shape = zip(*(np.split(part, ends) for part in framed), strict=True)
    return [
        _ranked(Chosen(*crops), some, of_list, count)
        for crops, some, of_list in zip(by_shape, places, known, strict=True)
    ]


def _distinct(known: Chosen, count: int) -> list[int]:
    """Return the indices of the best boxes that are clearly different, guards before all else."""
    return pick_distinct(known.boxes, lowered_by_level(known.choice, known.levels_or_zero), count)


def _places(shape: ValuedBoxes, known: Chosen, count: int) -> list[_Place]:
    """Return the `count` best places of a shape. known: its boxes with their values and levels."""
    found, levels = [], known.levels_or_zero
    for index in _distinct(known, count):
        box, level = known.boxes[index], int(levels[index])
        here = (iou(box, known.boxes) >= DISTINCT_IOU) & (levels <= level)
        start = int(np.where(here, shape.framing, -np.inf).argmax())
        value, framing = float(known.choice[index]), float(shape.framing[start])
        begun = known.boxes[start], int(levels[start]), framing
        found.append(_Place(shape, box, value, level, *begun))
    return found


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


def _ranked(framed: Chosen, places: Sequence[_Place], known: Chosen, count: int) -> Chosen:
    """Rank framed crops [P, 4] of a shape, their places, and the boxes at no such place.

    The rivals of a framed crop are those of its place. A place is ranked by itself only if its
    framed crop is not clearly different from a better one.
    """
    deciding = np.stack([one.box for one in places])
    elsewhere = (iou(deciding[:, None], known.boxes) < DISTINCT_IOU).all(axis=0)
    parts = (
        framed,
        Chosen(
            deciding,
            np.array([one.value for one in places]),
            np.array([one.level for one in places]),
        ),
        Chosen(known.boxes[elsewhere], known.choice[elsewhere], known.levels_or_zero[elsewhere]),
    )
    boxes = np.concatenate([one.boxes for one in parts])
    choice = np.concatenate([one.choice for one in parts])
    levels = np.concatenate([one.levels_or_zero for one in parts])
    best = _distinct(Chosen(boxes, choice, levels), count)
    decided_by = np.concatenate([deciding, boxes[len(deciding) :]])[best]
    rivals = rivals_of(decided_by, known.boxes, known.choice)
    return Chosen(boxes[best], choice[best], levels[best], rivals)
