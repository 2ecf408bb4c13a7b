"""Train the stages and the branch that predict the maps together; the rest is frozen.

The training starts from the result of `branches`: a copy of the trunk's upper stages, and the
branch behind it. A fold takes a minute on a GPU, and most of an hour on one core.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.people_head import PeopleHead, fold_standardisation
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.people.branches import DECAY, KEPT_WEIGHT
from pipeline.lab.people.fitting import jeffreys_divergence
from pipeline.lab.people.labels import PeopleLabels
from pipeline.lab.people.looking_views import LookingView, batches_of_views
from pipeline.lab.training.schedule import optimizer_step

VIEWS_PER_STEP = 26
# Rates of stages and branch. For the stages, .0005 was better than .00015 on two of three folds,
# and less stable on the third.
STAGE_RATE, BRANCH_RATE, WARMUP_STEPS, EMA_DECAY = 5e-4, 1e-3, 30, 0.99
# Of the Jeffreys divergence between the gaze maps of a view and its degraded copy.
CONSISTENCY_WEIGHT = 1.0

LevelStats = list[tuple[Tensor, Tensor]]  # mean and deviation [1, C, 1, 1] of each level


def train_looking(
    network: SubjectNetwork,
    photos: Sequence[PeopleLabels],
    steps: int,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train `network.looking` and the maps of `network.people`, in place, for `steps` steps.

    Weights are averaged over steps. The network ends on the CPU, in evaluation mode.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network.requires_grad_(False).eval().to(device)
    stages = list(network.looking.parameters())
    branch = [v for name, v in network.people.named_parameters() if name.startswith("map_")]
    untouched = beside_maps(network.people)
    trained = [value.requires_grad_() for value in (*stages, *branch)]
    optimizer = torch.optim.AdamW(
        [{"params": stages, "lr": STAGE_RATE}, {"params": branch, "lr": BRANCH_RATE}],
        weight_decay=DECAY,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / WARMUP_STEPS) * (1 + np.cos(np.pi * step / steps)) / 2,
    )
    averaged = [value.detach().clone() for value in trained]
    stats: LevelStats = []
    for step, views in enumerate(batches_of_views(photos, steps, VIEWS_PER_STEP, random)):
        levels = levels_of(network, views, device)
        if not stats:
            stats = [_level_stats(level) for level in levels]
            _fold(network.people, undo_stats(stats))
        standardised = [(x - mean) / scale for x, (mean, scale) in zip(levels, stats, strict=True)]
        loss = looking_loss(network.people, views, standardised) / VIEWS_PER_STEP
        optimizer_step(loss, trained, 5.0, optimizer, schedule)
        keep = min(EMA_DECAY, step / (step + 10))
        for mean, value in zip(averaged, trained, strict=True):
            mean.lerp_(value.detach(), 1 - keep)
    network.requires_grad_(False)
    for mean, value in zip(averaged, trained, strict=True):
        value.copy_(mean)
    _fold(network.people, stats)
    # Folding and undoing it rounds the weights of the heads' branch, which must not change.
    network.people.load_state_dict({**network.people.state_dict(), **untouched})
    network.cpu()


def levels_of(network: SubjectNetwork, views: Sequence[LookingView], device: str) -> list[Tensor]:
    """Compute the levels that the maps' branch reads, of views, then of degraded copies, float."""
    pixels = np.stack([view.pixels for view in views] + [view.degraded for view in views])
    images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
    levels = network.levels(images)  # gradients reach only the maps' own stages, which are trained
    return [levels.fine, levels.map_medium, levels.map_coarse, levels.pyramid]


def looking_loss(head: PeopleHead, views: Sequence[LookingView], levels: list[Tensor]) -> Tensor:
    """Sum the loss over views of the same size, a mean over each view and its degraded copy."""
    gaze, kept = head.maps(levels[0], levels[1], levels[2], levels[3])
    first, second = functional.log_softmax(gaze.flatten(1), 1).chunk(2)
    loss = CONSISTENCY_WEIGHT * jeffreys_divergence(first, second)
    for index, view in enumerate(views):
        if view.gaze is not None:
            target = torch.from_numpy(view.gaze).flatten().to(gaze.device)
            loss = loss - view.gaze_weight * (target * (first[index] + second[index])).sum() / 2
        if view.kept is not None:
            both = torch.stack([kept[index, 0], kept[index + len(views), 0]])
            share = torch.from_numpy(view.kept).to(kept.device).expand_as(both)
            entropy = functional.binary_cross_entropy_with_logits(both, share)
            loss = loss + KEPT_WEIGHT * entropy
    return loss


def _level_stats(level: Tensor) -> tuple[Tensor, Tensor]:
    cells = level.detach().transpose(0, 1).flatten(1)
    shape = (1, -1, 1, 1)
    return cells.mean(dim=1).view(shape), cells.std(dim=1).view(shape) + 1e-3


def beside_maps(head: PeopleHead) -> dict[str, Tensor]:
    """Copy the tensors of the people branches that do not belong to the maps' branch."""
    return {n: v.clone() for n, v in head.state_dict().items() if not n.startswith("map_")}


def undo_stats(stats: LevelStats) -> LevelStats:
    """Return statistics whose folding undoes the folding of these.

    With them, (level - mean) / deviation of a standardised level is the original level again.
    """
    return [(-mean / deviation, 1 / deviation) for mean, deviation in stats]


def _fold(head: PeopleHead, stats: LevelStats) -> None:
    device = next(head.parameters()).device
    head.cpu()
    fold_standardisation(head, [(mean[0].cpu(), scale[0].cpu()) for mean, scale in stats])
    head.to(device)
