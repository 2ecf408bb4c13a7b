"""Finding a data set's files and reading its lines, with errors that name the place."""

import csv
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.boxes import Boxes
from pipeline.errors import UsageError
from pipeline.photo.strip import ORIENTATION

BOX_COLUMNS = ("x0", "y0", "x1", "y1")
YXYX = [1, 0, 3, 2]
"""Column order that turns y1 x1 y2 x2 into x1 y1 x2 y2, and back."""
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


def one_split(split: str, name: str) -> None:
    """Raises UsageError for any split but `test`, where a data set has no others."""
    if split != "test":
        raise UsageError(f"{name} is one split, test: there is no {split!r}")


def read_numbers(path: Path, columns: str, optional: str = "") -> NDArray[np.float64]:
    """Lines of blank- or comma-separated numbers, [lines, columns]; empty lines are skipped.

    columns: their names, for the error, e.g. "y1 x1 y2 x2 MOS"; `optional` may follow on every
    line and is left out of what is returned. Raises UsageError with file and line.
    """
    wanted = len(columns.split())
    allowed = {wanted, wanted + len(optional.split())}
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}; expected `{columns}`") from None
        if len(values) not in allowed or not np.isfinite(values).all():
            raise UsageError(f"{path}:{number}: expected `{columns}`, got `{line.strip()}`")
        rows.append(values[:wanted])
    return np.array(rows, np.float64).reshape(-1, wanted)


def read_json(path: Path) -> Any:
    """A JSON file. Raises UsageError."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None


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


def box_rows(path: Path, *more: str) -> Iterator[tuple[dict[str, str], Boxes]]:
    """Rows of a CSV with the columns photo, x0, y0, x1, y1 and `more`, each with its box [1, 4].

    Raises UsageError with file and line, where a column is missing or a box is none.
    """
    rows = csv.DictReader(io.StringIO(read_text(path)))
    if missing := {"photo", *BOX_COLUMNS, *more} - set(rows.fieldnames or ()):
        raise UsageError(f"{path} has no column {', '.join(sorted(missing))}")
    for row in rows:
        where = f"{path}:{rows.line_num}"
        try:
            numbers = [float(row[name]) for name in BOX_COLUMNS]
        except (TypeError, ValueError) as error:
            raise UsageError(f"{where}: {error}") from None
        if empty := [name for name in ("photo", *more) if not row[name]]:
            raise UsageError(f"{where}: no {empty[0]}")
        yield row, boxes([numbers], where)


def boxes(values: Sequence[Sequence[float]] | NDArray[np.float64], where: str) -> Boxes:
    """xyxy rows as float32 [N, 4].

    Raises UsageError where a box has no area or an edge that is no finite number.
    """
    rows = finite(values, where).reshape(-1, 4)
    if (rows[:, :2] >= rows[:, 2:]).any():
        wrong = rows[(rows[:, :2] >= rows[:, 2:]).any(1)][0].tolist()
        raise UsageError(f"{where}: {wrong} as x0 y0 x1 y1 has no area; is the order another?")
    return rows.astype(np.float32)


def finite(values: ArrayLike, where: str) -> NDArray[np.float64]:
    """Numbers, a row each or one alone. Raises UsageError with the row where one is not finite."""
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        rows = enumerate(np.atleast_1d(numbers))
        place, row = next((place, row) for place, row in rows if not np.isfinite(row).all())
        raise UsageError(f"{where}: row {place}: {row.tolist()} has to be finite numbers")
    return numbers


def published_boxes(path: Path) -> Boxes | None:
    """A published box file, `y1 x1 y2 x2` a line, as xyxy; None where there is none."""
    if not path.is_file():
        return None
    return boxes(read_numbers(path, "y1 x1 y2 x2")[:, YXYX], str(path))


def missing_note(count: int, listed_in: str) -> list[str]:
    """What is said of photos that a list names and the folder does not hold."""
    return [f"{count} photos named in {listed_in} are not in the folder"] if count else []
