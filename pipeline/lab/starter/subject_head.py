"""Trains the embedded detector on what the other networks together say of the photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.embedded import input_size
from pipeline.detectors.subject_network import (
    KINDS,
    OFFSETS_OF,
    UPPER,
    SubjectHead,
    SubjectNetwork,
    ltrb_offsets,
)
from pipeline.lab.starter.views import View
from pipeline.lab.training.schedule import moving_average

EPOCHS, VIEWS_A_STEP, RATE, TRUNK_RATE, DECAY, AVERAGE = 3, 8, 2e-3, 2.5e-4, 0.02, 0.998
SURE = 0.45  # objects less likely than this are neither shown nor denied to the head
SPREAD = 0.12  # of a middle's bump, as a share of the object's side
GROUPS = sorted(set(OFFSETS_OF.values()))  # kinds whose reach is told by the same channels
NEAR = 0.4  # cells whose bump is at least this high learn the object's reach


@dataclass(frozen=True, eq=False)
class Target:
    """What the answer for one view should be; h × w cells."""

    middles: Tensor  # [4, h, w], 1 at an object's middle
    denied: Tensor  # [4, h, w], 0 where nothing is to be learnt
    reaches: Tensor  # [3, 4, h, w], in cells, by GROUPS
    reach_weights: Tensor  # [3, h, w]
    subject: Tensor  # [h, w]


def train_detector(
    network: SubjectNetwork,
    views: Sequence[View],
    folder: Path,
    seed: int = 0,
    epochs: int = EPOCHS,
) -> None:
    """Train a new head and the trunk's upper stages, in place. Weights are averaged over steps.

    The lower stages stay as they are; what they see is kept, half precision, 100 kB a view.
    """
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network.head = SubjectHead()
    network.to(memory_format=torch.channels_last)  # half the time
    bias = network.head.out.state_dict()["bias"]
    bias[: len(KINDS)] = -4.0  # objects are rare
    bias[len(KINDS) : -1] = 1.5
    seen = [_lower(network, view.pixels(folder)) for view in views]
    groups = [list(network.head.parameters()), list(network.stages[UPPER:].parameters())]
    learnt = [parameter for group in groups for parameter in group]
    batches = [batch for _ in range(epochs) for batch in _batches([s.shape for s in seen], random)]
    optimizer = torch.optim.AdamW([{"params": group} for group in groups], weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [RATE, TRUNK_RATE], total_steps=len(batches) + 1, pct_start=0.1
    )
    averaged = moving_average(network, AVERAGE)
    for batch in batches:
        fine = torch.cat([seen[index] for index in batch]).float()
        fine = fine.contiguous(memory_format=torch.channels_last)
        answers = network.head(fine, *network.upper(fine))
        losses = [
            head_loss(answer[None], target_of(views[index], *answer.shape[-2:]))
            for index, answer in zip(batch, answers, strict=True)
        ]
        optimizer.zero_grad()
        (torch.stack(losses).sum() / VIEWS_A_STEP).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learnt, 2.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
    network.load_state_dict(averaged.module.state_dict())
    network.eval()


def _batches(shapes: Sequence[torch.Size], random: np.random.Generator) -> list[list[int]]:
    """All views once, up to VIEWS_A_STEP of one size together, in random order."""
    sizes: dict[torch.Size, list[int]] = {}
    for index in random.permutation(len(shapes)).tolist():
        sizes.setdefault(shapes[index], []).append(index)
    batches = [
        members[first : first + VIEWS_A_STEP]
        for members in sizes.values()
        for first in range(0, len(members), VIEWS_A_STEP)
    ]
    return [batches[index] for index in random.permutation(len(batches))]


@torch.inference_mode()
def _lower(network: SubjectNetwork, pixels: NDArray[np.uint8]) -> Tensor:
    """What the trunk's fixed stages see, [1, 40, h, w], half precision."""
    copy = cv2.resize(pixels, input_size(pixels.shape[1], pixels.shape[0]))
    images = torch.from_numpy(copy).permute(2, 0, 1)[None].float()
    return network.lower(images).half().clone()


def target_of(view: View, height: int, width: int) -> Target:
    """The answer that a view should get on a map of height × width cells."""
    middles = np.zeros((len(KINDS), height, width), np.float32)
    denied = np.ones_like(middles)
    reaches = np.zeros((len(GROUPS), 4, height, width), np.float32)
    weights = np.zeros((len(GROUPS), height, width), np.float32)
    smallest = np.full((len(GROUPS), height, width), np.inf)
    y, x = np.mgrid[:height, :width]
    for found in view.belief.objects:
        box = found.box * [width, height, width, height]
        kind, group = KINDS.index(found.kind), GROUPS.index(OFFSETS_OF[found.kind])
        side = np.maximum(0.6, SPREAD * (box[2:] - box[:2]))
        at = np.clip(np.rint((box[:2] + box[2:]) / 2 - 0.5), 0, [width - 1, height - 1])
        bump = np.exp(-(((x - at[0]) / side[0]) ** 2 + ((y - at[1]) / side[1]) ** 2) / 2)
        if found.score >= SURE:
            middles[kind] = np.maximum(middles[kind], bump)
        else:
            denied[kind][bump > 0.2] = 0
        size = float(np.prod(box[2:] - box[:2]))
        near = (bump > NEAR) & (size < smallest[group])  # the smaller of two objects keeps a cell
        smallest[group][near] = size
        gaps = [x + 0.5 - box[0], y + 0.5 - box[1], box[2] - x - 0.5, box[3] - y - 0.5]
        for side_index, gap in enumerate(gaps):
            reaches[group, side_index][near] = np.maximum(gap, 0)[near]
        weights[group][near] = found.score
    subject = cv2.resize(view.belief.subject_map, (width, height), interpolation=cv2.INTER_AREA)
    arrays = (middles, denied, reaches, weights, subject)
    return Target(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def head_loss(answer: Tensor, target: Target) -> Tensor:
    """Focal loss of the middles (Zhou et al., 2019), IoU loss of the reaches, cross-entropy.

    answer: [1, 17, h, w] of a head.
    """
    likely = answer[0, : len(KINDS)].sigmoid().clamp(1e-4, 1 - 1e-4)
    at = (target.middles >= 0.999).float()
    missed = at * (1 - likely) ** 2 * likely.log()
    elsewhere = (1 - at) * target.denied * (1 - target.middles) ** 4
    loss = -(missed + elsewhere * likely**2 * (1 - likely).log()).sum() / at.sum().clamp_min(1)
    loss = loss / 2
    for group, first in enumerate(GROUPS):
        weights = target.reach_weights[group]
        if weights.sum() > 0:
            overlap = _reach_iou(ltrb_offsets(answer, first)[0], target.reaches[group])
            loss = loss - (overlap.log() * weights).sum() / weights.sum()
    return loss + 2 * functional.binary_cross_entropy_with_logits(answer[0, -1], target.subject)


def _reach_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU per cell of the boxes that two reaches [4, h, w] span around it."""
    shared = torch.minimum(first, second)
    areas = [(r[0] + r[2]) * (r[1] + r[3]) for r in (first, second, shared)]
    overlap: Tensor = (areas[2] + 1) / (areas[0] + areas[1] - areas[2] + 1)
    return overlap
