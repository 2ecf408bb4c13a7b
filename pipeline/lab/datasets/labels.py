"""Read all labels of a folder of photos from one JSON file: crops, gaze, heads, places."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.errors import UsageError, did_you_mean
from pipeline.lab.datasets.box_files import boxes, finite
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import (
    check_only_split,
    missing_note,
    read_json,
    read_upright_size,
)
from pipeline.shapes import parse_shape
from pipeline.words import counted

KEYS = ("size_wh", "crops", "viewers", "heads", "places")
FORM = (
    '{"size_wh"?: [w, h], "crops"?: [[x0, y0, x1, y1], …], "viewers"?: …, "heads"?: …, '
    '"places"?: {"9:16": [[low, high], …], …}}'
)


def labels_file(folder: Path) -> Path:
    """Return the path of a folder's labels: next to it, its full name with .json appended.

    Where the folder is a link, the file may be next to the link or next to what it leads to.
    """
    given, resolved = Path(os.path.normpath(folder.absolute())), folder.resolve()
    beside_link = given.with_name(f"{given.name}.json")
    return beside_link if beside_link.is_file() else resolved.with_name(f"{resolved.name}.json")


def read_labels(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read a folder of photos and, next to it, a JSON file of the same name.

        <folder>/<photo>
        <folder>.json    {"<photo>": {…}}, in pixels of the photo as it is shown, any of
            "crops"      [[x0, y0, x1, y1], …], one for each person
            "viewers"    [[[x, y, ms], …], …], the fixations of each person
            "heads"      [{"box": [x0, y0, x1, y1], …}, …], every head
            "places"     {"9:16": [[low, high], …], …}, for some shapes: ranges of the left edge of
                         the largest crop in which it is acceptable, of the upper edge where it has
                         the photo's width
            "size_wh"    [w, h], the photo's size; labels of a copy of another size are refused

    Raises UsageError.
    """
    check_only_split(split, "labels")
    path = labels_file(root)
    listed = read_json(path)
    if not isinstance(listed, dict):
        raise UsageError(f'{path}: expected {{"<photo>": {FORM}}}')
    absent = [name for name in listed if not (root / name).is_file()]
    missing = set(absent)
    examples = [
        _example(root / name, entry, f"{path}: {name}")
        for name, entry in listed.items()
        if name not in missing
    ]
    notes = missing_note(absent, path.name, root)
    if unlabelled := sum(not _is_labelled(example) for example in examples):
        notes.append(f"{counted(unlabelled, 'photo has', 'photos have')} no label in {path.name}")
    return examples, notes


def _example(image: Path, entry: Any, where: str) -> Example:
    """Read one photo's labels. Raises UsageError."""
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: expected {FORM}")
    for key in entry.keys() - set(KEYS):  # extra keys are allowed next to the labels
        if (meant := did_you_mean(key, KEYS)) or not entry.keys() & set(KEYS):
            raise UsageError(f"{where}: there is no label {key}, only {', '.join(KEYS)}{meant}")
    labels = {key: value for key, value in entry.items() if value is not None}
    _check_size(image, labels, where)
    points, first = _fixations(labels.get("viewers"), f"{where}: viewers")
    return Example(
        image.stem,
        image,
        human_px=boxes(labels.get("crops", []), f"{where}: crops"),
        heads_px=_heads(labels.get("heads"), f"{where}: heads"),
        fixations_px=points,
        places_px=_places(labels.get("places", {}), f"{where}: places"),
        first_fixations=first,
    )


def _check_size(image: Path, labels: Mapping[str, Any], where: str) -> None:
    """Raise UsageError where the labels are of a copy of another size."""
    if "size_wh" not in labels:
        return
    size = finite(labels["size_wh"], f"{where}: size_wh")
    if size.shape != (2,):
        raise UsageError(f'{where}: expected "size_wh": [w, h]')
    try:
        shown = read_upright_size(image)
    except UsageError:
        return  # reported where the photo is read
    if size.tolist() != [*shown]:
        raise UsageError(
            f"{where}: size_wh is {size[0]:g} × {size[1]:g}, and the photo is shown as {shown[0]} "
            f"× {shown[1]}: labels have to be in pixels of the photo in the folder"
        )


def _heads(heads: Any, where: str) -> Boxes | None:
    """Return the boxes [H, 4] of heads; None where none were drawn. Raises UsageError."""
    if heads is None:
        return None
    if not (isinstance(heads, list) and all(isinstance(h, dict) and "box" in h for h in heads)):
        raise UsageError(f'{where}: expected [{{"box": [x0, y0, x1, y1]}}, …]')
    return boxes([head["box"] for head in heads], where)


def _places(places: Any, where: str) -> dict[str, NDArray[np.float64]]:
    """Return the ranges [K, 2] of each shape, by the name that it has here. Raises UsageError."""
    if not isinstance(places, dict):
        raise UsageError(f'{where}: expected {{"9:16": [[low, high], …], …}}')
    found = {}
    for name, ranges in places.items():
        try:
            shape = parse_shape(name)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        if shape.ratio is None:
            raise UsageError(f"{where}: {name} has no ratio, so no largest crop")
        if shape.name in found:
            raise UsageError(f"{where}: {shape.name} is given twice")
        rows = finite(ranges, f"{where}: {name}")
        if rows.ndim != 2 or rows.shape[1] != 2 or (rows[:, 0] > rows[:, 1]).any():
            raise UsageError(f"{where}: {name}: expected [[low, high], …], low at most high")
        found[shape.name] = rows
    return found


def _fixations(
    viewers: Any, where: str
) -> tuple[NDArray[np.float32] | None, NDArray[np.bool_] | None]:
    """Return the fixations [F, 2] of all viewers, F ≥ 1, and which are a viewer's first [F].

    Both are None where there is no fixation: nobody's gaze was recorded. Raises UsageError.
    """
    if viewers is None:
        return None, None
    if not (isinstance(viewers, list) and all(map(_is_viewer, viewers))):
        raise UsageError(f"{where}: expected [[[x, y, ms], …], …], the fixations of each person")
    points = finite([fixation[:2] for viewer in viewers for fixation in viewer], where)
    first = [not index for viewer in viewers for index in range(len(viewer))]
    if not first:
        return None, None
    return points.astype(np.float32).reshape(len(first), 2), np.array(first, np.bool_)


def _is_viewer(viewer: Any) -> bool:
    return isinstance(viewer, list) and all(isinstance(f, list) and len(f) >= 2 for f in viewer)


def _is_labelled(example: Example) -> bool:
    """Return whether a photo has any label; a list of no heads is a label too."""
    shown = example.fixations_px is not None or example.heads_px is not None
    return shown or len(example.human_px) > 0 or len(example.places_px) > 0
