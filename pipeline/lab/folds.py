"""Folds for measuring on photos that nothing was trained on."""

import zlib
from pathlib import Path

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
