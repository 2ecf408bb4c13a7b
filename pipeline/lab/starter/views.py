"""Whole photos, mirrored photos and parts of photos, each with its pseudo-labels."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Box
from pipeline.lab.starter.pseudo_labels import (
    LabelledObject,
    PseudoLabels,
    area_rel,
    merged_objects,
    pseudo_labels,
)
from pipeline.lab.starter.saliency import SIDE
from pipeline.lab.starter.saliency import saliency as saliency_of
from pipeline.lab.starter.teacher_outputs import TeacherOutputs, read_photo

# Set by hand.
PARTS, PART_SIDES = 3, (0.55, 0.95)  # parts of a photo, and their sides as shares of its sides
MIN_SHOWN = 0.25  # share of an object that a part must show for the object to count there


@dataclass(frozen=True, eq=False)
class View:
    """A part of a photo: `part` xyxy as shares of its sides, mirrored or not."""

    outputs: TeacherOutputs
    part: Box
    mirrored: bool
    labels: PseudoLabels

    def pixels(self, folder: Path) -> NDArray[np.uint8]:
        """Read the RGB pixels [h, w, 3] of the view."""
        photo = read_photo(folder / self.outputs.file)
        height, width = photo.shape[:2]
        x0, y0, x1, y1 = np.rint(self.part * [width, height, width, height]).astype(int)
        pixels = photo[y0:y1, x0:x1]
        return np.ascontiguousarray(pixels[:, ::-1] if self.mirrored else pixels)


def views_of(outputs: TeacherOutputs, random: np.random.Generator) -> list[View]:
    """Make views of the photo, its mirror image and random parts of it."""
    whole = np.array([0, 0, 1, 1], np.float32)
    views = [view_of(outputs, whole, False), view_of(outputs, whole, True)]
    for _ in range(PARTS):
        sides = random.uniform(*PART_SIDES, 2)
        corner = random.uniform(0, 1 - sides)
        part = np.array([*corner, *(corner + sides)], np.float32)
        views.append(view_of(outputs, part, bool(random.random() < 0.5)))
    return views


def view_of(outputs: TeacherOutputs, part: Box, mirrored: bool) -> View:
    """Make one view; its pseudo-labels are derived again from its visible contents."""
    salient = saliency_of(outputs)
    low = np.floor(part[:2] * SIDE).astype(int)
    high = np.ceil(part[2:] * SIDE).astype(int)
    shown = salient[low[1] : high[1], low[0] : high[0]]
    shown = np.ascontiguousarray(shown[:, ::-1] if mirrored else shown)
    objects = [
        shown_object
        for each in merged_objects(outputs)
        if (shown_object := _in_view(each, part, mirrored)) is not None
    ]
    return View(outputs, part, mirrored, pseudo_labels(objects, cv2.resize(shown, (SIDE, SIDE))))


def _in_view(found: LabelledObject, part: Box, mirrored: bool) -> LabelledObject | None:
    """Map an object into a view, less likely the less of it is shown; None if too little."""
    low, high = np.maximum(found.box[:2], part[:2]), np.minimum(found.box[2:], part[2:])
    box = np.concatenate([low, high])
    share = area_rel(box) / area_rel(found.box) if (high > low).all() else 0.0
    if share < MIN_SHOWN:
        return None
    sides = part[2:] - part[:2]
    x0, y0, x1, y1 = (box - np.tile(part[:2], 2)) / np.tile(sides, 2)
    placed = [1 - x1, y0, 1 - x0, y1] if mirrored else [x0, y0, x1, y1]
    return replace(found, box=np.array(placed, np.float32), likelihood=found.likelihood * share)
