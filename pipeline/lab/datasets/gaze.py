"""Data sets of where people looked: OSIE and EyeCrowd, as their authors publish them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.errors import UsageError
from pipeline.lab.datasets.box_files import boxes, finite
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import (
    cell,
    check_new,
    check_only_split,
    first_folder,
    missing_note,
    photos,
    read_mat,
)
from pipeline.words import counted

FIXATIONS = "eye/fixations.mat"
MATLAB_ORIGIN = 0.5
"""MATLAB counts pixels from 1 at their centres; here the first pixel's centre is at .5."""


FIRST_WEIGHT = 0.3
"""The weight of a viewer's first fixation where the others have 1.

In a quarter of cases it is where the fixation cross was (22 % of OSIE's and 29 % of EyeCrowd's lie
within .08 of the centre; later ones 5 %).
"""


def read_osie(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read OSIE, 700 photos viewed freely by 15 people for 3 s: Xu et al., Journal of Vision 2014.

        stimuli/<name>.jpg
        eye/fixations.mat    fixations, a cell of structs: img, the photo's name; subjects, a cell
                             of structs fix_x, fix_y, fix_duration (ms), in MATLAB's pixels

    Raises UsageError.
    """
    check_only_split(split, "osie")
    images = first_folder(root, "stimuli", "data/stimuli")
    listed = _read_fixations(images.parent / FIXATIONS)
    examples = [
        Example(Path(name).stem, images / name, fixations_px=points, first_fixations=first)
        for name, (points, first) in listed.items()
        if (images / name).is_file()
    ]
    absent = [name for name in listed if not (images / name).is_file()]
    return examples, missing_note(absent, FIXATIONS, images)


def read_eyecrowd(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read EyeCrowd, 500 crowd photos viewed freely by 16 people for 5 s: Jiang et al., ECCV 2014.

        stimuli/<name>.jpg
        eye/fixations.mat    as in OSIE
        labels.mat           labels, a cell of structs, one for each photo by name: nFaces, and
                             faces, a cell of structs center (x, y), width, height

    The labelled faces are whole heads, hair included, seen from any side. Raises UsageError.
    """
    check_only_split(split, "eyecrowd")
    images = first_folder(root, "stimuli", "data/stimuli")
    listed = _read_fixations(images.parent / FIXATIONS)
    files, labels = photos(images), cell(read_mat(images.parent / "labels.mat", "labels", True))
    if len(files) != len(labels):
        raise UsageError(
            f"{images} holds {counted(len(files), 'photo')} and labels.mat describes "
            f"{len(labels)}: they belong together by order, so give all of them"
        )
    examples = [
        Example(
            image.stem,
            image,
            heads_px=_heads(label, f"labels.mat: {image.name}"),
            fixations_px=points,
            first_fixations=first,
        )
        for image, label in zip(files, labels, strict=True)
        for points, first in [listed.get(image.name, (None, None))]
    ]
    unseen = [image.name for image in files if image.name not in listed]
    return examples, missing_note(unseen, images.name, FIXATIONS)


def _read_fixations(path: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Map photo names to fixations [F, 2] of all viewers, F ≥ 1, and which are a viewer's first."""
    found: dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]] = {}
    try:
        for photo in cell(read_mat(path, "fixations", simplify=True)):
            viewers = [
                np.stack([np.atleast_1d(viewer[name]) for name in ("fix_x", "fix_y")], axis=1)
                for viewer in cell(photo["subjects"])
            ]
            name = str(photo["img"])
            if not viewers:
                raise UsageError(f"{path}: {name} has no viewer")
            check_new(name, found, path)
            points = finite(np.concatenate(viewers), f"{path}: {name}: fixations")
            if not len(points):
                raise UsageError(f"{path}: {name} has no fixation")
            first = np.concatenate([np.arange(len(viewer)) == 0 for viewer in viewers])
            found[name] = points.astype(np.float32) - MATLAB_ORIGIN, first
    except UsageError:  # its message is specific already
        raise
    except (IndexError, KeyError, TypeError, ValueError):
        form = "fixations, a cell of structs img, subjects{fix_x, fix_y}"
        raise UsageError(f"{path}: expected {form}") from None
    return found


def _heads(label: Any, where: str) -> Boxes:
    """Return the head boxes [H, 4] of one photo's label."""
    try:
        faces = cell(label["faces"]) if label["nFaces"] else []
        sides = np.array([[f["width"], f["height"]] for f in faces], np.float64)
        centres = np.array([f["center"] for f in faces], np.float64)
        sides, centres = (of_each.reshape(len(faces), 2) for of_each in (sides, centres))
    except (IndexError, KeyError, TypeError, ValueError):
        form = "nFaces and faces{center, width, height}"
        raise UsageError(f"{where}: expected {form}") from None
    centres = centres - MATLAB_ORIGIN
    return boxes(np.concatenate([centres - sides / 2, centres + sides / 2], axis=1), where)
