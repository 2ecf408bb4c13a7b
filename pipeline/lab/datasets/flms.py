"""The data set FLMS: photos with the crops of about ten people each."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.lab.datasets.box_files import YXYX, boxes, finite
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.human import text_per_photo
from pipeline.lab.datasets.layout import (
    check_new,
    check_only_split,
    first_folder,
    missing_note,
    no_crops_note,
    read_mat,
    read_upright_size,
)

XYXY = [0, 1, 2, 3]
"""Column order that leaves x1 y1 x2 y2 as they are."""
FLMS_MAT = "500_image_dataset.mat"


def read_flms(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read FLMS, 500 photos with about 10 crops each: Fang et al., ACM Multimedia 2014.

        image/<name>.jpg  (or images/)
        annotations/<stem>.txt       `x1 y1 x2 y2` a line, or as published:
        500_image_dataset.mat        `img_gt`, rows of (name, crops); a crop with a negative
                                     number or no area is void

    The column order inside the .mat is inferred: x first, unless fewer crops leave their photos
    with y first. Raises UsageError.
    """
    check_only_split(split, "flms")
    images = first_folder(root, "image", "images")
    if (root / "annotations").is_dir():
        return text_per_photo(images, root / "annotations")
    if not (root / FLMS_MAT).is_file():
        raise UsageError(f"{root} has neither {FLMS_MAT} nor a folder annotations")
    listed = _read_flms_mat(root / FLMS_MAT)
    found = {name: rows for name, rows in listed.items() if (images / name).is_file()}
    order = min(XYXY, YXYX, key=lambda order: _outside(images, found, order))  # the first of equals
    examples = [
        Example(Path(name).stem, images / name, human_px=boxes(rows[:, order], name))
        for name, rows in found.items()
        if len(rows)
    ]
    notes = missing_note([name for name in listed if name not in found], FLMS_MAT, images)
    return examples, [*notes, *no_crops_note(len(found) - len(examples))]


def _read_flms_mat(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read names and crops [M, 4] in the file's column order, without void crops."""
    table = read_mat(path, "img_gt")
    try:
        listed_rows = table.ravel() if table.dtype.names else table[:, 0]  # structs: 1 × N or N × 1
        rows = [(str(row[0][0]), np.reshape(row[1], (-1, 4)).astype(float)) for row in listed_rows]
    except (IndexError, TypeError, ValueError):
        raise UsageError(f"{path}: expected img_gt, rows of (name, crops [M, 4])") from None
    listed: dict[str, NDArray[np.float64]] = {}
    for name, crops in rows:
        check_new(name, listed, path)
        listed[name] = _not_void(finite(crops, f"{path}: {name}: crops"))
    return listed


def _not_void(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows [M, 4] that have an area and no negative numbers, x or y first."""
    return rows[(rows >= 0).all(axis=1) & (rows[:, :2] < rows[:, 2:]).all(axis=1)]


def _outside(images: Path, listed: dict[str, NDArray[np.float64]], order: list[int]) -> int:
    """Count the crops that leave their photo when read in this column order."""
    count = 0
    for name, rows in listed.items():
        try:
            width, height = read_upright_size(images / name)
        except UsageError:
            continue  # reported where the photo is read
        crops = rows[:, order]
        count += int(((crops[:, 2] > width) | (crops[:, 3] > height)).sum())
    return count
