"""From the embedded network's output to `Attention`: the gaze map, the map of keeping, heads."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.boxes import Boxes, FloatArray, iou
from pipeline.detectors.attention import Attention
from pipeline.detectors.peaks import objects_of
from pipeline.detectors.subject_network import GAZE, HEAD, KEPT, KINDS, OFFSETS_OF

LEAST_HEAD = 0.15
"""Least likelihood of a head; the rule of choice counts heads much above it only."""
LEAST_FACE = 0.25
"""Least likelihood of a face that stands for a head where no head overlaps it."""
HEAD_OF_FACE = np.array([-0.27, -0.44, 0.31, 0.14])
"""From a face's edges to those of its head, in the face's sides: medians over 965 faces that the
detector finds on EyeCrowd inside one head drawn by hand."""
SAME_HEAD_IOU = 0.35


def read_attention(output: torch.Tensor) -> Attention:
    """Maps and heads in the network's output [1, 24, h, w]."""
    height, width = output.shape[-2:]
    coarse = output[0, :, ::2, ::2].double()  # the two maps come in blocks of 2 × 2 equal cells
    gaze = coarse[GAZE].flatten().softmax(0).view_as(coarse[GAZE])
    faces = objects_of(output, KINDS.index("face"), OFFSETS_OF["face"], LEAST_FACE)
    heads = objects_of(output, HEAD, HEAD + 1, LEAST_HEAD)
    heads_rel, likelihood = merge_heads(heads, faces, np.array([width, height] * 2))
    return Attention(gaze.numpy(), coarse[KEPT].sigmoid().numpy(), heads_rel, likelihood)


def merge_heads(
    heads: tuple[Boxes, NDArray[np.float32]],
    faces: tuple[Boxes, NDArray[np.float32]],
    limit: NDArray[np.int64],
) -> tuple[FloatArray, FloatArray]:
    """Heads [H, 4] as shares of the photo's sides, and their likelihoods [H].

    heads, faces: boxes in cells, and likelihoods. A face makes the head that it belongs to at least
    as likely as itself; one that belongs to none becomes a head. limit: width and height of the map
    in cells, twice.
    """
    boxes, likelihood = heads[0].astype(np.float64), heads[1].astype(np.float64)
    sides = np.tile(faces[0][:, 2:] - faces[0][:, :2], 2)
    grown = np.clip(faces[0] + HEAD_OF_FACE * sides, 0, limit)
    alone = np.ones(len(grown), bool)
    for index, head in enumerate(grown if len(boxes) else []):
        overlap = iou(head, boxes)
        best = int(overlap.argmax())
        if overlap[best] > SAME_HEAD_IOU:
            likelihood[best] = max(likelihood[best], float(faces[1][index]))
            alone[index] = False
    together = np.concatenate([boxes, grown[alone]]) / limit
    return together, np.concatenate([likelihood, faces[1][alone]])
