"""What is decided about one shape of a photo, and what an override decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.boxes import Box, Boxes, are_outside
from pipeline.cropping.chosen import Chosen
from pipeline.cropping.override_boxes import focal_box, locked_box
from pipeline.cropping.overrides import Override
from pipeline.cropping.results import Fit
from pipeline.settings.guards import Way
from pipeline.shapes import Shape


@dataclass(frozen=True, eq=False)
class CropDecision:
    """What is written of one shape, the best first.

    chosen: where no number decided, `choice` is not a number.
    way: the fallback that decided; None for none.
    override: what was obeyed; None for nothing.
    skipped: why nothing is written; None where something is.
    """

    chosen: Chosen
    fit: Fit = "crop"
    way: Way | None = None
    override: Override | None = None
    skipped: str | None = None

    def boxes(self, count: int) -> Boxes:
        """What is written: the first `count` boxes [K, 4], source pixels; none where skipped."""
        return self.chosen.boxes[: 0 if self.skipped is not None else count]


def overridden(override: Override, shape: Shape, size_wh: tuple[int, int]) -> CropDecision | None:
    """What an override says of a shape of a photo; None where it says nothing."""
    if shape.name in override.boxes_px and not misses(override, shape.name, size_wh):
        locked = locked_box(override.boxes_px[shape.name], shape, size_wh)
        return CropDecision(_unvalued(locked), override=override)
    if override.never_crop:
        return CropDecision(whole_photo(size_wh), fit="pad", override=override)
    if override.focus_rel is not None:
        return CropDecision(
            _unvalued(focal_box(override.focus_rel, shape, size_wh)), override=override
        )
    return None


def misses(override: Override, ratio: str, size_wh: tuple[int, int]) -> bool:
    """Whether an override has a box for a shape of this name of which nothing is in the photo."""
    box_px = override.boxes_px.get(ratio)
    return box_px is not None and bool(are_outside(np.array([box_px], np.float32), *size_wh)[0])


def whole_photo(size_wh: tuple[int, int]) -> Chosen:
    """The whole photo as the one choice."""
    return _unvalued(np.array([0, 0, *size_wh], np.float32))


def _unvalued(box: Box) -> Chosen:
    """One box that no number has chosen."""
    return Chosen(box[None], np.array([np.nan]))
