"""Tell before the work whether the names of crops, made by a template, can stand together.

A run whose crops overwrite one another, or that ends at a name in its middle, would be found out
after hours.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline.errors import SettingError
from pipeline.settings.crop_names import CropNames, escaped, spelt_ratio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STRETCH = 1 << 21  # folders that are gone through at a time


def check_distinct(names: CropNames, ratios: list[str], top_k: int) -> None:
    """Raise SettingError unless the crops of one photo have different names."""
    if "hash" in names.fields:
        return
    for field, several in (("ratio", len(ratios) > 1), ("rank", top_k > 1)):
        if several and field not in names.fields:
            raise SettingError(
                "crop_files", f"{names.text!r} gives crops of one photo one name: add {{{field}}}"
            )
    spelt = [escaped(spelt_ratio(ratio)) for ratio in ratios]
    if len(set(spelt)) < len(spelt):
        raise SettingError("crop_files", f"gives two of the shapes {', '.join(ratios)} one name")


def longest_spelt(ratios: Iterable[str]) -> str:
    """The shape whose text in a name is the longest."""
    return max(ratios, key=lambda ratio: len(escaped(spelt_ratio(ratio)).encode()))


def check_photos(
    names: CropNames,
    photos: Iterable[Mapping[str, Any]],
    ratio: str,
    *formats: str,
    rank: int = 0,
    as_files: bool = False,
) -> None:
    """Raise SettingError unless every photo has a name of its own; the message names photos.

    ratio, rank: of the crop whose names are looked at. Those with the longest texts tell of names
        that are too long for any.

    photos: rows of the input list, which are gone through again where two names may be the same.
        For each photo and format 8 bytes are kept, and with `as_files` 8 for each folder that the
        name before does not lie in. A template with the hash of the content needs no such look.
    formats: those that its crop may have.
    as_files: whether the names are of files, so that none may be a folder in the name of another.
    """
    import numpy as np  # slow to import, and not for --help

    told = formats if "format" in names.fields else formats[:1]
    hashes, folders = array("q"), _Folders()
    problem = None
    try:
        for _, name in _named(names, photos, ratio, rank, told):
            hashes.append(hash(name))
            if as_files:
                folders.add(name)
    except SettingError as error:
        problem = error
    if "hash" not in names.fields:
        found = np.frombuffer(hashes, np.int64)
        found.sort()  # in place: there may be a hundred million
        shared = set(found[1:][found[1:] == found[:-1]].tolist())
        _check_apart(names, islice(_named(names, photos, ratio, rank, told), len(found)), shared)
        shared = folders.among(found)
        _check_files(names, islice(_named(names, photos, ratio, rank, told), len(found)), shared)
    if problem is not None:
        raise problem


class _Folders:
    """Hashes of the folders that names lie in: stretches, in each of which a folder is once."""

    def __init__(self) -> None:
        self._last = ""
        self._open = array("q")
        self._stretches: list[NDArray[np.int64]] = []

    def add(self, name: str) -> None:
        """Add the folders of a name; names of one folder mostly follow one another."""
        for folder in _folders_of(name):
            if not self._last.startswith(f"{folder}/"):
                self._open.append(hash(folder))
        self._last = name
        if len(self._open) >= STRETCH:
            self._end_stretch()

    def among(self, found: "NDArray[np.int64]") -> set[int]:
        """Hashes of folders that are among others, which are sorted."""
        import numpy as np

        self._end_stretch()
        shared: set[int] = set()
        for stretch in self._stretches:
            places = np.searchsorted(found, stretch).clip(max=len(found) - 1)
            shared.update(stretch[found[places] == stretch].tolist())
        return shared

    def _end_stretch(self) -> None:
        import numpy as np

        if self._open:
            self._stretches.append(np.unique(np.frombuffer(self._open, np.int64)))
            self._open = array("q")


def _folders_of(name: str) -> Iterator[str]:
    """Every folder that a name lies in."""
    return (name[: found.start()] for found in re.finditer("/", name))


def _check_files(names: CropNames, named: Iterable[tuple[str, str]], shared: set[int]) -> None:
    """Raise SettingError where the name of one photo is a folder of another's.

    named: addresses and names. shared: the hashes that a name and a folder have.
    """
    if not shared:
        return
    files: dict[str, str] = {}
    inside: dict[str, str] = {}
    for uri, name in named:
        if hash(name) in shared:
            files.setdefault(name, uri)
        for folder in _folders_of(name):
            if hash(folder) in shared:
                inside.setdefault(folder, uri)
    for name in sorted(files.keys() & inside.keys()):
        raise SettingError(
            "crop_files",
            f"{names.text!r} makes {name!r} a file, of {files[name]}, and a folder, of "
            f"{inside[name]}; add to its end what no folder is called, such as "
            "/{ratio}.{format}, or write to a bucket",
        )


def _check_apart(names: CropNames, named: Iterable[tuple[str, str]], shared: set[int]) -> None:
    """Raise SettingError where two photos have one name.

    named: addresses and names. shared: the hashes that several names have.
    """
    if not shared:
        return
    seen: dict[str, str] = {}
    for uri, name in named:
        if hash(name) in shared:
            other = seen.setdefault(name, uri)
            if other != uri:
                raise SettingError(
                    "crop_files",
                    f"{names.text!r} gives two photos the name {name!r}: {other} and {uri}; add "
                    "{folder} or {id}",
                )


def _named(
    names: CropNames,
    photos: Iterable[Mapping[str, Any]],
    ratio: str,
    rank: int,
    formats: Iterable[str],
) -> Iterator[tuple[str, str]]:
    """Each photo's address and the name of its crop, for every format. Raises SettingError."""
    return ((p["uri"], _name_of(names, p, ratio, rank, each)) for p in photos for each in formats)


def _name_of(names: CropNames, photo: Mapping[str, Any], ratio: str, rank: int, format: str) -> str:
    uri = photo["uri"]
    try:
        return names.name(uri, photo["image_id"], photo, ratio, rank, format, "0" * 64)
    except KeyError as error:
        raise SettingError("crop_files", f"names the column {error}, not in the list") from error
    except ValueError as error:
        raise SettingError("crop_files", f"makes no name for {uri}: {error}") from error
