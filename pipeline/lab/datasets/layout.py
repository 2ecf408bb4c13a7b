"""Find a data set's files and read them, with errors that name the place."""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import CropError, UsageError
from pipeline.photo.decode import Photo, decode
from pipeline.photo.files.strip import ORIENTATION
from pipeline.report.words import counted

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
PHOTO_FOLDERS = ("stimuli", "data/stimuli", "image", "images")
"""Where published sets have their photos, seen from the set's own folder."""
ON_ITS_SIDE = (5, 6, 7, 8)
"""The EXIF orientations of photos that are stored on their side."""

# What Pillow raises of a photo that it cannot read; a broken PNG is a SyntaxError.
_UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    ValueError,
    SyntaxError,
)


def check_folder(folder: Path, holds: str) -> None:
    """Raises UsageError where there is no such folder. holds: what it is to hold."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: give the one that holds {holds}")


def check_each_once(folders: Iterable[Path]) -> None:
    """Raises UsageError where a folder is given twice: its photos would count twice."""
    for folder, times in Counter(folder.resolve() for folder in folders).items():
        if times > 1:
            raise UsageError(f"the folder {folder} is given {times} times: give it once")


def first_folder(root: Path, *names: str) -> Path:
    """The first of `names` that is a folder under `root`. Raises UsageError."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
    raise UsageError(f"{root} has no folder {' or '.join(names)}; it holds: {there}")


def photos(folder: Path) -> list[Path]:
    """The photo files directly in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)


def photos_of_set(folder: Path) -> list[Path]:
    """The photos of a set, by name: those in its folder, else where its authors put them.

    Raises UsageError where there are none.
    """
    for place in (folder, *(folder / name for name in PHOTO_FOLDERS)):
        if place.is_dir() and (found := photos(place)):
            return found
    raise UsageError(f"no photos in {folder}, nor in its folders {', '.join(PHOTO_FOLDERS)}")


def size_shown(path: Path) -> tuple[int, int]:
    """Width and height of a photo as it is shown, upright; reads its header. Raises UsageError."""
    try:
        with Image.open(path) as photo:
            width, height = photo.size
            on_its_side = photo.getexif().get(ORIENTATION) in ON_ITS_SIDE
    except _UNREADABLE as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return (height, width) if on_its_side else (width, height)


def pixels_shown(path: Path) -> NDArray[np.uint8]:
    """A photo as it is shown, upright, [h, w, 3] RGB. Raises UsageError."""
    try:
        with Image.open(path) as photo:
            return np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))
    except _UNREADABLE as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def decoded_photo(path: Path) -> Photo:
    """A photo as the product decodes it. Raises UsageError, with the photo, where it cannot."""
    try:
        return decode(path.read_bytes())
    except CropError as error:
        raise UsageError(f"{path} cannot be read: {error.message}") from error


def one_split(split: str, name: str) -> None:
    """Raises UsageError for any split but `test`, where a data set has no others."""
    if split != "test":
        raise UsageError(f"{name} is one split, test: there is no {split!r}")


def read_json(path: Path) -> Any:
    """A JSON file. Raises UsageError."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None


def read_entries(path: Path, form: str) -> list[Any]:
    """The entries of a JSON file that holds a list; form: of one of them. Raises UsageError."""
    listed = read_json(path)
    if not isinstance(listed, list):
        raise UsageError(f"{path}: expected [{form}, …]")
    return listed


def read_mat(path: Path, variable: str, simplify: bool = False) -> Any:
    """A variable of a MATLAB file. Raises UsageError.

    simplify: structs become dicts and cells object arrays without sides of length one; a cell
    with one entry becomes that entry (see `cell`).
    """
    from scipy.io import loadmat  # slow to import
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise UsageError(f"{path} is missing")
    try:
        return loadmat(path, simplify_cells=simplify)[variable]
    except (
        OSError,  # cut short
        LookupError,
        TypeError,
        ValueError,
        MatReadError,
        NotImplementedError,
        zlib.error,
    ) as error:
        raise UsageError(f"{path}: expected {variable} in a MATLAB file: {error}") from None


def cell(value: Any) -> list[Any]:
    """The entries of a cell array read with `simplify`, which returns a lone entry as it is."""
    return list(np.atleast_1d(value)) if not isinstance(value, dict) else [value]


def read_text(path: Path) -> str:
    """A UTF-8 text file, without the mark that Excel puts first. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageError(f"{path} is missing") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def missing_note(absent: Sequence[str], listed_in: str, folder: Path | str) -> list[str]:
    """What is said of photos that a list names and the folder, or another place, does not hold."""
    if not absent:
        return []
    named = counted(len(absent), "photo")
    return [f"{named} named in {listed_in} not found in {folder}, such as {absent[0]}"]
