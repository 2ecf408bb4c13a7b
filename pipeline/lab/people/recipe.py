"""Train the people branches and their stages; fit the rule of choice on held-out photos."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
from torch import nn

from pipeline.cropping.evidence import evidence_of
from pipeline.cropping.scoring import score_function
from pipeline.detectors.differences import as_differences
from pipeline.device import choose_device
from pipeline.errors import UsageError, naming
from pipeline.lab.datasets.layout import check_photos_once, photos_of_set
from pipeline.lab.fold_weights import (
    FoldWeights,
    check_files,
    detector_in,
    fold_metadata,
)
from pipeline.lab.folds import FOLDS, check_folds, fold_name
from pipeline.lab.people.branches import train_branches
from pipeline.lab.people.detector_tensors import (
    SUBJECTS_FILE,
    packaged_weights,
    trunk_of,
    with_branches,
    without_placement,
)
from pipeline.lab.people.held_out import seen_by
from pipeline.lab.people.labels import PeopleLabels, read_people_labels
from pipeline.lab.people.looking import train_looking
from pipeline.lab.people.looking_views import has_targets
from pipeline.lab.people.rule_fit import LabelledList, as_rule_json, fit_linear
from pipeline.lab.people.rule_lists import KINDS, list_kinds, lists_of
from pipeline.lab.people.settings import BranchesJob, LookingJob, RuleJob
from pipeline.lab.people.views import MIN_FIXATIONS, people_views
from pipeline.lab.weight_files import halved, naming_weights, write_tensors
from pipeline.output_files import make_folder, make_parent_folder, write_text_atomic
from pipeline.report.progress import Log
from pipeline.words import counted
from s2cnet import FastS2CNet, load_model


def write_branches(job: BranchesJob, log: Log) -> None:
    """Train the branches on all photos and without each fold; write all weights.

    Files: subjects.safetensors, fold0.safetensors to fold4.safetensors. Raises UsageError, also
    where no photo is left to learn from without a fold.
    """
    labels = read_people_labels(job, log)
    with naming("photos"):
        others = photos_of_set(job.photos) if job.photos else []
        check_photos_once([*(one.photo for one in labels), *others])
    if not others:
        check_folds(one.fold for one in labels)
    make_folder(job.output, "output")
    state = packaged_weights()
    network = trunk_of(state)
    views = [(one.fold, list(people_views(network, [one], job.seed))) for one in labels]
    unlabelled = list(
        people_views(network, [PeopleLabels(one, "photos") for one in others], job.seed)
    )
    count = sum(len(of_photo) for _, of_photo in views) + len(unlabelled)
    photos = f"{counted(len(labels), 'labelled photo')} and {counted(len(others), 'other')}"
    log.say("views", f"{counted(count, 'view')} of {photos}")
    for held in (None, *range(FOLDS)):
        kept = [view for fold, of_photo in views if fold != held for view in of_photo]
        head = train_branches(kept + unlabelled, seed=job.seed)
        name = SUBJECTS_FILE if held is None else fold_name(held)
        start = state if held is None else without_placement(state)
        metadata = None if held is None else fold_metadata(one.set_name for one in labels)
        write_tensors(job.output / name, with_branches(start, head), metadata)
        log.say("branches", f"{name} is written")


def write_looking(job: LookingJob, log: Log) -> None:
    """Train the stages and maps of each file of `branches` further; write new files.

    The file of all photos stores its stages as differences (`pipeline.detectors.differences`).
    Raises UsageError, also where no photo is left to learn from without a fold or its weights are
    missing or its file contains something else.
    """
    with naming("device"):
        device = str(choose_device(job.device))
    labels = read_people_labels(job, log)
    teaching = [one.fold for one in labels if has_targets(one)]
    if not teaching:
        raise UsageError(
            f"no photo has people's crops or {MIN_FIXATIONS} fixations: the maps learn from these"
        )
    check_folds(teaching)
    names = {
        held: SUBJECTS_FILE if held is None else fold_name(held) for held in (None, *range(FOLDS))
    }
    with naming_weights("detectors"):
        check_files(job.detectors / name for name in names.values())
        # All are read before the first is trained: a faulty one would stop the work after minutes.
        networks = {held: detector_in(job.detectors / name) for held, name in names.items()}
    make_folder(job.output, "output")
    for held, name in names.items():
        network = networks.pop(held)
        kept = [one for one in labels if one.fold != held]
        train_looking(network, kept, job.steps, job.seed, device)
        state = halved(network.state_dict())
        made = as_differences(state) if held is None else state
        sets = (one.set_name for one in labels)
        metadata = None if held is None else fold_metadata(sets, job.detectors / name)
        write_tensors(job.output / name, made, metadata)
        log.say("looking", f"{name} is written")


def fit_rule(job: RuleJob, log: Log) -> None:
    """Fit the coefficients of the rule; the weights of gaze and penalties stay as packaged.

    Raises UsageError where a kind of label or a fold's weights are missing, or a file contains
    something else.
    """
    weights = FoldWeights(job.detectors, job.networks, job.features)
    labels = read_people_labels(job, log)
    make_parent_folder(job.output, "output")
    weights.check({one.set_name for one in labels})
    found = set[str]().union(*map(list_kinds, labels))
    if missing := [kind for kind in KINDS if kind not in found]:
        raise UsageError(f"no labels for {', '.join(missing)}: FLMS tells overlap, OSIE gaze")
    lists: dict[str, list[LabelledList]] = {kind: [] for kind in KINDS}
    for fold in range(FOLDS):
        held_out = [one for one in labels if one.fold == fold]
        detector = weights.detector_with_branch(fold)
        assert detector is not None, "a fit has detectors of every fold"
        network = weights.scorer(fold, lambda: load_model("starter"))
        for one in held_out:
            add_lists(one, detector, network, lists)
        log.say("lists", f"fold {fold}: {counted(len(held_out), 'photo')}")
    packaged = json.loads(files("pipeline.cropping").joinpath("choice.json").read_text())
    overlap, gaze, free = (np.asarray(fit_linear(lists[kind])) for kind in KINDS)
    fitted = as_rule_json(overlap, gaze, free)
    write_text_atomic(job.output, json.dumps({**packaged, **fitted}, indent=2) + "\n")


def add_lists(
    labels: PeopleLabels,
    detector: nn.Module,
    network: FastS2CNet,
    lists: dict[str, list[LabelledList]],
) -> None:
    """Add one photo's lists, by kind, to `lists`."""
    seen = seen_by(detector, labels.photo)
    evidence = evidence_of(seen.objects, seen.size_wh)
    score = score_function(network, seen)
    for kind, found in lists_of(labels, seen.size_wh, evidence, score):
        lists[kind].append(found)
