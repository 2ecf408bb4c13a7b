"""Define the decision on one shape of a photo, and make it from an override."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.boxes import Box, Boxes, are_outside
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.override_boxes import focal_box, locked_box
from pipeline.cropping.overrides import Override
from pipeline.cropping.results import Fit
from pipeline.settings.guards import Fallback
from pipeline.shapes import Shape


@dataclass(frozen=True, eq=False)
class CropDecision:
    """What is written for one shape, the best first.

    chosen: its `choice` is NaN if no number decided.
    fallback: the fallback that decided; None for none.
    override: the override that was obeyed; None for none.
    skipped: why nothing is written; None if something is.
    """

    chosen: Chosen
    fit: Fit = "crop"
    fallback: Fallback | None = None
    override: Override | None = None
    skipped: str | None = None

    def boxes(self, count: int) -> Boxes:
        """Return the first `count` boxes [K, 4] to write, in source pixels; none if skipped."""
        return self.chosen.boxes[: 0 if self.skipped is not None else count]


def overridden(override: Override, shape: Shape, size_wh: tuple[int, int]) -> CropDecision | None:
    """Return an override's decision on a shape of a photo; None if it makes none."""
    if (locked := locked_for(override, shape, size_wh)) is not None:
        return CropDecision(_unvalued(locked), override=override)
    if override.never_crop:
        return CropDecision(whole_photo(size_wh), fit="pad", override=override)
    if override.focus_rel is not None:
        return CropDecision(
            _unvalued(focal_box(override.focus_rel, shape, size_wh)), override=override
        )
    return None


def locked_for(override: Override, shape: Shape, size_wh: tuple[int, int]) -> Box | None:
    """Return the box that a person locked for a shape, as it is cut; None if the photo has none."""
    if shape.name not in override.boxes_px or box_is_outside(override, shape.name, size_wh):
        return None
    return locked_box(override.boxes_px[shape.name], shape, size_wh)


def box_is_outside(override: Override, ratio: str, size_wh: tuple[int, int]) -> bool:
    """Return whether an override's box for the shape of this name is entirely outside the photo."""
    box_px = override.boxes_px.get(ratio)
    return box_px is not None and bool(are_outside(np.array([box_px], np.float32), *size_wh)[0])


def whole_photo(size_wh: tuple[int, int]) -> Chosen:
    """Return the whole photo as the only choice."""
    return _unvalued(np.array([0, 0, *size_wh], np.float32))


def _unvalued(box: Box) -> Chosen:
    """Return one box as a choice that no number decided."""
    return Chosen(box[None], np.array([np.nan]))
