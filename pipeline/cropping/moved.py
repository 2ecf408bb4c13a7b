"""Pick the best crops that are clearly different, after moving some to where they are best.

Boxes are in source pixels of one photo; those of several shapes are moved together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.boxes import Boxes, FloatArray, to_whole_pixels
from pipeline.cropping.chosen import Chosen, lowered_by_level, pick_distinct
from pipeline.cropping.extents import Extents
from pipeline.cropping.guards import ShapeGuard, call_per_guard, guard_levels
from pipeline.cropping.refine import refine
from pipeline.cropping.rule import CropValue
from pipeline.cropping.values import StackedValues


def best_moved(
    lists: Sequence[Boxes],
    values: Sequence[FloatArray],
    values_of: Sequence[CropValue],
    guards: Sequence[ShapeGuard | None],
    size_wh: tuple[int, int],
    count: int,
) -> list[Chosen]:
    """Return the best of each shape's boxes [M, 4] with these values [M], at most `count`.

    The best are moved, except for the last of several. The crops are picked from the moved ones and
    all original boxes: moved ones may have come near each other, or lost value by rounding.
    values_of, guards: of each shape; None for no guard. size_wh: of the photo.
    """
    if not lists:
        return []
    levels = call_per_guard(guards, lists, guard_levels)
    known = [Chosen(*each) for each in zip(lists, values, levels, strict=True)]
    moved = _moved([_distinct(one, max(1, count - 1)) for one in known], values_of, guards, size_wh)
    return [_distinct(_joined(*both), count) for both in zip(moved, known, strict=True)]


def _distinct(known: Chosen, count: int) -> Chosen:
    """Pick the best boxes that are clearly different, guards before all else."""
    levels = known.levels_or_zero
    best = pick_distinct(known.boxes, lowered_by_level(known.choice, levels), count)
    return Chosen(known.boxes[best], known.choice[best], levels[best])


def _joined(first: Chosen, second: Chosen) -> Chosen:
    return Chosen(
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.choice, second.choice]),
        np.concatenate([first.levels_or_zero, second.levels_or_zero]),
    )


def _moved(
    picked: Sequence[Chosen],
    values_of: Sequence[CropValue],
    guards: Sequence[ShapeGuard | None],
    size_wh: tuple[int, int],
) -> list[Chosen]:
    """Move the boxes of each shape; return them in whole pixels with their values and levels."""
    sides = np.array([*size_wh, *size_wh], np.float64)
    shape_of = [shape for shape, one in enumerate(picked) for _ in one.boxes]  # of each row
    together = StackedValues([values_of[shape] for shape in shape_of])
    widths = np.array([values_of[shape].largest_width for shape in shape_of])
    starts = np.concatenate([one.boxes for one in picked]) / sides
    values = np.concatenate([one.choice for one in picked])

    def whole(boxes_rel: FloatArray) -> Boxes:
        return to_whole_pixels((boxes_rel * sides).astype(np.float32), *size_wh)

    moved = whole(refine(starts, values, together, widths))
    rows = np.split(moved, len(moved))
    levels = call_per_guard([guards[shape] for shape in shape_of], rows, guard_levels)
    for row, shape in enumerate(shape_of):
        if levels[row].any():  # most crops pass where they are best; only the others need this

            def guarded(near: FloatArray, _: Extents | None, shape: int = shape) -> FloatArray:
                """Return the values, guards before all else; the guards see the rounded boxes."""
                of_near = guard_levels(guards[shape], whole(near[0]))
                return lowered_by_level(values_of[shape](near[0]), of_near)[None]

            own = slice(row, row + 1)
            known = guarded(starts[own, None], None)[0]
            moved[own] = whole(refine(starts[own], known, guarded, widths[own]))
            levels[row] = guard_levels(guards[shape], moved[own])
    ends = np.cumsum([len(one.boxes) for one in picked])[:-1]
    parts = (moved, together((moved / sides)[:, None])[:, 0], np.concatenate(levels))
    return [Chosen(*each) for each in zip(*(np.split(part, ends) for part in parts), strict=True)]
