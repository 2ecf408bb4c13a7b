"""Train the branch of the maps further, behind the packaged stages, also on predicted fixations.

People's gaze is known for few photos, of few kinds. For others somebody, or a model that sees
pictures, can predict where people would look; such photos count as one more data set. The stages
stay as they are, so their features of each view are computed once: ten minutes of one core for
1,900 photos, and two more for the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.detectors.people_head import fold_standardisation
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.errors import UsageError
from pipeline.lab.batches import batches_of_epochs
from pipeline.lab.fold_weights import network_of
from pipeline.lab.people.branches import DECAY, standardised_levels
from pipeline.lab.people.detector_tensors import SUBJECTS_FILE, packaged_tensors, packaged_weights
from pipeline.lab.people.fitting import channel_stats, fit_branch
from pipeline.lab.people.labels import LOOKS, PeopleLabels, read_people_labels
from pipeline.lab.people.looking import (
    VIEWS_PER_STEP,
    beside_maps,
    levels_of,
    looking_loss,
    undo_stats,
)
from pipeline.lab.people.looking_views import LookingView, has_targets, random_view
from pipeline.lab.people.settings import MapsJob
from pipeline.lab.weight_files import halved, write_tensors
from pipeline.output_files import make_folder
from pipeline.report.progress import Log
from pipeline.words import counted

MAPS = "people.map_"  # tensors of the maps' branch
VIEWS_PER_PHOTO = 2
EPOCHS, RATE = 10, 2e-3
LOOKS_WEIGHT = 2.0  # of a photo with predicted fixations; of 1 and 2, 2 gained slightly more


@dataclass(frozen=True, eq=False)
class StoredView:
    """A view's targets, and the levels that the maps' branch reads, of it and its degraded copy.

    levels: [2, C, h, w] each, half precision
    """

    view: LookingView
    levels: list[Tensor]


def write_maps(job: MapsJob, log: Log) -> None:
    """Train the packaged maps' branch further; write subjects.safetensors.

    Raises UsageError where no photo has people's gaze or crops.
    """
    read = read_people_labels(job, log)
    labels = [one for one in read if has_targets(one)]
    if not labels:
        raise UsageError("no photo has people's gaze or crops: the maps learn from these")
    make_folder(job.output, "output")
    network = network_of(packaged_weights())
    views = stored_views(network, labels, job.seed)
    log.say("views", f"{counted(len(views), 'view')} of {counted(len(labels), 'photo')}")
    train_maps(network, views, job.seed)
    maps = halved({n: v for n, v in network.state_dict().items() if n.startswith(MAPS)})
    write_tensors(job.output / SUBJECTS_FILE, {**packaged_tensors(), **maps})
    log.say("maps", f"{SUBJECTS_FILE} is written")


@torch.inference_mode()
def stored_views(
    network: SubjectNetwork, photos: Sequence[PeopleLabels], seed: int = 0
) -> list[StoredView]:
    """Make views of each photo, and the network's levels of them."""
    random = np.random.default_rng(seed)
    found = []
    for labels in photos:
        for _ in range(VIEWS_PER_PHOTO):
            if (view := random_view(labels, random)) is not None:
                weight = LOOKS_WEIGHT if labels.set_name == LOOKS else 1.0
                weighted = replace(view, gaze_weight=view.gaze_weight * weight)
                levels = levels_of(network, [weighted], "cpu")
                found.append(StoredView(weighted, [level.half().clone() for level in levels]))
    return found


def train_maps(network: SubjectNetwork, views: Sequence[StoredView], seed: int = 0) -> None:
    """Train the maps of `network.people`, in place; its other tensors stay the same."""
    torch.manual_seed(seed)
    head = network.people
    untouched = beside_maps(head)
    maps = nn.ModuleList([head.map_lateral, head.map_middle, head.map_out])
    of_views = zip(*(one.levels for one in views), strict=True)
    stats = [channel_stats([level[0] for level in levels]) for levels in of_views]
    fold_standardisation(head, undo_stats(stats))  # the packaged branch reads levels as they are

    def loss_of(batch: Sequence[int]) -> Tensor:
        chosen = [views[index] for index in batch]
        both = [[level[copy] for level in one.levels] for copy in (0, 1) for one in chosen]
        levels = standardised_levels(both, stats)
        return looking_loss(head, [one.view for one in chosen], levels) / len(chosen)

    sizes = [one.levels[0].shape for one in views]
    batches = batches_of_epochs(sizes, VIEWS_PER_STEP, EPOCHS, np.random.default_rng(seed))
    head.train()
    fit_branch(maps, batches, loss_of, RATE, DECAY)
    head.eval()
    fold_standardisation(head, stats)
    head.load_state_dict({**head.state_dict(), **untouched})
