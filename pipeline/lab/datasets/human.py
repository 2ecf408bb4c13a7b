"""Data sets of crops that people drew: FCDB, SACD, GNMC, and a plain CSV of your own."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from pipeline.boxes import Boxes
from pipeline.errors import SettingError, UsageError
from pipeline.lab.datasets.box_files import (
    box_rows,
    boxes,
    published_boxes,
    read_numbers,
)
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import (
    check_only_split,
    first_folder,
    missing_note,
    no_crops_note,
    photos,
    read_entries,
    read_upright_size,
)
from pipeline.shapes import parse_shape
from pipeline.words import counted

CSV_NAME = "crops.csv"


def read_fcdb(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read FCDB, one crop a photo: Chen et al., WACV 2017.

        cropping_testing_set.json, cropping_training_set.json   [{"url": …, "crop": [x, y, w, h]}]
        data/<last part of the url>  (or images/)

    Photos missing from the folder (some have left the web) are noted and left out. Raises
    UsageError.
    """
    files = {"test": "cropping_testing_set.json", "train": "cropping_training_set.json"}
    if split not in files:
        raise SettingError("split", f"{split!r} does not exist: fcdb has test and train")
    images = first_folder(root, "data", "images")
    path = root / files[split]
    examples, absent = [], []
    form = '{"url": …, "crop": [x, y, w, h]}'
    for number, entry in enumerate(read_entries(path, form)):
        try:
            name = str(entry["url"]).rpartition("/")[2]
            x, y, width, height = (float(value) for value in entry["crop"])
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"{path}: entry {number}: expected {form}") from None
        if not (images / name).is_file():
            absent.append(name)
            continue
        crop = boxes([[x, y, x + width, y + height]], f"{path}: entry {number}")
        examples.append(Example(Path(name).stem, images / name, human_px=crop))
    return examples, missing_note(absent, path.name, images)


def read_sacd(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read SACD, crops around a given subject: Yang et al., Computational Visual Media 2023.

        images/<split>/<id>.jpg  or, only for the split test, images/<id>.jpg
        annotations/…/<id>.txt   `x1 y1 x2 y2` a line, optionally followed by a score
        subject/…/<id>.txt       `x1 y1 x2 y2`, the subject's box, optional

    Raises UsageError.
    """
    images = first_folder(root, "images")
    if (images / split).is_dir():
        images = images / split
    elif not photos(images):
        images = first_folder(images, split)  # raises UsageError, which lists the splits
    else:
        check_only_split(split, f"sacd with its photos in {images}")
    annotations = first_folder(root, f"annotations/{split}", "annotations")
    subjects = [root / "subject" / split, root / "subject"]
    subject = next((folder for folder in subjects if folder.is_dir()), None)
    return text_per_photo(images, annotations, subject)


def read_gnmc(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read GNMC, crops of five shapes by editors: Christensen and Vartakavi, IEEE Access 2021.

        json/<split>.json   [{"filename": …, "crop_bboxes": {"16:9": [x0, y0, x1, y1], …}}, …],
                            the boxes as shares of the upright photo's sides
        <split>/<filename>

    Photos that cannot be read are noted and left out. Raises UsageError.
    """
    path = root / "json" / f"{split}.json"
    examples, absent, notes = [], [], list[str]()
    form = '{"filename": …, "crop_bboxes": {"16:9": [x0, y0, x1, y1], …}}'
    for number, entry in enumerate(read_entries(path, form)):
        try:
            name, crops = str(entry["filename"]), dict(entry["crop_bboxes"])
            asked = tuple(parse_shape(shape).name for shape in crops)
            shares = np.array(list(crops.values()), np.float64).reshape(len(crops), 4)
        except UsageError as error:  # of a shape; its message is specific
            raise UsageError(f"{path}: entry {number}: {error}") from None
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"{path}: entry {number}: expected {form}") from None
        image = root / split / name
        if not image.is_file():
            absent.append(name)
            continue
        try:
            size = np.array(read_upright_size(image) * 2)
        except UsageError as error:
            notes.append(f"left out: {error}")
            continue
        human = boxes(shares * size, f"{path}: entry {number}")
        examples.append(Example(Path(name).stem, image, human_px=human, asked=asked))
    return examples, [*missing_note(absent, path.name, root / split), *notes]


def read_crops(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read human crops from a plain CSV next to a folder of photos.

        crops.csv      photo,x0,y0,x1,y1 with a header; one line for each person's crop of a photo
        images/<photo>  or next to the CSV

    Raises UsageError.
    """
    check_only_split(split, "crops")
    images = root / "images" if (root / "images").is_dir() else root
    path = root / CSV_NAME
    crops: dict[str, list[Boxes]] = defaultdict(list)
    for row, crop in box_rows(path):
        crops[row["photo"]].append(crop)
    absent = [name for name in crops if not (images / name).is_file()]
    missing = set(absent)
    examples = [
        Example(Path(name).stem, images / name, human_px=np.concatenate(own))
        for name, own in crops.items()
        if name not in missing
    ]
    return examples, missing_note(absent, CSV_NAME, images)


def read_photos(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """Read photos without human labels, to measure how crops keep objects or groups of people.

        images/<id>.jpg  or in the folder itself
        boxes/<id>.txt   `y1 x1 y2 x2` a line, as in published box files; optional

    Raises UsageError.
    """
    check_only_split(split, "photos")
    images = root / "images" if (root / "images").is_dir() else root
    return [
        Example(image.stem, image, objects_px=published_boxes(root / "boxes" / f"{image.stem}.txt"))
        for image in photos(images)
    ], []


def text_per_photo(
    images: Path, annotations: Path, subjects: Path | None = None
) -> tuple[list[Example], list[str]]:
    """Read photos with one file of crops each, `x1 y1 x2 y2` a line, and notes of what is left out.

    subjects: a folder of files with the subject's box, named after the photo; None for none.
    Raises UsageError with file and line.
    """
    examples, without, empty = [], 0, 0
    for image in photos(images):
        path = annotations / f"{image.stem}.txt"
        if not path.is_file():
            without += 1
            continue
        crops = boxes(read_numbers(path, "x1 y1 x2 y2", optional="score"), str(path))
        if not len(crops):
            empty += 1
            continue
        given = _subject(subjects, image.stem)
        examples.append(Example(image.stem, image, human_px=crops, objects_px=given))
    notes = [f"{counted(without, 'photo')} without annotations left out"] if without else []
    return examples, [*notes, *no_crops_note(empty)]


def _subject(folder: Path | None, stem: str) -> Boxes | None:
    if folder is None or not (folder / f"{stem}.txt").is_file():
        return None
    path = folder / f"{stem}.txt"
    return boxes(read_numbers(path, "x1 y1 x2 y2"), str(path))
