"""Read objects from the embedded network's output: peaks of a heat map and the offsets there.

Boxes are in cells of the output. Method: Zhou et al., "Objects as Points", arXiv 1904.07850.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.detectors.subject_network import ANIMAL_HEAD, HEAD, KINDS, ltrb_offsets
from pipeline.detectors.suppression import nms

NMS_IOU = 0.5  # of two objects of a kind with a larger IoU, the less likely one is left out
CENTRES = [*range(len(KINDS)), HEAD, ANIMAL_HEAD]  # channels of an output with centres

Map = NDArray[np.float32]  # [h, w]


class HeatMaps:
    """Centres and offsets of one output, each computed once for all readers."""

    def __init__(self, output: torch.Tensor) -> None:
        """Compute centres and peaks of a `SubjectNetwork` or `SubjectHead` output [1, C, h, w]."""
        self._output = output
        channels = [channel for channel in CENTRES if channel < output.shape[1]]
        centres = output[:, channels].sigmoid()
        highest = torch.nn.functional.max_pool2d(centres, 3, stride=1, padding=1)
        self._centres: dict[int, Map] = dict(zip(channels, centres[0].numpy(), strict=True))
        peaks = torch.where(centres == highest, centres, 0.0)[0].numpy()
        self._peaks: dict[int, Map] = dict(zip(channels, peaks, strict=True))
        self._offsets: dict[int, NDArray[np.float32]] = {}

    def centres(self, channel: int) -> Map:
        """Return how likely cells [h, w] are an object's centre; channel: one of CENTRES."""
        return self._centres[channel]

    def offsets(self, first: int) -> NDArray[np.float32]:
        """Return offsets [4, h, w] from cells' centres to objects' edges; see `ltrb_offsets`."""
        if first not in self._offsets:
            self._offsets[first] = ltrb_offsets(self._output, first)[0].numpy()
        return self._offsets[first]

    def objects(self, centre: int, offsets: int, least: float) -> tuple[Boxes, NDArray[np.float32]]:
        """Find objects of one kind: boxes [N, 4] in cells, and likelihoods [N], best first.

        centre: channel of the kind's centres, one of CENTRES; offsets: the first channel of its
        offsets; least: likelihood from which on a peak is an object.
        """
        peak = self._peaks[centre]
        if float(peak.max()) < least:  # most photos lack some kind
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return objects_at_peaks(peak, self.offsets(offsets), least)


def objects_at_peaks(
    peak: Map, offsets: NDArray[np.float32], least: float
) -> tuple[Boxes, NDArray[np.float32]]:
    """Find objects of one kind: boxes [N, 4] in cells, inside the map, likelihoods [N], best first.

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
