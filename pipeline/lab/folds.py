"""Folds for measuring on photos that nothing was trained on."""

import zlib

FOLDS = 5


def fold_of(set_name: str, file_name: str) -> int:
    """The fold that a photo is held out from, 0 to FOLDS - 1, by its data set's and its own name.

    CRC-32 of "set name/file name" modulo FOLDS, so a photo has the same fold in every training.
    """
    return zlib.crc32(f"{set_name}/{file_name}".encode()) % FOLDS
