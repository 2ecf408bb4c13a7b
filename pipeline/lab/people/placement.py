"""Train the branch of the embedded detector that predicts where a thumbnail should be.

The labels are crops of given shapes: those that editors made (GNMC), or that somebody, or a model
that sees pictures, would make. Among all places of the largest crop of a shape, the branch learns
to prefer those near the labelled crop, or where people's gaze is known those with much of it. The
rest of the detector is frozen, so the features of each view are computed once: some fifteen minutes
of one core for 2,400 photos, and eight for the training.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from pipeline.boxes import mirror
from pipeline.detectors.head_branch import LEVELS, fold_into
from pipeline.detectors.placement_branch import PlacementBranch
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.errors import UsageError
from pipeline.lab.atomic_files import make_folder, write_atomic
from pipeline.lab.batches import batches_of_epochs
from pipeline.lab.datasets import Example, log_notes, read_set
from pipeline.lab.datasets.layout import read_upright_pixels
from pipeline.lab.evaluation.kept import gaze_kept
from pipeline.lab.fold_weights import FoldWeights, detector_in, fold_metadata, network_of
from pipeline.lab.folds import FOLDS, check_folds, fold_name, fold_of
from pipeline.lab.people.branches import Features, standardised_levels
from pipeline.lab.people.fitting import VIEWS_PER_STEP, channel_stats, fit_branch
from pipeline.lab.people.labels import layout_of
from pipeline.lab.people.places import (
    SHAPES,
    PlaceTarget,
    near_crop,
    place_loss,
    places_of,
    target_of,
)
from pipeline.lab.people.recipe import SUBJECTS_FILE, packaged_tensors, packaged_weights
from pipeline.lab.people.settings import PlacementJob
from pipeline.lab.people.views import degraded_copy, trunk_features
from pipeline.report.progress import Log
from pipeline.words import counted

SPLIT = "train"
EPOCHS, RATE, DECAY = 11, 2e-3, 0.05


@dataclass(frozen=True, eq=False)
class PlacementView:
    """The frozen network's levels of a view and of a degraded copy, and what places should get.

    Levels are in half precision; those of the copy are the view's own where the detector's input
    for it has another size.

    targets: one for each labelled crop or shape.
    """

    levels: Features
    copy: Features
    targets: list[PlaceTarget]


def write_placement(job: PlacementJob, log: Log) -> None:
    """Train the branch; write the packaged detector with it, and those of the folds if given.

    Files: subjects.safetensors, fold0.safetensors to fold4.safetensors. Raises UsageError where no
    photo tells a place, a fold leaves none or its file is missing, WeightsError where one contains
    something else.
    """
    FoldWeights(job.detectors).check()  # before the work of minutes
    labelled = _labelled(job, log)
    if job.detectors is not None and job.crops is None:
        check_folds(fold for fold, _ in labelled if fold is not None)
    make_folder(job.output, "output")
    network = network_of(packaged_weights())  # all folds have its trunk, which the branch reads
    views = [(fold, _views_of(network, fold, one, job.seed)) for fold, one in labelled]
    if not (count := sum(len(of_photo) for _, of_photo in views)):
        raise UsageError("no photo has gaze, or a crop of a shape other than its own")
    log.say("views", f"{counted(count, 'view')} of {counted(len(labelled), 'photo')}")
    sets = [name for name in ("osie", "eyecrowd") if getattr(job, name) is not None]
    for held in (None, *range(FOLDS if job.detectors else 0)):
        kept = [one for fold, of_photo in views if held is None or fold != held for one in of_photo]
        branch = train_placement(kept, job.seed, EPOCHS)
        state, name, metadata = packaged_tensors(), SUBJECTS_FILE, None
        if held is not None and job.detectors is not None:
            name = fold_name(held)
            detector = detector_in(job.detectors / name)
            state = {key: tensor.half() for key, tensor in detector.state_dict().items()}
            metadata = fold_metadata(sets, job.detectors / name)
        made = {f"placement.{n}": v.half().contiguous() for n, v in branch.state_dict().items()}
        write_atomic(job.output / name, safetensors.torch.save({**state, **made}, metadata))
        log.say("placement", f"{name} is written")


def _labelled(job: PlacementJob, log: Log) -> list[tuple[int | None, Example]]:
    """Read the labelled photos, those with people's gaze with their folds. Raises UsageError."""
    found: list[tuple[int | None, Example]] = []
    if job.crops is not None:
        examples, notes = read_set("gnmc", job.crops, SPLIT)
        log_notes(notes, log)
        found += [(None, one) for one in examples]
    for name, folder in (("osie", job.osie), ("eyecrowd", job.eyecrowd)):
        if folder is not None:
            examples, notes = read_set(layout_of(name, folder), folder, "test")
            log_notes(notes, log)
            found += [(fold_of(name, one.image.name), one) for one in examples]
    return found


