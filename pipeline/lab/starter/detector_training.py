"""Train the embedded detector on pseudo-labels: centre heat maps, box offsets, the subject map."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.embedded import detector_input_size
from pipeline.detectors.subject_network import (
    KINDS,
    OFFSETS_OF,
    UPPER,
    SubjectHead,
    SubjectNetwork,
    ltrb_offsets,
)
from pipeline.lab.batches import batches_of_epochs
from pipeline.lab.centre_maps import OFFSETS_FROM, bump_of, focal_losses, write_offsets
from pipeline.lab.starter.views import View
from pipeline.lab.training.schedule import moving_average, one_cycle, optimizer_step

# Set by hand, unless a source is given.
VIEWS_PER_STEP, RATE, TRUNK_RATE, DECAY, EMA_DECAY = 8, 2e-3, 2.5e-4, 0.02, 0.998
CLIP_NORM = 2.0  # of a step's gradient
HEATMAP_BIAS, OFFSET_BIAS = -4.0, 1.5  # initial biases of the heat maps' logits and of the offsets
MIN_LIKELIHOOD = 0.45  # less likely objects are neither positives nor negatives
IGNORED_FROM = 0.2  # cells where an unlikely object's bump is higher are ignored
GROUPS = sorted(set(OFFSETS_OF.values()))  # first channel of each group of kinds with own offsets
HEATMAP_WEIGHT, SUBJECT_WEIGHT = 0.5, 2  # in the loss


@dataclass(frozen=True, eq=False)
class DetectorTargets:
    """Training targets for one view on h × w cells."""

    heatmaps: Tensor  # [4, h, w], 1 at an object's centre
    negative_weights: Tensor  # [4, h, w], 0 where a cell is neither positive nor negative
    ltrb_offsets: Tensor  # [3, 4, h, w], left, top, right, bottom in cells, by GROUPS
    offset_weights: Tensor  # [3, h, w]
    subject: Tensor  # [h, w]


def train_detector(
    network: SubjectNetwork, views: Sequence[View], folder: Path, seed: int, epochs: int
) -> None:
    """Train a new head and the trunk's upper stages, in place; the result is a moving average.

    The lower stages are frozen. Their features are kept in half precision, 100 kB a view.
    """
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network.head = SubjectHead()
    network.to(memory_format=torch.channels_last)  # takes half the time
    bias = network.head.out.state_dict()["bias"]
    bias[: len(KINDS)] = HEATMAP_BIAS
    bias[len(KINDS) : -1] = OFFSET_BIAS
    features = [_lower_features(network, view.pixels(folder)) for view in views]
    groups = [list(network.head.parameters()), list(network.stages[UPPER:].parameters())]
    trained = [parameter for group in groups for parameter in group]
    shapes = [each.shape for each in features]
    batches = batches_of_epochs(shapes, VIEWS_PER_STEP, epochs, random)
    optimizer = torch.optim.AdamW([{"params": group} for group in groups], weight_decay=DECAY)
    schedule = one_cycle(optimizer, [RATE, TRUNK_RATE], len(batches))
    averaged = moving_average(network, EMA_DECAY)
    for batch in batches:
        fine = torch.cat([features[index] for index in batch]).float()
        fine = fine.contiguous(memory_format=torch.channels_last)
        outputs = network.head(fine, *network.upper(fine))
        losses = [
            detector_loss(output[None], detector_targets(views[index], *output.shape[-2:]))
            for index, output in zip(batch, outputs, strict=True)
        ]
        loss = torch.stack(losses).sum() / VIEWS_PER_STEP
        optimizer_step(loss, trained, CLIP_NORM, optimizer, schedule)
        averaged.update_parameters(network)
    network.load_state_dict(averaged.module.state_dict())
    network.eval()


@torch.inference_mode()
def _lower_features(network: SubjectNetwork, pixels: NDArray[np.uint8]) -> Tensor:
    """Compute the output of the trunk's frozen stages, [1, 40, h, w], half precision."""
    copy = cv2.resize(pixels, detector_input_size(pixels.shape[1], pixels.shape[0]))
    images = torch.from_numpy(copy).permute(2, 0, 1)[None].float()
    return network.lower(images).half().clone()


def detector_targets(view: View, height: int, width: int) -> DetectorTargets:
    """Make the targets of a view on a map of height × width cells."""
    heatmaps = np.zeros((len(KINDS), height, width), np.float32)
    negative_weights = np.ones_like(heatmaps)
    offsets = np.zeros((len(GROUPS), 4, height, width), np.float32)
    weights = np.zeros((len(GROUPS), height, width), np.float32)
    smallest = np.full((len(GROUPS), height, width), np.inf)
    for found in view.labels.objects:
        box = found.box * [width, height, width, height]
        kind, group = KINDS.index(found.kind), GROUPS.index(OFFSETS_OF[found.kind])
        bump = bump_of(box, height, width)
        if found.likelihood >= MIN_LIKELIHOOD:
            heatmaps[kind] = np.maximum(heatmaps[kind], bump)
        else:
            negative_weights[kind][bump > IGNORED_FROM] = 0
        size = float(np.prod(box[2:] - box[:2]))
        near = (bump > OFFSETS_FROM) & (size < smallest[group])  # the smaller object keeps a cell
        smallest[group][near] = size
        write_offsets(offsets[group], box, near)
        weights[group][near] = found.likelihood
    subject = cv2.resize(view.labels.subject_map, (width, height), interpolation=cv2.INTER_AREA)
    arrays = (heatmaps, negative_weights, offsets, weights, subject)
    return DetectorTargets(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def detector_loss(output: Tensor, target: DetectorTargets) -> Tensor:
    """Sum the focal loss of heat maps, IoU loss of offsets, cross-entropy of the subject map.

    output: [1, 17, h, w] of a head.
    """
    losses, at = focal_losses(output[0, : len(KINDS)], target.heatmaps, target.negative_weights)
    loss = HEATMAP_WEIGHT * losses.sum() / at.sum().clamp_min(1)
    for group, first in enumerate(GROUPS):
        weights = target.offset_weights[group]
        if weights.sum() > 0:
            overlap = _offset_iou(ltrb_offsets(output, first)[0], target.ltrb_offsets[group])
            loss = loss - (overlap.log() * weights).sum() / weights.sum()
    subject = functional.binary_cross_entropy_with_logits(output[0, -1], target.subject)
    return loss + SUBJECT_WEIGHT * subject


def _offset_iou(first: Tensor, second: Tensor) -> Tensor:
    """Compute each cell's IoU of the boxes that two sets of offsets [4, h, w] span.

    One cell is added to intersection and union.
    """
    shared = torch.minimum(first, second)
    areas = [(r[0] + r[2]) * (r[1] + r[3]) for r in (first, second, shared)]
    overlap: Tensor = (areas[2] + 1) / (areas[0] + areas[1] - areas[2] + 1)
    return overlap
