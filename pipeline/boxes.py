"""Define the pixel model of boxes and the box arithmetic that every room shares.

A box is xyxy: (x0, y0, x1, y1), x to the right, y down, from the upper left corner of the image.
Coordinates are positions between pixels, not pixel indices: pixel column i covers i to i + 1. So a
box is half-open, its width is x1 - x0, and a whole 640 × 480 photo is (0, 0, 640, 480).

Worked example: the box (10, 20, 30, 60) covers the pixel columns 10 to 29 and the rows 20 to 59;
its area is 20 · 40 = 800. With the box (20, 20, 40, 60) it shares 10 · 40 = 400, so their IoU is
400 / (800 + 800 - 400) = 1/3.

A name's suffix states its frame: `_px` source pixels after orientation (also names without a
suffix), `_view` the decoded, perhaps reduced photo, `_input` the network's tensor, `_rel` shares of
the image's sides.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UsageError

Box = NDArray[np.float32]  # [4] xyxy
Boxes = NDArray[np.float32]  # [N, 4] xyxy
FloatArray = NDArray[np.float64]
_Float = TypeVar("_Float", bound=np.floating[Any])


def iou(boxes_a: ArrayLike, boxes_b: ArrayLike) -> FloatArray:
    """Compute the intersection over union of xyxy boxes [..., 4] and [..., 4], with broadcasting.

    Two lists pair up element by element; `iou(a[:, None], b)` gives the [A, B] matrix. The result
    is 0.0 where the union is empty. Raises UsageError for arrays whose last axis is not 4 long.
    """
    a, b = as_boxes(boxes_a), as_boxes(boxes_b)
    # Every choice of a crop compares thousands of boxes. Working edge by edge takes half the time
    # of arrays [..., 2], and np.maximum a fraction of np.clip's time on small arrays.
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = _clipped_area(a) + _clipped_area(b) - shared
    ratio = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return np.asarray(ratio, dtype=np.float64)


def shared_lengths(
    low: FloatArray, high: FloatArray, other_low: FloatArray, other_high: FloatArray
) -> FloatArray:
    """Compute the overlap of each of intervals [..., N] with each of [..., M]: [..., N, M]."""
    length = np.minimum(high[..., None], other_high[..., None, :])
    length -= np.maximum(low[..., None], other_low[..., None, :])
    return np.maximum(length, 0, out=length)


def as_boxes(values: ArrayLike) -> FloatArray:
    """Return boxes [..., 4] as float64. Raises UsageError for other shapes and as `as_numbers`."""
    boxes = as_numbers(values)
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise UsageError(f"expected xyxy boxes [..., 4], got shape {boxes.shape}")
    return boxes


def as_numbers(values: ArrayLike) -> FloatArray:
    """Return values as a float64 array. Raises UsageError for ragged lists and what is no float."""
    try:
        if np.iscomplexobj(values):  # numpy would drop the imaginary parts
            raise TypeError("complex numbers are none")
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"expected xyxy boxes, each of four numbers: {error}") from error


def area(boxes: NDArray[_Float]) -> NDArray[_Float]:
    """Compute the area of boxes [..., 4], in square units of their frame: [...]."""
    wide, high = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return np.asarray(wide * high)


def intersection(boxes: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Compute the area that each of boxes [N, 4] shares with each of others [M, 4]: [N, M]."""
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    sides = high - np.maximum(boxes[:, None, :2], others[:, :2])
    result: NDArray[np.float32] = np.prod(np.clip(sides, 0, None), axis=2)
    return result


def shares_inside(crop: NDArray[np.float32], objects: Boxes) -> NDArray[np.float32]:
    """Compute the share of each object's area inside a crop [4]; objects [D, 4], area > 0: [D]."""
    shares: NDArray[np.float32] = intersection(crop[None], objects)[0] / area(objects)
    return shares


def hull(boxes: ArrayLike) -> NDArray[np.float32]:
    """Return the smallest box [4] that encloses all of boxes [N, 4], N ≥ 1."""
    together = np.asarray(boxes, np.float32)
    return np.concatenate([together[:, :2].min(axis=0), together[:, 2:].max(axis=0)])


def mirror(boxes: NDArray[_Float], width: float) -> NDArray[_Float]:
    """Mirror boxes [N, 4] with their image of that width; left and right edges swap."""
    x0, y0, x1, y1 = boxes.T
    return np.stack([width - x1, y0, width - x0, y1], axis=1)


def to_whole_pixels(boxes: NDArray[np.floating], width: int, height: int) -> Boxes:
    """Round boxes to whole pixels inside a width × height photo, at least 1 px per side: [N, 4]."""
    limit = np.array([width, height], np.float32)
    low = np.minimum(np.maximum(np.rint(boxes[:, :2]), 0), limit - 1)
    high = np.minimum(np.maximum(np.rint(boxes[:, 2:]), low + 1), limit)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def are_outside(boxes: NDArray[np.floating], width: int, height: int) -> NDArray[np.bool_]:
    """Return which boxes [N, 4], rounded, lie entirely outside a width × height photo: [N]."""
    edges = np.rint(boxes)
    beyond = (edges[:, :2] >= np.array([width, height])) | (edges[:, 2:] <= 0)
    return np.asarray(beyond.any(axis=1))


def _clipped_area(boxes: FloatArray) -> FloatArray:
    """Compute the area of boxes [..., 4], 0 for a box whose edges are swapped."""
    width = np.maximum(boxes[..., 2] - boxes[..., 0], 0.0)
    height = np.maximum(boxes[..., 3] - boxes[..., 1], 0.0)
    return np.asarray(width * height, dtype=np.float64)
