"""The frame of labels: pixels of the upright photo. Boxes that leave it are of another frame."""

from dataclasses import dataclass

import numpy as np

from pipeline.boxes import Boxes
from pipeline.errors import ScoreError
from pipeline.lab.datasets import Example
from pipeline.photo.decode import Photo

SLACK_PX = 2.0
"""Boxes may leave the photo by this much, as rounding does; more is another frame."""


@dataclass(frozen=True)
class FollowedBoxes:
    """Boxes whose fate inside the crops is followed: objects, or people with their group.

    boxes_px: in pixels of the upright photo, [D, 4]. groups: D names, all "" for objects.
    """

    boxes_px: Boxes
    groups: list[str]


def check_frame(example: Example, followed: FollowedBoxes | None, photo: Photo) -> None:
    """Raises ScoreError, boxes_outside, where boxes leave the photo or have no area inside it."""
    given = {"scored crops": example.scored_px, "crops of people": example.human_px}
    if followed is not None:
        given["boxes to follow"] = followed.boxes_px
    limit = np.array([photo.width_px, photo.height_px] * 2) + SLACK_PX
    for what, boxes in given.items():
        inside = within_photo(boxes, photo)
        outside = ((boxes > limit) | (boxes < -SLACK_PX)).any(1)
        outside |= (inside[:, :2] >= inside[:, 2:]).any(1)
        if outside.any():
            raise ScoreError(
                "boxes_outside",
                f"{int(outside.sum())} of {len(boxes)} {what} leave the photo of "
                f"{photo.width_px} × {photo.height_px}: is it another size, or x and y swapped?",
            )


def within_photo(boxes: Boxes, photo: Photo) -> Boxes:
    """The parts of boxes [N, 4] that are inside the photo."""
    limit = np.array([photo.width_px, photo.height_px] * 2, np.float32)
    return np.clip(boxes, 0, limit).astype(np.float32)
