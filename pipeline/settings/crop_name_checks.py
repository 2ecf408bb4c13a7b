"""Check before a run starts that a template gives its crops valid names without conflicts.

Otherwise it would take hours to discover that crops overwrite one another, or that a name in the
middle of the run is invalid.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline.crop_names import CropNames, escaped, ratio_in_name
from pipeline.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CROP_FIELDS = ("ratio", "rank", "format")
DISTINCT = ("folder", "name", "id")  # fields that tell two photos of one name apart
CHUNK_FOLDERS = 1 << 21  # folders that are processed at a time


def check_distinct(names: CropNames, ratios: list[str], top_k: int) -> None:
    """Raise SettingError unless the crops of one photo have different names."""
    if "hash" in names.fields:
        return
    for field, several in (("ratio", len(ratios) > 1), ("rank", top_k > 1)):
        if several and field not in names.fields:
            raise SettingError(
                "crop_files", f"{names.text!r} gives crops of one photo one name: add {{{field}}}"
            )
    texts = [escaped(ratio_in_name(ratio)) for ratio in ratios]
    if len(set(texts)) < len(texts):
        raise SettingError("crop_files", f"gives two of the shapes {', '.join(ratios)} one name")


def check_photos(
    names: CropNames,
    photos: Iterable[Mapping[str, Any]],
    ratios: Sequence[str],
    *formats: str,
    top_k: int = 1,
    as_files: bool = False,
) -> None:
    """Raise SettingError unless every photo has a unique name; the message names photos.

    photos: rows of the input list, which are iterated again if two names may be the same. Memory
        is 8 bytes for each photo and format, plus, with `as_files`, 8 for each folder that the
        previous name is not in. A template with the hash of the content needs no comparison.
    ratios, top_k: the shapes asked for, and the number of crops of each. Names are made with the
        longest shape and rank, so that no other crop's name can be too long.
    formats: the formats that a crop may have.
    as_files: whether the names are files, so that no name may be a folder in another name.
    """
    import numpy as np  # slow to import, and not for --help

    checked = formats if "format" in names.fields else formats[:1]
    ratio = max(ratios, key=lambda one: len(escaped(ratio_in_name(one)).encode()))
    rank = top_k - 1
    endings = _other_endings(names, ratios, ratio, rank, checked) if as_files else {}
    hashes, folders = array("q"), _Folders(endings)
    problem = None
    try:
        for _, name in _named(names, photos, ratio, rank, checked):
            hashes.append(hash(name))
            if as_files:
                folders.add(name)
    except SettingError as error:
        problem = error
    if "hash" not in names.fields:
        found = np.frombuffer(hashes, np.int64)
        found.sort()  # in place: there may be a hundred million
        shared = set(found[1:][found[1:] == found[:-1]].tolist())
        _check_unique(
            names, islice(_named(names, photos, ratio, rank, checked), len(found)), shared
        )
        shared = folders.among(found)
        again = islice(_named(names, photos, ratio, rank, checked), len(found))
        _check_files(names, again, shared, endings)
    if problem is not None:
        raise problem


class _Folders:
    """Hashes of the folders that contain names, in arrays (chunks) without duplicates."""

    def __init__(self, endings: Mapping[str, str]) -> None:
        """`endings`: see `_folders_of`."""
        self._endings = endings
        self._last = ""
        self._open = array("q")
        self._chunks: list[NDArray[np.int64]] = []

    def add(self, name: str) -> None:
        """Add the folders of a name. Names in the same folder are mostly adjacent."""
        for folder, as_name in _folders_of(name, self._endings):
            if not self._last.startswith(f"{folder}/"):
                self._open.append(hash(as_name))
        self._last = name
        if len(self._open) >= CHUNK_FOLDERS:
            self._end_chunk()

    def among(self, found: "NDArray[np.int64]") -> set[int]:
        """Return the hashes of folders that also occur in `found`, which is sorted."""
        import numpy as np

        self._end_chunk()
        shared: set[int] = set()
        for chunk in self._chunks:
            places = np.searchsorted(found, chunk).clip(max=len(found) - 1)
            shared.update(chunk[found[places] == chunk].tolist())
        return shared

    def _end_chunk(self) -> None:
        import numpy as np

        if self._open:
            self._chunks.append(np.unique(np.frombuffer(self._open, np.int64)))
            self._open = array("q")


def _other_endings(
    names: CropNames, ratios: Sequence[str], ratio: str, rank: int, formats: Iterable[str]
) -> dict[str, str]:
    """Map the name endings of other shapes and lower ranks to those of `ratio` and `rank`.

    Empty if a shape, a rank or a format precedes a field of the photo in the template.
    """
    pieces = names.pieces
    end = len(pieces)
    while end and (isinstance(pieces[end - 1], str) or pieces[end - 1][0] in CROP_FIELDS):
        end -= 1
    if any(isinstance(piece, tuple) and piece[0] in CROP_FIELDS for piece in pieces[:end]):
        return {}

    def ending(ratio: str, rank: int, format: str) -> str:
        texts = {"ratio": escaped(ratio_in_name(ratio)), "rank": str(rank), "format": format}
        return "".join(p if isinstance(p, str) else texts[p[0]] for p in pieces[end:])

    crops = [(one, k, format) for one in ratios for k in range(rank + 1) for format in formats]
    found = {ending(*crop): ending(ratio, rank, crop[2]) for crop in crops}
    return {other: own for other, own in found.items() if other != own}


def _folders_of(name: str, endings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield every folder in a name, each with the name of a file that would conflict with it.

    That is the folder itself and, if it ends like names of another shape, the folder with the
    ending of the checked shape instead. endings: from `_other_endings`.
    """
    ends = tuple(endings)
    for found in re.finditer("/", name):
        folder = name[: found.start()]
        yield folder, folder
        if folder.endswith(ends):
            for end in ends:
                if folder.endswith(end):
                    yield folder, folder.removesuffix(end) + endings[end]


