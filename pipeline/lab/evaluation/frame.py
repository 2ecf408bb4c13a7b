"""The frame of labels: pixels of the upright photo. Boxes that leave it are in another frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.cropping.candidates import largest
from pipeline.errors import ScoreError, UsageError
from pipeline.lab.datasets import Example
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shape

SLACK_PX = 2.0
"""Boxes may leave the photo by this much, as rounding does; more is another frame."""


@dataclass(frozen=True)
class FollowedBoxes:
    """Boxes whose shares in the crops are measured: objects, or people with their group.

    boxes_px: in pixels of the upright photo, [D, 4]. groups: D names, all "" for objects.
    """

    boxes_px: Boxes
    groups: list[str]


def check_frame(example: Example, followed: FollowedBoxes | None, photo: Photo) -> None:
    """Raise ScoreError, boxes_outside, where labels are in another frame, see `frame_problem`."""
    if problem := frame_problem(example, (photo.width_px, photo.height_px), followed):
        raise ScoreError("boxes_outside", problem)


def check_inside(example: Example, size_wh: tuple[int, int]) -> None:
    """Raise UsageError, naming the photo, where labels are in another frame than it."""
    if problem := frame_problem(example, size_wh):
        raise UsageError(f"{example.image}: {problem}")


def frame_problem(
    example: Example, size_wh: tuple[int, int], followed: FollowedBoxes | None = None
) -> str | None:
    """Describe labels in another frame than a photo of a size; None where there are none.

    These are crops and followed boxes of which one leaves the photo or has no area inside it, and
    fixations, heads or acceptable places of a shape that are all outside. Single ones may be.
    """
    given = {"scored crops": example.scored_px, "crops of people": example.human_px}
    if followed is not None:
        given["boxes to follow"] = followed.boxes_px
    for what, boxes in given.items():
        if (leaves := leaving(boxes, size_wh)).any():
            return leaving_message(what, boxes, leaves, size_wh)
    return all_outside(example, size_wh)


def leaving(
    boxes: Boxes, size_wh: tuple[int, int], slack_px: float = SLACK_PX
) -> NDArray[np.bool_]:
    """Return which boxes [N, 4] leave the photo by more than slack_px or have no area in it."""
    limit = np.array(size_wh * 2)
    inside = np.clip(boxes, 0, limit)
    leaves = ((boxes > limit + slack_px) | (boxes < -slack_px)).any(1)
    return np.asarray(leaves | (inside[:, :2] >= inside[:, 2:]).any(1))


def leaving_message(
    what: str, boxes: Boxes, leaves: NDArray[np.bool_], size_wh: tuple[int, int]
) -> str:
    """Describe boxes that leave the photo; leaves: the result of `leaving`."""
    first = " ".join(f"{edge:g}" for edge in boxes[leaves][0].tolist())
    return (
        f"{int(leaves.sum())} of {len(leaves)} {what} leave the photo of {size_wh[0]} × "
        f"{size_wh[1]}: is it another size, or x and y swapped? The first is {first} (x0 y0 x1 y1)"
    )


def all_outside(example: Example, size_wh: tuple[int, int]) -> str | None:
    """Describe a kind of label that is all outside a photo of a size; None where there is none."""
    shown: dict[str, NDArray[np.bool_]] = {}  # which of each kind are at least partly inside
    for what, boxes in (("crops of people", example.human_px), ("heads", example.heads_px)):
        if boxes is not None:
            shown[what] = np.asarray(((boxes[:, :2] < size_wh) & (boxes[:, 2:] > 0)).all(axis=1))
    if (points := example.fixations_px) is not None:
        shown["fixations"] = np.asarray(((points >= 0) & (points < size_wh)).all(axis=1))
    for name, ranges in example.places_px.items():
        ratio = parse_shape(name).ratio
        assert ratio is not None, "a shape without a ratio has no places"
        room = np.subtract(size_wh, largest(*size_wh, ratio)).max()  # the other side it fills
        within = (ranges[:, 0] <= room + SLACK_PX) & (ranges[:, 1] >= -SLACK_PX)
        shown[f"places of {name}"] = within
    for what, inside in shown.items():
        if len(inside) and not inside.any():
            size = f"{size_wh[0]} × {size_wh[1]}"
            return (
                f"all {what} ({len(inside)}) are outside of the photo of {size}: is it another "
                "size, or x and y swapped?"
            )
    return None


def within_photo(boxes: Boxes, photo: Photo) -> Boxes:
    """Clip boxes [N, 4] to the photo."""
    limit = np.array([photo.width_px, photo.height_px] * 2, np.float32)
    return np.clip(boxes, 0, limit).astype(np.float32)
