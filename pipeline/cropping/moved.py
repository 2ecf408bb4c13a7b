"""Of boxes with values the best, clearly different ones, moved to where they are best.

Boxes are in source pixels of one photo; those of several shapes are moved together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.boxes import Boxes, FloatArray, to_whole_pixels
from pipeline.cropping.chosen import Chosen, below, better_of, pick_distinct
from pipeline.cropping.extents import Extents
from pipeline.cropping.guards import ShapeGuard, guard_levels, of_each
from pipeline.cropping.refine import refine
from pipeline.cropping.rule import CropValue
from pipeline.cropping.values import ValuesTogether


def best_moved(
    lists: Sequence[Boxes],
    values: Sequence[FloatArray],
    values_of: Sequence[CropValue],
    guards: Sequence[ShapeGuard | None],
    size_wh: tuple[int, int],
    count: int,
) -> list[Chosen]:
    """Of each shape the best of boxes [M, 4] of these values [M], at most `count`.

    The last of several is not moved. values_of, guards: of each shape; None for no guard.
    size_wh: of the photo.
    """
    if not lists:
        return []
    picked = []
    levels_of_lists = of_each(guards, lists, guard_levels)
    for boxes, of_boxes, levels in zip(lists, values, levels_of_lists, strict=True):
        best = pick_distinct(boxes, below(of_boxes, levels), count)
        picked.append(Chosen(boxes[best], of_boxes[best], levels[best]))
    counts = [min(len(one.boxes), max(1, count - 1)) for one in picked]
    moved = _moved(
        [one.boxes[:some] for one, some in zip(picked, counts, strict=True)],
        [one.choice[:some] for one, some in zip(picked, counts, strict=True)],
        values_of,
        guards,
        size_wh,
    )
    found = []
    for one, new in zip(picked, moved, strict=True):
        rest = slice(len(new.boxes), None)
        boxes = np.concatenate([new.boxes, one.boxes[rest]])
        choice = np.concatenate([new.choice, one.choice[rest]])
        levels = np.concatenate([new.told_levels, one.told_levels[rest]])
        found.append(better_of(one, Chosen(boxes, choice, levels)))
    return found


def _moved(
    boxes: Sequence[Boxes],
    values: Sequence[FloatArray],
    values_of: Sequence[CropValue],
    guards: Sequence[ShapeGuard | None],
    size_wh: tuple[int, int],
) -> list[Chosen]:
    """Boxes [K, 4] of each shape of these values [K], moved, in whole pixels."""
    sides = np.array([*size_wh, *size_wh], np.float64)
    shape_of = [shape for shape, some in enumerate(boxes) for _ in some]  # of each row
    together = ValuesTogether([values_of[shape] for shape in shape_of])
    widths = np.array([values_of[shape].largest_width for shape in shape_of])
    starts = np.concatenate(boxes) / sides

    def whole(boxes_rel: FloatArray) -> Boxes:
        return to_whole_pixels((boxes_rel * sides).astype(np.float32), *size_wh)

    moved = whole(refine(starts, np.concatenate(values), together, widths))
    rows = np.split(moved, len(moved))
    levels = of_each([guards[shape] for shape in shape_of], rows, guard_levels)
    for row, shape in enumerate(shape_of):
        if levels[row].any():  # most crops pass where they are best: only the others need it

            def guarded(near: FloatArray, _: Extents | None, shape: int = shape) -> FloatArray:
                """The value, guards before all else; both of what is left after rounding."""
                of_near = guard_levels(guards[shape], whole(near[0]))
                return below(values_of[shape](near[0]), of_near)[None]

            own = slice(row, row + 1)
            known = guarded(starts[own, None], None)[0]
            moved[own] = whole(refine(starts[own], known, guarded, widths[own]))
            levels[row] = guard_levels(guards[shape], moved[own])
    ends = np.cumsum([len(one) for one in boxes])[:-1]
    parts = (moved, together((moved / sides)[:, None])[:, 0], np.concatenate(levels))
    return [Chosen(*each) for each in zip(*(np.split(part, ends) for part in parts), strict=True)]
