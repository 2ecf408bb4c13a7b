"""Data sets whose crops have human scores: the GAIC layout and CPC."""

import json
from pathlib import Path

import numpy as np

from pipeline.boxes import Boxes
from pipeline.errors import UsageError
from pipeline.lab.datasets.box_files import YXYX, boxes, finite, published_boxes, read_numbers
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import check_only_split, first_folder, photos, read_text
from pipeline.words import counted

NOT_ANNOTATED = -2
"""The score of a crop that nobody judged, in GAIC's files."""


def read_gaic(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read GAICv1, GAICv2 (Zeng et al., CVPR 2019, TPAMI 2020), UGCrop5K (Su et al., AAAI 2024).

        images/<split>/<id>.jpg
        annotations/<id>.txt  or  annotations/<split>/<id>.txt   `y1 x1 y2 x2 MOS` a line
        bbox/<id>.txt         or  bbox/<split>/<id>.txt          `y1 x1 y2 x2` a line, optional

    Crops with a score of -2 were not annotated and are left out. Raises UsageError.
    """
    images = first_folder(first_folder(root, "images"), split)
    annotations = _split_or_flat(first_folder(root, "annotations"), split)
    objects = _split_or_flat(root / "bbox", split) if (root / "bbox").is_dir() else None
    examples, empty, without = [], 0, []
    for image in photos(images):
        path = annotations / f"{image.stem}.txt"
        if not path.is_file():
            without.append(image.name)
            continue
        rows = read_numbers(path, "y1 x1 y2 x2 MOS")
        rows = rows[rows[:, 4] != NOT_ANNOTATED]
        if not len(rows):
            empty += 1
            continue
        given = published_boxes(objects / f"{image.stem}.txt") if objects else None
        crops = boxes(rows[:, YXYX], str(path))
        examples.append(Example(image.stem, image, crops, _scores(rows[:, 4]), objects_px=given))
    if without:
        shown = ", ".join(without[:3])
        raise UsageError(
            f"no file in {annotations} for {counted(len(without), 'photo')} of {images}: {shown}"
        )
    notes = [f"{counted(empty, 'photo')} without any annotated crop left out"] if empty else []
    return examples, notes


def read_cpc(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read CPC, 24 crops a photo judged by several people: Wei et al., CVPR 2018.

        images/<name>.jpg
        CollectedAnnotationsRaw/<name>.jpg.txt   JSON, encoded once or twice:
            {"scores": [[24 numbers] for each person], "bboxes": [[x1, y1, x2, y2] × 24]}

    A crop's score is the mean over people; the crops of the highest mean are also used as the
    photo's human crops. Raises UsageError.
    """
    check_only_split(split, "cpc")
    images = first_folder(root, "images")
    annotations = first_folder(root, "CollectedAnnotationsRaw")
    examples, without = [], 0
    for image in photos(images):
        path = annotations / f"{image.name}.txt"
        if not path.is_file():
            without += 1
            continue
        crops, mos = _read_cpc_file(path)
        best = crops[mos == mos.max()]
        examples.append(Example(image.stem, image, crops, mos, best))
    notes = [f"{counted(without, 'photo')} without annotations left out"] if without else []
    return examples, notes


def _read_cpc_file(path: Path) -> tuple[Boxes, np.ndarray]:
    form = '{"scores": [[…] for each person], "bboxes": [[x1, y1, x2, y2], …]}'
    try:
        content = json.loads(read_text(path))
        content = json.loads(content) if isinstance(content, str) else content
        scores = np.array(content["scores"], np.float64)
        rows = np.array(content["bboxes"], np.float64)
    except UsageError:  # its message is specific already
        raise
    except (KeyError, TypeError, ValueError):  # includes JSONDecodeError
        raise UsageError(f"{path}: expected {form}") from None
    if rows.ndim != 2 or rows.shape[1] != 4 or scores.ndim != 2 or scores.shape[1] != len(rows):
        raise UsageError(f"{path}: expected {form}, got {scores.shape} and {rows.shape} numbers")
    return boxes(rows, f"{path}: bboxes"), _scores(finite(scores, f"{path}: scores").mean(0))


def _split_or_flat(folder: Path, split: str) -> Path:
    return folder / split if (folder / split).is_dir() else folder


def _scores(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
