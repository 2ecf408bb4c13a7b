"""Decide long photos and pages of text differently from the rule of choice.

docs/KINDS.md defines the kinds of photos. A person's instruction takes precedence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.cropping.candidates import largest
from pipeline.cropping.overrides import Override
from pipeline.detectors import Detections
from pipeline.photo.decode import Photo
from pipeline.photo.kinds import PictureKind
from pipeline.shapes import Shape

LongPhotos = Literal["auto", "look", "top", "pad"]
TextHeavy = Literal["pad", "crop"]
LONG: LongPhotos = "auto"  # the default
TEXT: TextHeavy = "pad"

# A photo is text-heavy if blocks of text cover at least this share of it. On 2,681 photos of public
# collections, shop signs and packages among them, the largest share was .246.
TEXT_SHARE = 0.25
GRID = 64  # points per side at which the photo is sampled for text
LONGEST_FREE = 2.0  # ratio of a `free` crop of a long photo's beginning


@dataclass(frozen=True)
class KindPolicy:
    """How long photos and pages are treated: `--long-photos` and `--text-heavy`."""

    long_photos: LongPhotos = LONG
    text_heavy: TextHeavy = TEXT

    def override_for(
        self, photo: Photo, objects: Detections, shapes: Sequence[Shape]
    ) -> Override | None:
        """Return what a photo's kind decides; None if it is cropped like any other photo."""
        kind = kind_with_objects(photo, objects)
        if kind == "text-heavy" and self.text_heavy == "pad":
            return Override("", never_crop=True, reason="text_pad")
        if kind != "long":
            return None
        way = self.long_photos
        if way == "auto":
            way = "top" if photo.by_screen else "look"
        if way == "pad":
            return Override("", never_crop=True, reason="long_pad")
        if way == "look":  # what people look at decides, as for any photo
            return None
        boxes = {
            shape.name: leading_box(photo.width_px, photo.height_px, shape) for shape in shapes
        }
        return Override("", boxes_px=boxes, reason="long_top")


def kind_with_objects(photo: Photo, objects: Detections) -> PictureKind:
    """Return a photo's kind, given its objects: a photo full of text is text-heavy."""
    if photo.kind == "photo" and text_share(objects, photo.width_px, photo.height_px) >= TEXT_SHARE:
        return "text-heavy"
    return photo.kind


def text_share(objects: Detections, width: int, height: int) -> float:
    """Compute the share of a photo's area under blocks of text; boxes in its source pixels."""
    points = (np.arange(GRID) + 0.5) / GRID
    covered = np.zeros((GRID, GRID), bool)
    for box, label in zip(objects.boxes, objects.labels, strict=True):
        if label == "text":
            x0, y0, x1, y1 = box / np.array([width, height, width, height])
            rows, columns = (points >= y0) & (points < y1), (points >= x0) & (points < x1)
            covered |= rows[:, None] & columns
    return float(covered.mean())


def leading_box(width: int, height: int, shape: Shape) -> tuple[float, float, float, float]:
    """Return the largest box of a shape at a long photo's beginning: its top or its left end."""
    tall = height >= width
    ratio = shape.ratio or (1 / LONGEST_FREE if tall else LONGEST_FREE)
    wide, high = (max(1, round(side)) for side in largest(width, height, ratio))
    x0, y0 = ((width - wide) // 2, 0) if tall else (0, (height - high) // 2)
    return float(x0), float(y0), float(x0 + wide), float(y0 + high)
