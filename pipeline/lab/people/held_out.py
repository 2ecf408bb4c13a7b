"""Outputs of the networks for labelled photos that they were not trained on, kept in a file.

Each photo is processed by the detector that was trained without its fold. It is scored by the
S2CNet of its fold if there is one, else by the packaged one, which was trained on these sets. This
takes most of the time of a fit, so the outputs can be kept for the next run (`held_out_cache`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from pipeline.cropping.candidates import for_shape
from pipeline.cropping.scoring import score_function
from pipeline.cropping.search import SearchResult, spread_only
from pipeline.cropping.sources import SeenPhoto, to_source
from pipeline.cropping.transfer import Transfer
from pipeline.detectors import Detections
from pipeline.detectors.embedded import detect_with
from pipeline.errors import UsageError, naming
from pipeline.lab.datasets import Example, load_dataset, log_notes
from pipeline.lab.datasets.layout import check_photos_once, decoded_photo, read_upright_size
from pipeline.lab.evaluation.frame import check_inside
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import FOLDS, fold_of
from pipeline.lab.people.held_out_cache import cache_key, read_cached, write_cached
from pipeline.lab.people.labels import given_sets, layout_of
from pipeline.lab.people.settings import LabelsJob
from pipeline.output_files import make_parent_folder
from pipeline.report.progress import Log
from pipeline.shapes import MAX_RATIO, Shape, parse_shape
from pipeline.words import counted
from s2cnet import FastS2CNet, load_model

SETS = ("flms", "osie", "eyecrowd")
OWN = "own"  # the name of a shape that has a person's own ratio
GAZE_SHAPES = ("1:1", "4:3", "16:9", "9:16", "3:4")  # at which photos with fixations are cropped
MIN_CROP_PX = 4.0  # a person's crop with a side this small is a slip of the mouse: left out


@dataclass(frozen=True, eq=False)
class PeoplePhoto:
    """A photo with people's labels and the data set that it is from."""

    set_name: str
    example: Example

    @classmethod
    def of(cls, set_name: str, example: Example) -> PeoplePhoto:
        """Make a photo without people's crops that have a side of MIN_CROP_PX or less."""
        human = example.human_px
        kept = ((human[:, 2:] - human[:, :2]) > MIN_CROP_PX).all(axis=1)
        return cls(set_name, replace(example, human_px=human[kept]))

    @property
    def fold(self) -> int:
        """The fold that the photo is held out from, 0 to FOLDS - 1."""
        return fold_of(self.set_name, self.example.image.name)


@dataclass(frozen=True, eq=False)
class HeldOutPhoto:
    """A labelled photo with the outputs of its fold's networks.

    objects: in source pixels, with the maps of attention.
    shapes, found: the shapes asked for, and the search result of each one's candidates.
    """

    labels: PeoplePhoto
    size_wh: tuple[int, int]
    objects: Detections
    shapes: list[Shape]
    found: list[SearchResult]


def shapes_of(example: Example) -> list[Shape]:
    """List each person's own ratio in the order of the crops, and free; for gaze, GAZE_SHAPES."""
    ratios = [(x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in example.human_px.tolist()]
    shapes = [Shape(OWN, min(max(ratio, 1 / MAX_RATIO), MAX_RATIO)) for ratio in ratios]
    if shapes:
        shapes.append(parse_shape("free"))
    if example.fixations_px is not None:
        shapes += [parse_shape(name) for name in GAZE_SHAPES]
    return shapes


def labelled_photos(job: LabelsJob, log: Log | None = None) -> list[PeoplePhoto]:
    """Read the photos of the given folders, with labels as published or from a JSON file.

    Photos with only drawn heads are left out, because heads imply no shape. log: reports what a set
    leaves out.

    Raises UsageError where no folder is given, a photo twice, no photo has people's crops or
    fixations, or labels are in another frame than their photo.
    """
    folders = given_sets(job, SETS)
    found = []
    for name, folder in folders:
        with naming(name):
            dataset = load_dataset(layout_of(name, folder), folder)
            log_notes(dataset.notes, log)
            for example in dataset.examples:  # before the work of minutes
                check_inside(example, read_upright_size(example.image))
        found += [PeoplePhoto.of(name, example) for example in dataset.examples]
    check_photos_once(one.example.image for one in found)
    asked = [one for one in found if shapes_of(one.example)]
    if not asked:
        names = ", ".join(str(folder) for _, folder in folders)
        raise UsageError(f"{names}: no photo has people's crops or fixations to measure by")
    return asked


def held_out_photos(
    photos: list[PeoplePhoto], weights: FoldWeights, cache: Path | None, log: Log
) -> list[HeldOutPhoto]:
    """Run the networks of each photo's fold on it, or read their outputs from `cache`.

    The cache is written where it has no matching outputs. A damaged one is reported and replaced.

    weights: with detectors; without networks the packaged S2CNet scores all photos.

    Raises UsageError where a fold's file is missing or contains something else, other sets were
    held out from it or `cache` cannot be written.
    """
    if cache is not None:
        make_parent_folder(cache, "cache")
    weights.files({one.set_name for one in photos})
    key = cache_key(weights, [(one.set_name, one.example) for one in photos])
    if (cached := read_cached(cache, key, log)) is not None:
        log.say("held_out", f"{counted(len(photos), 'photo')} as kept in {cache}")
        return list(cached)
    weights.check()
    seen: dict[int, HeldOutPhoto] = {}
    for fold in range(FOLDS):
        places = [place for place, one in enumerate(photos) if one.fold == fold]
        detector = weights.detector_with_branch(fold)
        assert detector is not None, "held-out photos are seen by detectors of their fold"
        network = weights.scorer(fold, lambda: load_model("starter"))
        seen |= {place: run_networks(photos[place], detector, network) for place in places}
        log.say("held_out", f"fold {fold} is seen")
    found = [seen[place] for place in range(len(photos))]
    write_cached(cache, key, found)
    return found


def run_networks(
    labels: PeoplePhoto,
    detector: nn.Module,
    network: FastS2CNet,
    shapes: list[Shape] | None = None,
) -> HeldOutPhoto:
    """Run these networks on a photo, in the same way as the product's engine.

    shapes: None for those that its labels ask for, see `shapes_of`.
    """
    seen = seen_by(detector, labels.example.image)
    check_inside(labels.example, seen.size_wh)
    shapes = shapes_of(labels.example) if shapes is None else shapes
    lists = [for_shape(*seen.size_wh, shape) for shape in shapes]
    found = spread_only(lists, score_function(network, seen))
    return HeldOutPhoto(labels, seen.size_wh, seen.objects, shapes, found)


def seen_by(detector: nn.Module, path: Path) -> SeenPhoto:
    """Decode a photo and have a detector's network find its objects, on the CPU.

    Raises UsageError where the photo cannot be read.
    """
    photo = decoded_photo(path)
    objects = to_source(detect_with(detector, photo.pixels), photo)
    return SeenPhoto(Transfer(torch.device("cpu")).send(photo), objects)
