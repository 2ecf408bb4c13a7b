"""Train the branch that tells S2CNet's feature map from the detector's trunk.

Taps and targets of each view are computed once and kept, half precision, some 500 kB a view with
its copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.feature_head import FeatureHead, in_cells
from pipeline.detectors.people_head import fold_into
from pipeline.errors import UsageError
from pipeline.lab.batches import batches_of
from pipeline.lab.datasets.layout import photos
from pipeline.lab.fold_weights import fold_name, network_of
from pipeline.lab.folds import FOLDS, fold_of
from pipeline.lab.people.feature_views import FeatureView, feature_views
from pipeline.lab.people.fitting import VIEWS_A_STEP, Standard, fit_branch, standard_of
from pipeline.lab.people.recipe import packaged_weights
from pipeline.lab.people.settings import FeaturesJob
from pipeline.report.progress import Log
from s2cnet import load_model

ALL = "features.safetensors"
EPOCHS, RATE, DECAY = 6, 3e-3, 0.01
STEADY = 1.0  # weight of what a copy tells otherwise than the view itself


def write_features(job: FeaturesJob, log: Log) -> None:
    """Train on all photos and, where folds are asked for, without each fold; write the weights.

    Files: features.safetensors, fold0.safetensors to fold4.safetensors. Raises UsageError.
    """
    found = [
        (fold_of(folder.name, one.name), one) for folder in job.photos for one in photos(folder)
    ]
    if not found:
        raise UsageError(f"no photos in {', '.join(map(str, job.photos))}")
    network = network_of(packaged_weights())
    backbone = load_model("starter").eval().backbone
    views = list(feature_views(network, backbone, [one for _, one in found], job.seed))
    log.say("views", f"of {len(views)} photos")
    job.output.mkdir(parents=True, exist_ok=True)
    for held in (None, *range(FOLDS if job.folds else 0)):
        pairs = zip(found, views, strict=True)
        kept = [view for (fold, _), of_photo in pairs if fold != held for view in of_photo]
        head, loss = train_features(kept, job.seed)
        name = ALL if held is None else fold_name(held)
        state = {name: value.half().contiguous() for name, value in head.state_dict().items()}
        safetensors.torch.save_file(state, job.output / name)
        log.say("features", f"{name} is written; {loss:.3f} of the variance is lost")


def train_features(
    views: Sequence[FeatureView], seed: int = 0, epochs: int = EPOCHS
) -> tuple[FeatureHead, float]:
    """A new branch, trained, in evaluation mode, and its mean loss over the last epoch.

    The loss is that of `feature_loss`, in shares of each channel's variance. Weights are averaged
    over steps.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    taps = [standard_of([view.taps[level] for view in views]) for level in range(3)]
    target = standard_of([view.target for view in views])
    head = FeatureHead()
    sizes = [view.sizes for view in views]
    plan = [batch for _ in range(epochs) for batch in batches_of(sizes, VIEWS_A_STEP, random)]

    def loss_of(batch: Sequence[int]) -> Tensor:
        return feature_loss(head, [views[i] for i in batch], taps, target)

    losses = fit_branch(head, plan, loss_of, RATE, DECAY)
    fold_standards(head, taps, target)
    return head.eval(), float(np.mean(losses[-len(plan) // epochs :]))


def feature_loss(
    head: FeatureHead, views: Sequence[FeatureView], taps: Sequence[Standard], target: Standard
) -> Tensor:
    """Mean squared error of views of one size and of their copies, in standard deviations.

    Times STEADY, the mean squared distance of the two from one another is added.
    """
    wanted = (torch.stack([view.target for view in views]).float() - target[0]) / target[1]
    told, copied = (
        in_cells(_told(head, of_views, taps), wanted.shape[-2:])
        for of_views in ([view.taps for view in views], [view.copy for view in views])
    )
    error = functional.mse_loss(told, wanted) + functional.mse_loss(copied, wanted)
    return error / 2 + STEADY * functional.mse_loss(copied, told)


def _told(head: FeatureHead, views: Sequence[list[Tensor]], taps: Sequence[Standard]) -> Tensor:
    levels = [
        (torch.stack([view[i] for view in views]).float() - mean) / deviation
        for i, (mean, deviation) in enumerate(taps)
    ]
    features: Tensor = head(*levels)
    return features


def fold_standards(head: FeatureHead, taps: Sequence[Standard], target: Standard) -> None:
    """Fold standardising taps, and the target's mean and deviation, into the weights, in place."""
    out = head.out.bias
    assert out is not None, "the last convolution has a bias"
    fold_into(head.lateral, taps)
    with torch.no_grad():
        mean, deviation = target
        head.out.weight *= deviation[..., None]
        out.mul_(deviation.flatten()).add_(mean.flatten())
