"""Folds, for measuring on photos that were not used in training."""

import zlib
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import UsageError

FOLDS = 5


def set_name_of(folder: Path) -> str:
    """Return the name of the set in a folder, however the path is spelt.

    It is the folder's own name in lower case: `OSIE/`, `people/osie` and `.` inside it are all
    `osie`.
    """
    return folder.resolve().name.lower()


def fold_of(set_name: str, file_name: str) -> int:
    """Return the fold that a photo is held out from, 0 to FOLDS - 1, from its set and file names.

    set_name: result of `set_name_of`, or the published set's own name, lower case.

    It is CRC-32 of "set name/file name" modulo FOLDS, so a photo has the same fold in every
    training.
    """
    return zlib.crc32(f"{set_name}/{file_name}".encode()) % FOLDS


def fold_name(fold: int) -> str:
    """Return the name of the weights file trained without a fold's photos."""
    return f"fold{fold}.safetensors"


def check_folds(folds: Iterable[int]) -> None:
    """Raise UsageError where all photos are held out from the same fold.

    A training without that fold would have nothing to learn from.

    folds: the fold of each photo, at least one photo
    """
    held_out = set(folds)
    if len(held_out) == 1:
        raise UsageError(
            f"all photos that can teach are held out from fold {held_out.pop()}, and without that "
            "fold there are none to learn from: give more photos"
        )
