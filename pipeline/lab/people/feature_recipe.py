"""Train the branch that predicts S2CNet's feature map from the detector's levels.

The first part of the training learns the map, the second the scores that S2CNet gives on it. Levels
and targets of each view are computed once for a branch and kept in half precision, some 600 kB a
view with its copy. A branch takes a minute on a GPU; on a CPU the second part takes a quarter of an
hour.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.feature_head import READ, FeatureHead, resample_map
from pipeline.detectors.head_branch import fold_into
from pipeline.detectors.subject_network import Levels, SubjectNetwork
from pipeline.device import choose_device
from pipeline.lab.batches import batches_of, batches_of_epochs
from pipeline.lab.datasets.layout import check_photos_once, photos_of_set
from pipeline.lab.fold_weights import FoldWeights, fold_metadata, network_of
from pipeline.lab.folds import FOLDS, check_folds, fold_name, fold_of, set_name_of
from pipeline.lab.people.branches import standardised_levels
from pipeline.lab.people.detector_tensors import packaged_weights
from pipeline.lab.people.feature_scores import score_loss
from pipeline.lab.people.feature_views import FeatureView, feature_views
from pipeline.lab.people.fitting import VIEWS_PER_STEP, ChannelStats, channel_stats, fit_branch
from pipeline.lab.people.settings import FeaturesJob
from pipeline.lab.weight_files import halved, write_tensors
from pipeline.output_files import make_folder
from pipeline.report.progress import Log
from pipeline.words import counted
from s2cnet import S2CNet, load_model

FEATURES_FILE = "features.safetensors"
EPOCHS, RATE, DECAY = 6, 3e-3, 0.01
CONSISTENCY_WEIGHT = 1.0  # weight of the difference between the maps of a view and its copy
SCORE_STEPS, SCORE_VIEWS, SCORE_RATE = 700, 10, 7e-4  # of the second part
SCORE_WEIGHT, MAP_WEIGHT = 2.0, 0.5  # in its loss


def write_features(job: FeaturesJob, log: Log) -> None:
    """Train on all photos and, if folds are asked for, without each fold; write the weights.

    Files: features.safetensors, fold0.safetensors to fold4.safetensors.

    Raises UsageError where a folder has no photos, a photo is given twice, a fold leaves none to
    learn from or its weights are missing or not weights.
    """
    weights = FoldWeights(job.detectors, job.networks)
    weights.files()
    sets = {folder: set_name_of(folder) for folder in job.photos}
    found = [
        (fold_of(name, one.name), one)
        for folder, name in sets.items()
        for one in photos_of_set(folder)
    ]
    check_photos_once(photo for _, photo in found)
    if job.folds:
        check_folds(fold for fold, _ in found)
    weights.check()
    make_folder(job.output, "output")
    for held in (None, *range(FOLDS if job.folds else 0)):
        network, scorer = networks_without(weights, held)
        kept = [one for fold, one in found if fold != held]
        seen = feature_views(network, scorer.backbone, kept, job.seed)
        views = [view for of_photo in seen for view in of_photo]
        log.say("views", f"{counted(len(views), 'view')} of {counted(len(kept), 'photo')}")
        head, loss = train_features(views, scorer, job.seed, device=choose_device())
        name = FEATURES_FILE if held is None else fold_name(held)
        metadata = None if held is None else fold_metadata(sets.values())
        write_tensors(job.output / name, halved(head.state_dict()), metadata)
        log.say("features", f"{name} is written; {loss:.3f} of the variance is lost")


def networks_without(weights: FoldWeights, held: int | None) -> tuple[SubjectNetwork, S2CNet]:
    """Load the detector of a branch and the S2CNet whose map the branch learns, on the CPU.

    held: the fold that neither has seen; None: the packaged ones. Raises SettingError.
    """
    detector = None if held is None else weights.detector(held)
    scorer = None if held is None else weights.network(held)
    scorer = scorer or load_model("starter")
    return detector or network_of(packaged_weights()), scorer.eval().requires_grad_(False)


def train_features(
    views: Sequence[FeatureView],
    scorer: S2CNet,
    seed: int = 0,
    epochs: int = EPOCHS,
    score_steps: int | None = None,
    device: str | torch.device = "cpu",
) -> tuple[FeatureHead, float]:
    """Train a new branch; return it, on the CPU in evaluation mode, and its mean loss at the end.

    scorer: the S2CNet whose map is learnt; it is not trained, and ends on `device`.
    score_steps: None for SCORE_STEPS.

    The loss returned is `feature_loss` over the last epoch of the first part, in shares of each
    channel's variance. Weights are averaged over the steps of a part.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    scorer.to(device)
    levels = [channel_stats([view.levels[level] for view in views]) for level in range(len(READ))]
    target = channel_stats([view.target for view in views])
    on_device = [(mean.to(device), scale.to(device)) for mean, scale in (*levels, target)]
    head = FeatureHead().to(device)
    sizes = [view.sizes for view in views]

    def loss_of(batch: Sequence[int]) -> Tensor:
        seen = [views[i] for i in batch]
        return feature_loss(*_predicted_maps(head, seen, on_device), seen, on_device[-1])

    def scored_loss_of(batch: Sequence[int]) -> Tensor:
        seen = [views[i] for i in batch]
        predicted, copied = _predicted_maps(head, seen, on_device)
        maps = torch.cat([predicted, copied])
        of_scores = score_loss(scorer, seen, maps, random)
        return SCORE_WEIGHT * of_scores + MAP_WEIGHT * feature_loss(
            predicted, copied, seen, on_device[-1]
        )

    batches = batches_of_epochs(sizes, VIEWS_PER_STEP, epochs, random)
    losses = fit_branch(head, batches, loss_of, RATE, DECAY)
    scored = _batches(sizes, SCORE_STEPS if score_steps is None else score_steps, random)
    if scored:
        fit_branch(head, scored, scored_loss_of, SCORE_RATE, DECAY)
    head.cpu()
    fold_channel_stats(head, levels, target)
    return head.eval(), float(np.mean(losses[-len(batches) // epochs :]))


def _batches(sizes: Sequence[Hashable], steps: int, random: np.random.Generator) -> list[list[int]]:
    """Make `steps` batches for the second part, cycling through all views."""
    found: list[list[int]] = []
    while len(found) < steps:
        found += batches_of(sizes, SCORE_VIEWS, random)
    return found[:steps]


def feature_loss(
    predicted: Tensor, copied: Tensor, views: Sequence[FeatureView], target: ChannelStats
) -> Tensor:
    """Compute the mean squared error of the maps of views and copies, in standard deviations.

    predicted, copied: maps of the views and of their copies, [B, 8, H, W]. The mean squared
    distance between the two is added, times CONSISTENCY_WEIGHT.
    """
    wanted = torch.stack([view.target for view in views]).to(predicted.device).float()
    predicted, copied, wanted = (
        (maps - target[0]) / target[1] for maps in (predicted, copied, wanted)
    )
    error = functional.mse_loss(predicted, wanted) + functional.mse_loss(copied, wanted)
    return error / 2 + CONSISTENCY_WEIGHT * functional.mse_loss(copied, predicted)


def _predicted_maps(
    head: FeatureHead, views: Sequence[FeatureView], stats: Sequence[ChannelStats]
) -> tuple[Tensor, Tensor]:
    """Predict maps [B, 8, H, W] of views and of copies. stats: of levels and of the target.

    The head's input and output are in standard deviations.
    """
    mean, deviation = stats[-1]
    found = []
    for of_views in ([view.levels for view in views], [view.copy for view in views]):
        levels = Levels(*standardised_levels(of_views, stats[:-1]))
        maps = resample_map(head(levels), views[0].target.shape[-2:])
        found.append(maps * deviation + mean)
    return found[0], found[1]


def fold_channel_stats(
    head: FeatureHead, levels: Sequence[ChannelStats], target: ChannelStats
) -> None:
    """Fold the levels' standardisation and the target's mean and deviation into the weights."""
    out = head.out.bias
    assert out is not None, "the last convolution has a bias"
    fold_into(head.lateral, levels)
    with torch.no_grad():
        mean, deviation = target
        head.out.weight *= deviation[..., None]
        out.mul_(deviation.flatten()).add_(mean.flatten())
