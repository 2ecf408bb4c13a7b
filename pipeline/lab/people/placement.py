"""Train the branch of the embedded detector that predicts where a thumbnail should be.

The labels are acceptable places of a shape's largest crop, marked by somebody, or by a model that
sees pictures, and people's own labels. The branch learns what the rule of choice lacks: with
placement added to the values of the rule's candidates, an acceptable one should win, or one that
agrees with people's gaze, heads or crops. The rest of the detector and the rule are fixed, so the
features of each view and the values of the candidates are computed once: some twenty minutes of one
core for 2,700 photos, and seven for the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detectors.head_branch import LEVELS, fold_into
from pipeline.detectors.placement_branch import DROPOUT, PlacementBranch
from pipeline.errors import UsageError, naming
from pipeline.lab.batches import batches_of_epochs
from pipeline.lab.datasets import Example, log_notes, read_set
from pipeline.lab.datasets.layout import check_photos_once
from pipeline.lab.fold_weights import FoldWeights, detector_in, fold_metadata, network_of
from pipeline.lab.folds import FOLDS, check_folds, fold_name
from pipeline.lab.people.branches import standardised_levels
from pipeline.lab.people.detector_tensors import SUBJECTS_FILE, packaged_tensors, packaged_weights
from pipeline.lab.people.fitting import VIEWS_PER_STEP, channel_stats, fit_branch
from pipeline.lab.people.held_out import labelled_photos
from pipeline.lab.people.placement_loss import place_loss
from pipeline.lab.people.placement_views import PlacementView, placement_views
from pipeline.lab.people.settings import PlacementJob
from pipeline.lab.weight_files import halved, write_tensors
from pipeline.output_files import make_folder
from pipeline.report.progress import Log
from pipeline.words import counted
from s2cnet import FastS2CNet, load_model

PLACES = "places"  # the set of photos whose acceptable places are labelled
EPOCHS, RATE, DECAY = 6, 2e-3, 0.05


def write_placement(job: PlacementJob, log: Log) -> None:
    """Train the branch; write the packaged detector with it, and those of the folds if given.

    Files: subjects.safetensors, fold0.safetensors to fold4.safetensors. Raises UsageError where no
    photo tells a place, a fold leaves none or its file is missing or contains something else.
    """
    FoldWeights(job.detectors).check()  # before the work of minutes
    labelled = _labelled(job, log)
    if job.detectors is not None and job.places is None:
        check_folds(fold for fold, _, _ in labelled if fold is not None)
    make_folder(job.output, "output")
    network = network_of(packaged_weights())  # all folds have its trunk, which the branch reads
    scorer = FastS2CNet(load_model("starter"), with_backbone=True)
    views = []
    for fold, set_name, one in labelled:
        views.append((fold, list(placement_views(network, scorer, set_name, one, job.seed))))
    if not (count := sum(len(of_photo) for _, of_photo in views)):
        raise UsageError("no photo has people's labels, or places for a shape other than its own")
    log.say("views", f"{counted(count, 'view')} of {counted(len(labelled), 'photo')}")
    sets = {set_name for fold, set_name, _ in labelled if fold is not None}
    for held in (None, *range(FOLDS if job.detectors else 0)):
        kept = [one for fold, of_photo in views if held is None or fold != held for one in of_photo]
        branch = train_placement(kept, job.seed, EPOCHS)
        state, name, metadata = packaged_tensors(), SUBJECTS_FILE, None
        if held is not None and job.detectors is not None:
            name = fold_name(held)
            detector = detector_in(job.detectors / name)
            state = halved(detector.state_dict())
            metadata = fold_metadata(sets, job.detectors / name)
        made = {f"placement.{n}": tensor for n, tensor in halved(branch.state_dict()).items()}
        write_tensors(job.output / name, {**state, **made}, metadata)
        log.say("placement", f"{name} is written")


def _labelled(job: PlacementJob, log: Log) -> list[tuple[int | None, str, Example]]:
    """Read photos, each with its fold, for those that people labelled, and set.

    Raises UsageError.
    """
    found: list[tuple[int | None, str, Example]] = []
    if job.places is not None:
        with naming("places"):
            examples, notes = read_set("labels", job.places)
        log_notes(notes, log)
        found += [(None, PLACES, one) for one in examples if one.places_px]
    if any((job.osie, job.eyecrowd, job.flms)):
        photos = labelled_photos(job, log)
        found += [(one.fold, one.set_name, replace(one.example, places_px={})) for one in photos]
    check_photos_once(one.image for _, _, one in found)
    return found


class PairedDropout(nn.Module):
    """Drop the same channels in a view and in its copy, or their maps would differ by chance."""

    def forward(self, features: Tensor) -> Tensor:
        """Drop channels of features [2V, C, h, w], V views and then their copies."""
        kept = torch.ones_like(features[: len(features) // 2, :, :1, :1])
        kept = functional.dropout(kept, DROPOUT, self.training)
        return features * torch.cat([kept, kept])


def train_placement(
    views: Sequence[PlacementView], seed: int = 0, epochs: int = EPOCHS
) -> PlacementBranch:
    """Train a new branch; return it in evaluation mode. Weights are averaged over steps."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    stats = [channel_stats([view.levels[i] for view in views]) for i in range(len(LEVELS))]
    branch = PlacementBranch()
    branch.dropout = PairedDropout()
    sizes = [view.levels[0].shape for view in views]
    batches = batches_of_epochs(sizes, VIEWS_PER_STEP, epochs, random)

    def loss_of(batch: Sequence[int]) -> Tensor:
        seen = [views[i] for i in batch]
        both = [view.levels for view in seen] + [view.copy for view in seen]
        maps, copies = branch(*standardised_levels(both, stats)).chunk(2)
        losses = []
        for view, of_view, of_copy in zip(seen, maps, copies, strict=True):
            losses += [
                place_loss(places(of_view), places(of_copy), candidates)
                for places, candidates in zip(view.places, view.candidates, strict=True)
            ]
        return torch.stack(losses).mean()

    fit_branch(branch, batches, loss_of, RATE, DECAY)
    fold_into(branch.lateral, stats)
    branch.dropout = nn.Dropout2d(DROPOUT)
    return branch.eval()
