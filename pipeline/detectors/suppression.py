"""Clip boxes and suppress those of the same object, as torchvision.ops does.

Importing torchvision also loads torch's compiler, which would cost a second of CPU time in every
process that scores, for these few lines.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def clipped_to(boxes: Tensor, height: int, width: int) -> Tensor:
    """Clip boxes [N, 4] xyxy: each edge is moved into 0 to width, 0 to height."""
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], most_iou: float
) -> NDArray[np.intp]:
    """Return the rows that non-maximum suppression keeps, best first, of equals the earlier.

    boxes: [N, 4] xyxy; most_iou: a box with a larger IoU with a better one is left out.
    """
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = np.maximum(high - low, np.float32(0)).prod(1)
        iou = common / (areas[best] + areas[rest] - common)
        order = rest[~(iou > most_iou)]
    return np.array(kept, np.intp)
