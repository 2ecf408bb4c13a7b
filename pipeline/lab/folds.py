"""Folds for measuring on photos that nothing was trained on."""

import zlib
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import UsageError

FOLDS = 5


def set_name_of(folder: Path) -> str:
    """What the set of a folder's photos is called, however the path is spelt.

    The folder's own name in lower case: `OSIE/`, `people/osie` and `.` inside it are all `osie`.
    """
    return folder.resolve().name.lower()


def fold_of(set_name: str, file_name: str) -> int:
    """The fold that a photo is held out from, 0 to FOLDS - 1, by its data set's and its own name.

    set_name: of `set_name_of`, or the published set's own name, lower case.

    CRC-32 of "set name/file name" modulo FOLDS, so a photo has the same fold in every training.
    """
    return zlib.crc32(f"{set_name}/{file_name}".encode()) % FOLDS


def fold_name(fold: int) -> str:
    """The file of weights that a fold's photos were held out from."""
    return f"fold{fold}.safetensors"


def check_folds(folds: Iterable[int]) -> None:
    """Raises UsageError where each of the photos is held out from the same fold.

    folds: of the photos, at least one. A training without this fold would have nothing to learn
    from.
    """
    held_out = set(folds)
    if len(held_out) == 1:
        raise UsageError(
            f"all photos that can teach are held out from fold {held_out.pop()}, and without that "
            "fold there are none to learn from: give more photos"
        )
