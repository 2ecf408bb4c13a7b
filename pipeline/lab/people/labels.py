"""People's gaze, crops and heads for one photo, as shares of its sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.boxes import FloatArray
from pipeline.errors import UsageError, naming
from pipeline.lab.datasets import Example, log_notes, read_set
from pipeline.lab.datasets.gaze import FIRST_WEIGHT
from pipeline.lab.datasets.labels import labels_file
from pipeline.lab.datasets.layout import check_photos_once, read_upright_size
from pipeline.lab.evaluation.frame import check_inside
from pipeline.lab.folds import fold_of
from pipeline.lab.people.settings import LabelsJob
from pipeline.report.progress import Log

LOOKS = "looks"  # the set of photos whose fixations are predicted, not recorded


@dataclass(frozen=True, eq=False)
class PeopleLabels:
    """Labels of one photo; an empty array where its data set has no such label.

    fixations: x, y of those inside the photo. [F, 2]; fixation_weights: [F].
    crops: people's own crops, xyxy. [C, 4]
    heads: every head of the photo, hair included, xyxy; None where heads were not labelled. [H, 4]
    """

    photo: Path
    set_name: str
    fixations: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    fixation_weights: FloatArray = field(default_factory=lambda: np.zeros(0))
    crops: FloatArray = field(default_factory=lambda: np.zeros((0, 4)))
    heads: FloatArray | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether the photo has any label."""
        return self.heads is not None or len(self.crops) + len(self.fixations) > 0

    @property
    def fold(self) -> int:
        """The fold that the photo is held out from, 0 to FOLDS - 1, by its set and file name."""
        return fold_of(self.set_name, self.photo.name)


def read_people_labels(job: LabelsJob, log: Log | None = None) -> list[PeopleLabels]:
    """Read the labelled photos of a job's folders, also those of LOOKS if it has them.

    A folder is as the set's authors publish it or, where a JSON file of its name is next to it, as
    described in `read_labels`. log: reports what is left out.

    Raises UsageError, also where no folder or a photo twice is given.
    """
    found: list[PeopleLabels] = []
    for name, root in given_sets(job, ("osie", "eyecrowd", "flms", LOOKS)):
        with naming(name):
            examples, notes = read_set(layout_of(name, root), root)
            log_notes(notes, log)
            found += [labels_of(example, name) for example in examples]
    check_photos_once(one.photo for one in found)
    return found


def given_sets(job: LabelsJob, names: Sequence[str]) -> list[tuple[str, Path]]:
    """List those sets of `names` that a job has, each with its folder.

    Raises UsageError where it has none.
    """
    folders = [(name, getattr(job, name, None)) for name in names]
    found = [(name, folder) for name, folder in folders if folder is not None]
    if not found:
        raise UsageError("give at least one of --osie, --eyecrowd and --flms")
    return found


def layout_of(name: str, folder: Path) -> str:
    """Return the layout of a set's folder: `labels` with a JSON file next to it, else `name`.

    name: one of `NAMES` of `pipeline.lab.datasets`.
    """
    return "labels" if labels_file(folder).is_file() or name == LOOKS else name


def labels_of(example: Example, set_name: str) -> PeopleLabels:
    """Convert the labels of one photo of a data set.

    Raises UsageError where the photo cannot be read, and as `check_inside` does.
    """
    size_wh = read_upright_size(example.image)
    check_inside(example, size_wh)
    size = np.array(size_wh * 2, np.float64)
    points, weights = np.zeros((0, 2)), np.zeros(0)
    if example.fixations_px is not None and example.first_fixations is not None:
        points = example.fixations_px / size[:2]
        inside = ((points >= 0) & (points < 1)).all(axis=1)
        weights = np.where(example.first_fixations, FIRST_WEIGHT, 1.0)[inside]
        points = points[inside]
    heads = None if example.heads_px is None else np.clip(example.heads_px / size, 0, 1)
    crops = np.clip(example.human_px / size, 0, 1)
    return PeopleLabels(example.image, set_name, points, weights, crops, heads)