def _check_files(
    names: CropNames,
    named: Iterable[tuple[str, str]],
    shared: set[int],
    endings: Mapping[str, str],
) -> None:
    """Raise SettingError if the name of one photo is a folder in another photo's name.

    named: addresses and names. shared: hashes common to a name and a folder.
    """
    if not shared:
        return
    files: dict[str, str] = {}
    inside: dict[str, tuple[str, str]] = {}
    for uri, name in named:
        if hash(name) in shared:
            files.setdefault(name, uri)
        for folder, as_name in _folders_of(name, endings):
            if hash(as_name) in shared:
                inside.setdefault(as_name, (folder, uri))
    for name in sorted(files.keys() & inside.keys()):
        folder, uri = inside[name]
        raise SettingError(
            "crop_files",
            f"{names.text!r} makes {folder!r} a file, of {files[name]}, and a folder, of {uri}; "
            "add to its end what no folder is called, such as /{ratio}.{format}, or write to a "
            "bucket",
        )


def _check_unique(names: CropNames, named: Iterable[tuple[str, str]], shared: set[int]) -> None:
    """Raise SettingError if two photos have the same name.

    named: addresses and names. shared: hashes that occur for more than one name.
    """
    if not shared:
        return
    seen: dict[str, str] = {}
    for uri, name in named:
        if hash(name) in shared:
            other = seen.setdefault(name, uri)
            if other != uri:
                more = " or ".join(
                    f"{{{field}}}" for field in DISTINCT if field not in names.fields
                )
                raise SettingError(
                    "crop_files",
                    f"{names.text!r} gives two photos the name {name!r}: {other} and {uri}; "
                    f"add {more}",
                )


def _named(
    names: CropNames,
    photos: Iterable[Mapping[str, Any]],
    ratio: str,
    rank: int,
    formats: Iterable[str],
) -> Iterator[tuple[str, str]]:
    """Yield each photo's address and its crop's name, for every format. Raises SettingError."""
    return ((p["uri"], _name_of(names, p, ratio, rank, each)) for p in photos for each in formats)


def _name_of(names: CropNames, photo: Mapping[str, Any], ratio: str, rank: int, format: str) -> str:
    uri = photo["uri"]
    try:
        return names.name(uri, photo["image_id"], photo, ratio, rank, format, "0" * 64)
    except KeyError as error:
        raise SettingError("crop_files", f"names the column {error}, not in the list") from error
    except ValueError as error:
        raise SettingError("crop_files", f"makes no name for {uri}: {error}") from error
