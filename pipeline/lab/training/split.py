"""The photos of a data set that a training learns from, is chosen by, and is tested on."""

import filecmp
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError, naming
from pipeline.lab.datasets import load_dataset, log_notes
from pipeline.lab.datasets.example import Example
from pipeline.lab.training.settings import TrainSettings
from pipeline.report.progress import Log


@dataclass(frozen=True)
class Split:
    """Photos to learn from, to choose the epoch by, and to test on once at the end."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]

    def has_objects(self) -> bool:
        """Return whether the data set itself has objects for all training and validation photos."""
        return all(one.objects_px is not None for one in (*self.train, *self.validation))


def hash_of_photos(examples: Iterable[Example]) -> str:
    """Hash photos' ids, scored crops and given objects, in order, but not pixels, by SHA-256."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.id}\0{len(example.mos)}\0".encode())
        digest.update(example.scored_px.tobytes() + example.mos.tobytes())
        digest.update(b"" if example.objects_px is None else example.objects_px.tobytes())
    return digest.hexdigest()


def read_split(
    folder: Path,
    layout: str,
    limit: int | None,
    settings: TrainSettings,
    log: Log | None = None,
) -> Split:
    """Read the splits train and test of a data set, and val or, without it, a part of train.

    log: reports what a split leaves out. Raises UsageError, also where two splits have the same
    photo.
    """

    def examples(split: str) -> list[Example]:
        with naming("data"):
            dataset = load_dataset(layout, folder, split)
        log_notes((f"{split}: {note}" for note in dataset.notes), log)
        return dataset.examples[:limit]

    rest = examples("train")
    if (folder / "images" / "val").is_dir():
        validation = examples("val")
    else:
        rest, validation = split_off(rest, settings.validation_share, settings.seed)
    has_test = (folder / "images" / "test").is_dir()
    split = Split(rest, validation, examples("test") if has_test else [])
    check_apart(split)
    return split


def check_apart(split: Split) -> None:
    """Raise UsageError where a photo is in two parts: a file of the same name and content.

    The figures of a part would then be of photos that the network has learnt from.
    """
    found: dict[str, Path] = {}
    for part in (split.train, split.validation, split.test):
        for path in (example.image for example in part):
            other = found.setdefault(path.name, path)
            if other != path and filecmp.cmp(other, path, shallow=False):
                raise UsageError(f"{path} is the same photo as {other}: leave it in one split")


def split_off(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """Split whole photos at random, the same way for a seed: (rest, part of `share`).

    Photos are drawn by their ids. If a data set grows by one photo, at most one photo of the rest
    moves into the part, so weights of an earlier training have seen hardly any of the part.

    Raises UsageError for fewer than two photos.
    """
    if len(examples) < 2:
        raise UsageError("training needs at least two scored photos: one is for validation")
    count = min(len(examples) - 1, max(1, round(share * len(examples))))
    drawn = [hashlib.sha256(f"{seed}/{one.id}".encode()).digest() for one in examples]
    part = set(sorted(range(len(examples)), key=drawn.__getitem__)[:count])
    rest = [example for i, example in enumerate(examples) if i not in part]
    return rest, [example for i, example in enumerate(examples) if i in part]
