"""Run the detector behind the published boxes: Faster R-CNN R101-C4 trained on Visual Genome.

Users download the weights themselves; they are not part of the package. A photo takes about 3 s on
one CPU core, so this is a detector for GPUs and for reproducing the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.detectors.batches import batch_for, clipped, in_batches, padded
from pipeline.detectors.checkpoint import check_layout, read_checkpoint
from pipeline.detectors.detection import Detections, Pixels
from pipeline.detectors.visual_genome_network import (
    CLASSES,
    DELTA_STD,
    RoiOutput,
    VisualGenomeNetwork,
    clip,
    decode_boxes,
    nms_inclusive,
)
from pipeline.device import choose_device
from pipeline.errors import SettingError

# Test settings of the published model, from its authors' configuration (bottom-up-attention,
# lib/fast_rcnn/config.py, PIXEL_MEANS and TEST): mean colour, and sides of the input in pixels.
MEAN_BGR = (102.9801, 115.9465, 122.7717)
SHORT_SIDE = 600
LONG_SIDE = 1000
GPU_BATCH = 4
"""Photos per pass, at about 0.5 GB of activations each."""
CLASS_SCORE = 0.2
"""Least class score that makes a region an object, as in the authors' tools/generate_tsv.py."""
CLASS_NMS_IOU = 0.3
"""Of regions of a class with a larger IoU, only the best is kept: the configuration's TEST.NMS."""
MAX_OBJECTS = 10
"""The larger published graph has 10 object nodes (gaicv1), the smaller 5 (gaicv2). The authors
did not say how they chose among the boxes; here the most confident are used, best first."""
HOW_TO_GET = (
    "The published weights are on Google Drive, id 18n_3V1rywgeADZ3oONO0DsuuS9eMW6sN "
    "(from github.com/shilrley6/Faster-R-CNN-with-model-pretrained-on-Visual-Genome): "
    "download the file and name it in the detector, vg:<path or URI>"
)


class VisualGenomeDetector:
    """Finds objects of 1,600 kinds, at most 10 per photo, most confident first."""

    name = "vg"

    def __init__(
        self,
        network: VisualGenomeNetwork,
        identity: str,
        device: str | torch.device = "cpu",
    ) -> None:
        """Move the network to `device`, by the rule of `pipeline.device`. Raises UsageError."""
        self.identity = identity
        self._device = choose_device(device)
        self.batch = batch_for(self._device, GPU_BATCH)
        self._network = network.eval().to(self._device)

    @classmethod
    def from_checkpoint(
        cls, uri: str | None, device: str | torch.device = "cpu"
    ) -> VisualGenomeDetector:
        """Load the published file (a mapping with the key `model`) from a path or fsspec URI.

        Raises UsageError if `uri` is None, the file is missing, or its layout is another.
        """
        if uri is None:
            raise SettingError("detector", f"vg needs its weights. {HOW_TO_GET}")
        tensors, sha256 = read_checkpoint(uri, HOW_TO_GET, entry="model")
        return cls(load_network(tensors, uri), f"vg:{sha256}", device)

    @torch.inference_mode()
    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """See `Detector.detect`. At most `batch` photos that resize to one size share a pass."""
        prepared = [resized_bgr(padded(photo)) for photo in photos]
        found: dict[int, Detections] = {}
        for indices in in_batches([tuple(p.shape) for p, _ in prepared], self.batch):
            batch = torch.stack([prepared[i][0] for i in indices]).to(self._device)
            for i, output in zip(indices, self._network(batch), strict=True):
                size_hw = (batch.shape[2], batch.shape[3])
                boxes, scores, classes = select(output, size_hw)
                found[i] = _detections(boxes / prepared[i][1], scores, classes, photos[i]).top(
                    MAX_OBJECTS
                )
        return [found[i] for i in range(len(photos))]


def load_network(state: Mapping[str, Any], where: str) -> VisualGenomeNetwork:
    """Load a published state dict into the network. Raises UsageError if its layout is another."""
    network = VisualGenomeNetwork()
    check_layout(state, network.state_dict(), where)
    network.load_state_dict(state)
    return network.eval()


def resized_bgr(photo: Pixels) -> tuple[Tensor, float]:
    """Convert uint8 RGB [h, w, 3] to float BGR [3, H, W] minus MEAN_BGR; return also the scale.

    The short side is 600 and the long side at most 1000. Dividing boxes by the scale converts them
    back.
    """
    height, width = photo.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    if scale * max(height, width) > LONG_SIDE:
        scale = LONG_SIDE / max(height, width)
    bgr = photo[:, :, ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)
    resized = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1))), scale


def select(output: RoiOutput, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Select regions with a surviving class: boxes [D, 4] in resized pixels, scores, classes [D].

    Per class, the regressed boxes with score > .2 go through NMS at .3. A region's confidence is
    its largest surviving class score, its box that of its most probable class. Best first.
    """
    probabilities = output.probabilities
    regions = len(output.rois)
    deltas = output.deltas.view(regions, CLASSES, 4) * output.deltas.new_tensor(DELTA_STD)
    confidence = probabilities.new_zeros(regions)
    candidates = probabilities > CLASS_SCORE
    candidates[:, 0] = False
    for label in candidates.any(0).nonzero()[:, 0].tolist():
        rows = candidates[:, label].nonzero()[:, 0]
        boxes = clip(decode_boxes(output.rois[rows], deltas[rows, label]), size_hw)
        rows = rows[nms_inclusive(boxes, probabilities[rows, label], CLASS_NMS_IOU)]
        confidence[rows] = torch.maximum(confidence[rows], probabilities[rows, label])
    best = probabilities[:, 1:].argmax(1) + 1
    order = confidence.argsort(descending=True, stable=True)
    order = order[confidence[order] > 0]
    boxes = clip(decode_boxes(output.rois[order], deltas[order, best[order]]), size_hw)
    return boxes, confidence[order], best[order]


def _detections(boxes: Tensor, scores: Tensor, classes: Tensor, photo: Pixels) -> Detections:
    boxes, visible = clipped(boxes, photo)
    found: NDArray[np.float32] = boxes[visible].cpu().numpy()
    labels = [f"vg:{label}" for label in classes[visible].tolist()]
    return Detections(found, scores[visible].cpu().numpy(), labels)
