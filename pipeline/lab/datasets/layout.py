"""Find and read a data set's files, with errors that name the file."""

import json
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile

from pipeline.errors import CropError, SettingError, UsageError
from pipeline.photo.colour import plain_mode
from pipeline.photo.decode import Photo, decode
from pipeline.photo.decode_errors import MALFORMED
from pipeline.photo.files.formats import sniff
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.opening import Opened, opened_picture
from pipeline.photo.planes import UPRIGHT, upright_size
from pipeline.words import counted

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".heic", ".heif", ".bmp")
PHOTO_FOLDERS = ("stimuli", "data/stimuli", "image", "images")
"""Where published sets have their photos, seen from the set's own folder."""
_MOST_PIXELS = 180_000_000
# Labelled photos are decoded in full, few at a time, so they may be larger than a job's.
LENIENT = DecodeLimits(
    max_side=_MOST_PIXELS,
    max_pixels=_MOST_PIXELS,
    max_jpeg_pixels=_MOST_PIXELS,
    max_progressive_pixels=_MOST_PIXELS,
    max_scan_pixels=100 * _MOST_PIXELS,
)


def check_folder(folder: Path, holds: str) -> None:
    """Raise UsageError where the folder does not exist. holds: its expected contents."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: give the one that holds {holds}")


def check_photos_once(photos: Iterable[Path]) -> None:
    """Raise UsageError where a photo is given twice, also through a link or another path.

    It would count twice, or be trained on although it is held out: folds go by set and name.
    """
    given: set[Path] = set()
    for photo in photos:
        if (path := photo.resolve()) in given:
            raise UsageError(
                f"the photo {photo} is given twice: give every folder once, and leave a photo in "
                "one of them"
            )
        given.add(path)


def first_folder(root: Path, *names: str) -> Path:
    """Return the first of `names` that is a folder under `root`. Raises UsageError."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
    raise UsageError(f"{root} has no folder {' or '.join(names)}; it holds: {there}")


def photos(folder: Path) -> list[Path]:
    """List the photo files directly in a folder, by name; hidden files are none, as for a job."""
    names = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in names if path.suffix.lower() in PHOTO_SUFFIXES)


def photos_of_set(folder: Path) -> list[Path]:
    """List the photos of a set, by name: those in its folder, else in its published subfolder.

    Raises UsageError where there are none.
    """
    for place in (folder, *(folder / name for name in PHOTO_FOLDERS)):
        if place.is_dir() and (found := photos(place)):
            return found
    raise UsageError(f"no photos in {folder}, nor in its folders {', '.join(PHOTO_FOLDERS)}")


def read_upright_size(path: Path) -> tuple[int, int]:
    """Read a photo's width and height as shown, upright, from its header. Raises UsageError.

    It is turned as the product turns it: labels are in that frame.
    """
    with _read_errors(path):
        opened = _opened(path)
        return upright_size(opened, opened.image.size)


def read_upright_pixels(path: Path) -> NDArray[np.uint8]:
    """Read a photo as it is shown, upright, [h, w, 3] RGB. Raises UsageError."""
    with _read_errors(path):
        opened = _opened(path)
        opened.load(max(opened.image.size))
        turn = None if opened.is_upright else UPRIGHT.get(opened.orientation)
        image = plain_mode(opened.image).convert("RGB")
        return np.asarray(image if turn is None else image.transpose(turn))


def _opened(path: Path) -> Opened:
    """Read a photo's header as the product does, or a BMP's, which the product does not accept."""
    data = path.read_bytes()
    if data[:2] == b"BM":
        return Opened(BmpImageFile(BytesIO(data)), "bmp", 1, None, LENIENT.max_pixels)
    return opened_picture(data, sniff(data), LENIENT)


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Convert what a photo raises that cannot be read to a UsageError with its path."""
    try:
        yield
    except CropError as error:
        raise UsageError(f"{path} cannot be read: {error.message}") from None
    except MALFORMED as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def decoded_photo(path: Path) -> Photo:
    """Decode a photo as the product does. Raises UsageError, with the photo's path, on failure."""
    try:
        return decode(path.read_bytes())
    except CropError as error:
        raise UsageError(f"{path} cannot be read: {error.message}") from error


def check_new(name: str, found: Container[str], path: Path) -> None:
    """Raise UsageError where a list names a photo again, whose first labels would be lost."""
    if name in found:
        raise UsageError(f"{path}: the photo {name} is listed twice: list it once")


def check_only_split(split: str, name: str) -> None:
    """Raise SettingError for any split but `test`, for a data set that has no others."""
    if split != "test":
        raise SettingError("split", f"{split!r} does not exist: {name} is one split, test")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UsageError, also where an object has a key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):  # Python keeps the last of them and drops the others
            key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise UsageError(f"{path}: the key {key!r} is there twice: write it once")
        return values

    try:
        return json.loads(read_text(path), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None


def read_entries(path: Path, form: str) -> list[Any]:
    """Read the entries of a JSON list; form: that of an entry, for errors. Raises UsageError."""
    listed = read_json(path)
    if not isinstance(listed, list):
        raise UsageError(f"{path}: expected [{form}, …]")
    return listed


def read_mat(path: Path, variable: str, simplify: bool = False) -> Any:
    """Read a variable of a MATLAB file. Raises UsageError.

    simplify: structs become dicts, and cells become object arrays without sides of length one; a
    cell with one entry becomes that entry (see `cell`).
    """
    from scipy.io import loadmat  # slow to import
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise UsageError(f"{path} is missing")
    try:
        found = loadmat(path, simplify_cells=simplify)
    except NotImplementedError:  # a container of HDF5
        raise UsageError(
            f"{path} is of MATLAB 7.3, which is not read here: save it in MATLAB with -v7"
        ) from None
    except LookupError:  # the bytes that tell the version are some other file's
        raise UsageError(f"{path}: expected {variable} in a MATLAB file, found another") from None
    except (OSError, TypeError, ValueError, MatReadError, zlib.error) as error:  # truncated
        raise UsageError(f"{path}: expected {variable} in a MATLAB file: {error}") from None
    if variable not in found:
        others = ", ".join(name for name in found if not name.startswith("__")) or "nothing"
        raise UsageError(f"{path}: expected {variable} in a MATLAB file, found {others}")
    return found[variable]


def cell(value: Any) -> list[Any]:
    """List the entries of a cell array read with `simplify`, which unwraps a single entry."""
    return list(np.atleast_1d(value)) if not isinstance(value, dict) else [value]


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, without the byte-order mark that Excel adds. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageError(f"{path} is missing") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def no_crops_note(photos_without: int) -> list[str]:
    """Return the note on photos that are left out because they have no crops."""
    if not photos_without:
        return []
    return [f"{counted(photos_without, 'photo')} without crops left out"]


def missing_note(absent: Sequence[str], listed_in: str, folder: Path | str) -> list[str]:
    """Return the note on photos that a list names but the folder or data set does not contain."""
    if not absent:
        return []
    named = counted(len(absent), "photo")
    return [f"{named} named in {listed_in} not found in {folder}, such as {absent[0]}"]
