"""Train the people branches of the embedded detector; the rest of the detector is frozen.

The frozen network's features of each view are computed once and kept in half precision, 400 kB a
view. Training the branches on them takes a minute or two of one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.head_branch import LEVELS
from pipeline.detectors.people_head import PeopleHead, fold_standardisation
from pipeline.lab.batches import batches_of_epochs
from pipeline.lab.centre_maps import focal_losses
from pipeline.lab.people.fitting import (
    VIEWS_PER_STEP,
    ChannelStats,
    channel_stats,
    fit_branch,
    jeffreys_divergence,
)
from pipeline.lab.people.targets import HeadTarget, TargetMap

# These were chosen on five folds; other training settings are the usual defaults.
EPOCHS, RATE, DECAY = 3, 2e-3, 0.02
KEPT_WEIGHT = 3.0  # of the cross-entropy of the map of keeping, a mean over cells
# Of the divergence between the gaze maps of a photo and its degraded copy. On two folds, 5 reduced
# the difference between copies by a fifth (OSIE) to two fifths (FLMS) at no cost.
CONSISTENCY_WEIGHT = 5.0
FEW_HEADS = 3.0  # a view with fewer heads counts as one with this many

Features = list[Tensor]  # taps at strides 8, 16, 32 and the pyramid, [C, h, w] each


@dataclass(frozen=True, eq=False)
class PeopleView:
    """The frozen network's features of one view, and its targets; None where there is no label.

    gaze_weight: 1 for a whole photo, less for a part, whose fixations depend on the rest of it.
    copy: features of a degraded copy, whose gaze map should be the same; None for none.
    """

    levels: Features
    heads: HeadTarget
    gaze: TargetMap | None = None
    kept: TargetMap | None = None
    gaze_weight: float = 1.0
    copy: Features | None = None


def train_branches(views: Sequence[PeopleView], seed: int = 0, epochs: int = EPOCHS) -> PeopleHead:
    """Train new branches; return them in evaluation mode. Weights are averaged over steps."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    stats = [channel_stats([view.levels[i] for view in views]) for i in range(len(LEVELS))]
    head = PeopleHead()
    with torch.no_grad():
        head.map_out.weight *= 0.3  # starts with a nearly uniform map
    sizes = [view.levels[0].shape for view in views]
    batches = batches_of_epochs(sizes, VIEWS_PER_STEP, epochs, random)

    def loss_of(batch: Sequence[int]) -> Tensor:
        return branch_loss(head, [views[i] for i in batch], stats) / VIEWS_PER_STEP

    fit_branch(head, batches, loss_of, RATE, DECAY)
    fold_standardisation(head, stats)
    return head.eval()


def branch_loss(head: PeopleHead, views: Sequence[PeopleView], stats: list[ChannelStats]) -> Tensor:
    """Sum all losses that views of the same size have labels for."""
    heads, gaze, kept = head(*standardised_levels([view.levels for view in views], stats))
    loss = heads_loss(heads, [view.heads for view in views])
    for view, gaze_logits, kept_logits in zip(views, gaze, kept, strict=True):
        if view.gaze is not None:
            loss = loss + view.gaze_weight * _divergence(gaze_logits, torch.from_numpy(view.gaze))
        if view.kept is not None:
            entropy = functional.binary_cross_entropy_with_logits(
                kept_logits[0], torch.from_numpy(view.kept)
            )
            loss = loss + KEPT_WEIGHT * entropy
    copied = [view for view in views if view.copy is not None]
    if copied:
        loss = loss + CONSISTENCY_WEIGHT * _consistency_loss(head, copied, stats)
    return loss


def standardised_levels(
    levels: Sequence[Sequence[Tensor]], stats: Sequence[ChannelStats]
) -> list[Tensor]:
    """Batch the levels of views of the same size, each channel in standard deviations.

    levels: for each view, as many as stats. [C, h, w] each. They end on the device of stats.
    """
    return [
        (torch.stack([of_view[i] for of_view in levels]).to(mean.device).float() - mean) / deviation
        for i, (mean, deviation) in enumerate(stats)
    ]


def _consistency_loss(
    head: PeopleHead, views: Sequence[PeopleView], stats: list[ChannelStats]
) -> Tensor:
    """Sum the Jeffreys divergence between the gaze maps of views and of their copies over views.

    Dropout is off here, because the divergence would otherwise measure dropout.
    """
    originals = [view.levels for view in views]
    copies = [view.copy for view in views if view.copy is not None]
    head.eval()
    gaze, _ = head.maps(*standardised_levels([*originals, *copies], stats))
    head.train()
    first, second = functional.log_softmax(gaze.flatten(1), 1).chunk(2)
    return jeffreys_divergence(first, second)


def _divergence(logits: Tensor, shares: Tensor) -> Tensor:
    """Compute the KL divergence of the softmax of logits [1, h, w] from shares [h, w], sum 1."""
    log_predicted = functional.log_softmax(logits.flatten(), 0)
    return (shares.flatten() * (shares.flatten().clamp_min(1e-9).log() - log_predicted)).sum()


def heads_loss(output: Tensor, targets: Sequence[HeadTarget]) -> Tensor:
    """Compute the focal loss of centres and the IoU loss of offsets, summed over views.

    output: [B, 5, h, w]
    """
    centres, negative_weights, offsets, weights = (
        torch.from_numpy(np.stack([getattr(target, name) for target in targets]))
        for name in ("centres", "negative_weights", "offsets", "offset_weights")
    )
    losses, at = focal_losses(output[:, 0], centres, negative_weights)
    focal = losses.sum((1, 2)) / at.sum((1, 2)).clamp_min(FEW_HEADS)
    predicted = functional.softplus(output[:, 1:])
    shared = torch.minimum(predicted, offsets)
    areas = [(r[:, 0] + r[:, 2]) * (r[:, 1] + r[:, 3]) for r in (predicted, offsets, shared)]
    overlap = (areas[2] + 0.1) / (areas[0] + areas[1] - areas[2] + 0.1)
    edges = (-overlap.log() * weights).sum((1, 2)) / weights.sum((1, 2)).clamp_min(FEW_HEADS + 1)
    return focal.sum() / 2 + edges.sum()
