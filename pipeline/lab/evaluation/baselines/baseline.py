"""The interface of a baseline: place a crop of a ratio, and score given crops."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Box, Boxes, FloatArray, iou
from pipeline.cropping.candidates import largest
from pipeline.photo.decode import Photo


class Baseline(Protocol):
    """One method that the product's crops are compared with."""

    def crops(self, photo: Photo, ratios: Sequence[float]) -> list[Box] | None:
        """Return its crop of each width / height; None where it does not place crops."""
        ...

    def score(self, photo: Photo, boxes_px: Boxes) -> FloatArray:
        """Return one number for each of boxes_px [N, 4], higher is better."""
        ...


def shifted_inside(photo: Photo, centre: NDArray[np.float64], size: NDArray[np.float64]) -> Box:
    """Return the box of a size (w, h) around a centre (x, y), moved to be inside the photo."""
    limit = np.array([photo.width_px, photo.height_px])
    low = np.clip(centre - size / 2, 0, np.maximum(limit - size, 0))
    return np.concatenate([low, low + size]).astype(np.float32)


def overlap_with_own(
    boxes_px: Boxes, place: Callable[[NDArray[np.float64]], NDArray[np.float32]]
) -> FloatArray:
    """Score boxes [N, 4] by their IoU with the crop of that size that a method places.

    place: returns crops [S, 4] for sizes [S, 2]. Sizes are rounded to whole pixels, and equal ones
    are placed once.
    """
    sizes = np.rint(boxes_px[:, 2:] - boxes_px[:, :2]).astype(np.float64)
    unique, where = np.unique(sizes, axis=0, return_inverse=True)
    return iou(boxes_px, place(unique)[where.ravel()])


class PlacingBaseline(ABC):
    """A method that places a crop of a given size; of each ratio, it places the largest one."""

    @abstractmethod
    def place(self, photo: Photo, sizes: FloatArray) -> Boxes:
        """Place crops [N, 4] of sizes [N, 2] (width, height in source pixels)."""

    def crops(self, photo: Photo, ratios: Sequence[float]) -> list[Box]:
        """See `Baseline.crops`."""
        sizes = [largest(photo.width_px, photo.height_px, ratio) for ratio in ratios]
        return list(self.place(photo, np.array(sizes)))

    def score(self, photo: Photo, boxes_px: Boxes) -> FloatArray:
        """See `Baseline.score`."""
        return overlap_with_own(boxes_px, lambda sizes: self.place(photo, sizes))
