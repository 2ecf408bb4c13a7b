"""Read the list for the fairness figures: the people in each photo and their groups."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from pipeline.boxes import Boxes
from pipeline.lab.datasets.box_files import box_rows
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
