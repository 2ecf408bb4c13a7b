"""Baselines that use no pixels: centred crops, and scores by size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.boxes import Box, Boxes, FloatArray, iou
from pipeline.cropping.candidates import largest
from pipeline.lab.evaluation.baselines.baseline import shifted_inside
from pipeline.photo.decode import Photo


@dataclass(frozen=True)
class Centre:
    """The largest centred crop of a ratio, its sides times `share`.

    Given crops are scored by their overlap with the centred box whose sides are that share of the
    photo's. At a share of 1 this box contains every crop, so they are scored by their overlap with
    the centred box of their own size.
    """

    share: float = 1.0

    def crops(self, photo: Photo, ratios: Sequence[float]) -> list[Box]:
        sizes = [largest(photo.width_px, photo.height_px, ratio) for ratio in ratios]
        return [centred(photo, self.share * width, self.share * height) for width, height in sizes]

    def score(self, photo: Photo, boxes_px: Boxes) -> FloatArray:
        if self.share < 1:
            return iou(
                boxes_px, centred(photo, photo.width_px * self.share, photo.height_px * self.share)
            )
        sides = boxes_px[:, 2:] - boxes_px[:, :2]
        same_size = [centred(photo, width, height) for width, height in sides]
        return iou(boxes_px, np.array(same_size))


class Largest:
    """Scores crops by size, larger is better. It places none: size does not depend on place."""

    def crops(self, photo: Photo, ratios: Sequence[float]) -> None:
        return None

    def score(self, photo: Photo, boxes_px: Boxes) -> FloatArray:
        sides = boxes_px[:, 2:].astype(np.float64) - boxes_px[:, :2]
        return np.asarray(sides.prod(1) / (photo.width_px * photo.height_px))


def centred(photo: Photo, width: float, height: float) -> Box:
    """Return the box of a size in the middle of a photo."""
    centre = np.array([photo.width_px, photo.height_px]) / 2
    return shifted_inside(photo, centre, np.array([width, height]))
