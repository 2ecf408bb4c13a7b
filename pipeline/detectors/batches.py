"""What the neural detectors share in handling photos: odd shapes and batches."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.detectors.detection import Pixels

MAX_RATIO = 30
"""Networks shrink a photo to a long side of 640 to 1,000 pixels; beyond this ratio the short side
would vanish in their first layers."""
FILL = (124, 116, 104)
"""ImageNet's mean colour: nothing to see there."""


def thickened(photo: Pixels) -> Pixels:
    """The photo with rows below or columns to the right of it, so that no ratio exceeds 30:1."""
    height, width = photo.shape[:2]
    least = math.ceil(max(height, width) / MAX_RATIO)
    if min(height, width) >= least:
        return photo
    wider = np.empty((max(height, least), max(width, least), 3), np.uint8)
    wider[:] = FILL
    wider[:height, :width] = photo
    return wider


def clipped(boxes: Tensor, photo: Pixels) -> tuple[Tensor, Tensor]:
    """Boxes [D, 4] cut off at the photo's edges, and which of them keep an area there [D]."""
    height, width = photo.shape[:2]
    limit = boxes.new_tensor([width, height, width, height])
    inside = boxes.clamp(min=0).minimum(limit)
    return inside, (inside[:, 2:] > inside[:, :2]).all(1)


def uploaded(pixels: Pixels, device: str) -> Tensor:
    """uint8 pixels on a device. To a GPU through pinned memory, so that nobody waits for it."""
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    if device.startswith("cuda"):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def in_batches(sizes: Sequence[Hashable], at_most: int) -> list[list[int]]:
    """Indices in groups of one size and at most `at_most` members.

    Pictures of different size would be padded to share a pass, and what a network sees in one
    would depend on its neighbours.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, size in enumerate(sizes):
        groups.setdefault(size, []).append(index)
    return [
        indices[start : start + at_most]
        for indices in groups.values()
        for start in range(0, len(indices), at_most)
    ]


def batch_for(device: str, on_gpu: int) -> int:
    """Pictures a pass: a CPU core gains nothing from more than one (measured: 72 against 74 ms)."""
    return 1 if device.startswith("cpu") else on_gpu