def _views_of(
    network: SubjectNetwork, fold: int | None, example: Example, seed: int
) -> list[PlacementView]:
    """Make views; of a photo with gaze, which has a fold, only one: such photos count half.

    If they count fully, the gain on other photos is smaller; a quarter, the loss of gaze larger.
    """
    views = list(placement_views(network, example, seed))
    return views if fold is None else views[:1]


def placement_views(
    network: SubjectNetwork, example: Example, seed: int = 0
) -> Iterator[PlacementView]:
    """Yield a photo and its mirror image; none without targets.

    Randomness depends only on the seed and the photo's name.
    """
    random = np.random.default_rng([seed, zlib.crc32(example.image.name.encode())])
    pixels = read_upright_pixels(example.image)
    if not (targets := list(_targets(example, (pixels.shape[1], pixels.shape[0])))):
        return
    mirrored = [(torch.from_numpy(mirror(b.numpy(), 1.0)), shares) for b, shares in targets]
    flipped = np.ascontiguousarray(pixels[:, ::-1])
    for seen, of_view in ((pixels, targets), (flipped, mirrored)):
        levels, _ = trunk_features(network, seen)
        copy, _ = trunk_features(network, degraded_copy(seen, random))
        same_size = levels[0].shape == copy[0].shape
        yield PlacementView(levels, copy if same_size else levels, of_view)


def _targets(example: Example, size_wh: tuple[int, int]) -> Iterator[PlaceTarget]:
    """Yield a target for each crop of a given shape, and for people's gaze one for each of SHAPES.

    size_wh: of the photo.
    """
    size = np.array([*size_wh, *size_wh])
    for crop, name in zip(example.human_px / size, example.asked, strict=False):
        places = places_of(name, size_wh)
        if len(places):
            yield target_of(places, near_crop(places, crop))
    if example.fixations_px is not None and len(example.fixations_px):
        for places in (places_of(name, size_wh) for name in SHAPES):
            if len(places):
                yield target_of(places, gaze_kept(places, example.fixations_px / size[:2]))


def train_placement(
    views: Sequence[PlacementView], seed: int = 0, epochs: int = EPOCHS
) -> PlacementBranch:
    """Train a new branch; return it in evaluation mode. Weights are averaged over steps."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    stats = [channel_stats([view.levels[i] for view in views]) for i in range(len(LEVELS))]
    branch = PlacementBranch()
    sizes = [view.levels[0].shape for view in views]
    batches = batches_of_epochs(sizes, VIEWS_PER_STEP, epochs, random)

    def loss_of(batch: Sequence[int]) -> Tensor:
        seen = [views[i] for i in batch]
        both = [view.levels for view in seen] + [view.copy for view in seen]
        # Dropout differs between a view and its copy, which makes the map flatter too.
        maps, copies = branch(*standardised_levels(both, stats))[:, 0].chunk(2)
        losses = [
            place_loss(one, copied, target)
            for one, copied, view in zip(maps, copies, seen, strict=True)
            for target in view.targets
        ]
        return torch.stack(losses).mean()

    fit_branch(branch, batches, loss_of, RATE, DECAY)
    fold_into(branch.lateral, stats)
    return branch.eval()
