"""Train the embedded detector's branch for heads of animals; the rest of the detector is frozen.

The labels are boxes around animals' heads. Photos without animals, above all those of people, are
negative examples. A step on stored features takes some 40 ms of one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.detectors.head_branch import LEVELS, HeadBranch, fold_into
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.errors import UsageError, naming
from pipeline.lab.batches import batches_of_epochs
from pipeline.lab.datasets import log_notes, read_set
from pipeline.lab.datasets.layout import check_photos_once, photos_of_set
from pipeline.lab.fold_weights import network_of
from pipeline.lab.people.branches import PeopleView, heads_loss, standardised_levels
from pipeline.lab.people.detector_tensors import SUBJECTS_FILE, packaged_tensors, packaged_weights
from pipeline.lab.people.fitting import VIEWS_PER_STEP, channel_stats, fit_branch
from pipeline.lab.people.labels import PeopleLabels, labels_of
from pipeline.lab.people.settings import AnimalsJob
from pipeline.lab.people.views import people_views
from pipeline.lab.weight_files import halved, write_tensors
from pipeline.output_files import make_folder
from pipeline.report.progress import Log
from pipeline.words import counted

SET = "animals"
EPOCHS, RATE, DECAY = 8, 2e-3, 0.05
PASSES = 2  # of random parts of each photo with animals
WHOLE_VIEWS = 2  # the first views of a photo show all of it
DROPOUT = 0.1  # share of the channels that are dropped out in training


def write_animals(job: AnimalsJob, log: Log) -> None:
    """Train the branch and write the packaged detector with it: subjects.safetensors.

    Raises UsageError where there are no labels, a folder has no photos, or a photo is given twice.
    """
    with naming("heads"):
        examples, notes = read_set("labels", job.heads)
        log_notes(notes, log)
        labelled = [labels_of(one, SET) for one in examples if one.heads_px is not None]
    if not labelled:
        raise UsageError(f"{job.heads}: no photo has heads in the JSON file beside the folder")
    without = [one for folder in job.photos for one in photos_of_set(folder)]
    check_photos_once([*(one.photo for one in labelled), *without])
    make_folder(job.output, "output")
    network = network_of(packaged_weights())
    views = list(animal_views(network, labelled, without, job.seed))
    photos = f"{counted(len(labelled), 'photo')} with animals and {len(without):,} without"
    log.say("views", f"{counted(len(views), 'view')} of {photos}")
    branch = train_animals(views, job.seed)
    trained = {f"animals.{name}": value for name, value in halved(branch.state_dict()).items()}
    write_tensors(job.output / SUBJECTS_FILE, {**packaged_tensors(), **trained})
    log.say("animals", f"{SUBJECTS_FILE} is written")


def animal_views(
    network: SubjectNetwork, labelled: Sequence[PeopleLabels], without: Sequence[Path], seed: int
) -> Iterator[PeopleView]:
    """Yield whole photos, mirror images and two parts; with animals, PASSES times two parts."""
    for one in labelled:
        for turn in range(PASSES):
            views = people_views(network, [one], seed + turn)
            for view in islice(views, WHOLE_VIEWS if turn else 0, None):
                yield replace(view, copy=None)
    for photo in without:
        none = PeopleLabels(photo, SET, heads=np.zeros((0, 4)))
        for view in people_views(network, [none], seed):
            yield replace(view, copy=None)


def train_animals(views: Sequence[PeopleView], seed: int = 0, epochs: int = EPOCHS) -> HeadBranch:
    """Train a new branch; return it in evaluation mode. Weights are averaged over steps."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    stats = [channel_stats([view.levels[i] for view in views]) for i in range(len(LEVELS))]
    branch = HeadBranch()
    sizes = [view.levels[0].shape for view in views]
    batches = batches_of_epochs(sizes, VIEWS_PER_STEP, epochs, random)

    def loss_of(batch: Sequence[int]) -> Tensor:
        seen = [views[i] for i in batch]
        levels = standardised_levels([view.levels for view in seen], stats)
        fine, medium, coarse, pyramid = (functional.dropout2d(level, DROPOUT) for level in levels)
        heads = branch(fine, medium, coarse, pyramid)
        return heads_loss(heads, [view.heads for view in seen]) / VIEWS_PER_STEP

    fit_branch(branch, batches, loss_of, RATE, DECAY)
    fold_into(branch.lateral, stats)
    return branch.eval()
