"""Read the list for the fairness figures: the people in each photo and their groups."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from pipeline.boxes import Boxes
from pipeline.errors import UsageError
from pipeline.lab.datasets import Dataset
from pipeline.lab.datasets.box_files import box_rows
from pipeline.lab.datasets.layout import missing_note
from pipeline.lab.evaluation.frame import FollowedBoxes


def read_groups(path: Path) -> dict[str, FollowedBoxes]:
    """Read a CSV `photo,x0,y0,x1,y1,group`, one line a person: photo's file name -> its people.

    Boxes are in pixels of the upright photo. Groups are the list's own names; nothing here guesses
    a person's group. Raises UsageError.
    """
    found: dict[str, list[tuple[Boxes, str]]] = defaultdict(list)
    for row, box in box_rows(path, "group"):
        found[row["photo"]].append((box, row["group"]))
    return {
        photo: FollowedBoxes(
            np.concatenate([box for box, _ in people]), [group for _, group in people]
        )
        for photo, people in found.items()
    }


def people_of(groups: Path, dataset: Dataset) -> tuple[dict[str, FollowedBoxes], list[str]]:
    """Read file name -> people from the list, and notes on photos that the data set lacks.

    Raises UsageError where no photo of the data set is in the list, or where a listed name is
    ambiguous because several photos have it.
    """
    people = read_groups(groups)
    times = Counter(example.image.name for example in dataset.examples)
    if shared := [name for name in people if times[name] > 1]:
        raise UsageError(
            f"{groups}: {times[shared[0]]} photos of the data set are called {shared[0]}: give "
            "each file a name of its own"
        )
    absent = [name for name in people if not times[name]]
    if len(absent) == len(people):
        others = f", only others such as {absent[0]}" if absent else ""
        raise UsageError(f"{groups} names no photo of the data set{others}")
    return people, missing_note(absent, groups.name, "the data set")
