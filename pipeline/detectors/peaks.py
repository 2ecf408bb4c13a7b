"""Read objects off the embedded network's output: peaks of a heat map, and the offsets there.

Boxes are in cells of the output. Method: Zhou et al., "Objects as Points", arXiv 1904.07850.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.detectors.subject_network import ltrb_offsets
from pipeline.detectors.suppression import nms

NMS_IOU = 0.5

Map = NDArray[np.float32]  # [h, w]


def objects_of(
    output: torch.Tensor, centre: int, offsets: int, least: float
) -> tuple[Boxes, NDArray[np.float32]]:
    """Objects of one kind: boxes [N, 4] in cells, and likelihoods [N], best first.

    output: of `SubjectNetwork`, [1, C, h, w]; centre: channel of the kind's centres; offsets: the
    first channel of its offsets; least: likelihood from which on a peak is an object.
    """
    likelihood = output[:, centre : centre + 1].sigmoid()
    if float(likelihood.max()) < least:  # most photos lack some kind
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    highest = torch.nn.functional.max_pool2d(likelihood, 3, stride=1, padding=1)
    peak = torch.where(likelihood == highest, likelihood, 0.0)[0, 0].numpy()
    return objects_at_peaks(peak, ltrb_offsets(output, offsets)[0].numpy(), least)


def objects_at_peaks(
    peak: Map, offsets: NDArray[np.float32], least: float
) -> tuple[Boxes, NDArray[np.float32]]:
    """Objects of one kind: boxes [N, 4] in cells, inside the map, and likelihoods [N], best first.

    peak: likelihood of a centre in each cell, 0 where a neighbour's is higher. [h, w]
    offsets: from a cell's centre to its object's edges, in cells. [4, h, w]
    """
    rows, columns = np.nonzero(peak >= least)
    left, up, right, down = offsets[:, rows, columns]
    x, y = columns + 0.5, rows + 0.5
    limit = np.array([peak.shape[1], peak.shape[0]] * 2)
    edges = np.stack([x - left, y - up, x + right, y + down], axis=1)
    boxes = np.minimum(np.maximum(edges, 0), limit).astype(np.float32)
    likelihood = peak[rows, columns]
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    boxes, likelihood = boxes[has_area], likelihood[has_area]
    if len(boxes) > 1:
        kept = nms(boxes, likelihood, NMS_IOU)
        boxes, likelihood = boxes[kept], likelihood[kept]
    return boxes, likelihood
