"""Read the list for the fairness part: the people in each photo and their groups."""

import csv
import io
from collections import defaultdict
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.lab.datasets.layout import boxes, read_text
from pipeline.lab.evaluation.photo import FollowedBoxes

COLUMNS = ("photo", "x0", "y0", "x1", "y1", "group")


def read_groups(path: Path) -> dict[str, FollowedBoxes]:
    """A CSV `photo,x0,y0,x1,y1,group`, one line a person: photo's file name -> its people.

    Boxes in pixels of the stored photo. Groups are whatever the list calls them; nothing here
    guesses anyone's. Raises UsageError.
    """
    rows = csv.DictReader(io.StringIO(read_text(path)))
    if missing := set(COLUMNS) - set(rows.fieldnames or ()):
        raise UsageError(f"{path} has no column {', '.join(sorted(missing))}")
    found: dict[str, list[tuple[list[float], str]]] = defaultdict(list)
    for row in rows:
        try:
            box = [float(row[name]) for name in COLUMNS[1:5]]
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path}:{rows.line_num}: {error}") from None
        if not row["group"]:
            raise UsageError(f"{path}:{rows.line_num}: no group")
        found[row["photo"]].append((box, row["group"]))
    return {
        photo: FollowedBoxes(
            boxes([box for box, _ in people], f"{path}: {photo}"), [group for _, group in people]
        )
        for photo, people in found.items()
    }
