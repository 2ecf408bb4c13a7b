"""Name the objects of crops by a template: `--crop-files "{folder}/{stem}/{ratio}.{format}"`.

A value keeps letters and digits of any script, `-`, `_`, `=` and `.`; every other character becomes
the percent-encoding of its UTF-8 bytes (`%20`), and so does a `.` at the front or after another,
and a `_` at the front of a part of the name (many readers of tables pass over such files).
Only `folder` and `key` have slashes. Two different values never give the same text. In a ratio `:`
becomes `x`.
"""

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pipeline.errors import SettingError

FIELDS = ("folder", "name", "stem", "key", "ratio", "rank", "format", "hash", "id")
OF_PHOTO = ("folder", "name", "stem", "key", "hash", "id")
COLUMN = "column:"
LONGEST_PART, LONGEST_NAME = 200, 900  # bytes; stores take 255 and 1,024
_PIECE = re.compile(r"\{([^{}]*)\}|([^{}]+)|([{}])")
_LITERAL = re.compile(r"[A-Za-z0-9._=/-]*")
_EXAMPLE = 'write for instance "{folder}/{stem}/{ratio}.{format}"'


@dataclass(frozen=True)
class CropNames:
    """A template, read: pieces of literal text and (field,) in turn.

    text: as it was given. columns: the list's columns that it names.
    """

    text: str
    pieces: tuple[str | tuple[str], ...]

    @property
    def fields(self) -> set[str]:
        return {piece[0] for piece in self.pieces if isinstance(piece, tuple)}

    @property
    def columns(self) -> list[str]:
        return sorted(
            field.removeprefix(COLUMN) for field in self.fields if field.startswith(COLUMN)
        )

    def name(
        self,
        uri: str,
        image_id: str,
        columns: Mapping[str, Any],
        ratio: str,
        rank: int,
        format: str,
        sha256: str,
    ) -> str:
        """The name of one crop, parts by slash. Raises ValueError for one that cannot be used."""
        folder, _, name = object_key(uri).rpartition("/")
        plain = {
            "name": name, "stem": name.rpartition(".")[0] or name, "rank": str(rank),
            "ratio": ratio.replace(":", "x").replace("/", "x"), "format": format,
            "hash": sha256, "id": image_id,
        }  # fmt: skip
        parts = []
        for piece in self.pieces:
            if isinstance(piece, str):
                parts.append(piece)
            elif piece[0] in ("folder", "key"):
                whole = folder if piece[0] == "folder" else f"{folder}/{name}"
                parts.append("/".join(escaped(one) for one in whole.split("/") if one))
            elif piece[0].startswith(COLUMN):
                value = columns[piece[0].removeprefix(COLUMN)]
                if value is None or not str(value):
                    raise ValueError(f"its column {piece[0].removeprefix(COLUMN)} is empty")
                parts.append(escaped(str(value)))
            else:
                parts.append(escaped(plain[piece[0]]))
        found = (one for one in "".join(parts).split("/") if one)
        return _usable("/".join(re.sub(r"^_", "%5F", one) for one in found))


def parse_crop_names(text: str) -> CropNames:
    """Read a template. Raises SettingError, which says what to write."""
    pieces: list[str | tuple[str]] = []
    for field, literal, stray in _PIECE.findall(text):
        if stray or (literal and not _LITERAL.fullmatch(literal)):
            problem = (
                f"has {stray or literal!r}; text around fields has letters, digits and . _ = - /"
            )
            raise SettingError("crop_files", f"{text!r} {problem}")
        if literal:
            pieces.append(literal)
        elif field in FIELDS or (field.startswith(COLUMN) and field != COLUMN):
            pieces.append((field,))
        else:
            known = ", ".join([*FIELDS, COLUMN + "NAME"])
            raise SettingError("crop_files", f"{{{field}}} is unknown: write one of {known}")
    names = CropNames(text, tuple(pieces))
    if not any(field in OF_PHOTO or field.startswith(COLUMN) for field in names.fields):
        raise SettingError("crop_files", f"{text!r} names no photo: {_EXAMPLE}")
    if text.startswith("/") or any(part.startswith((".", "_")) for part in text.split("/")):
        problem = f"{text!r}: no part may begin with a dot or an underscore: {_EXAMPLE}"
        raise SettingError("crop_files", problem)
    return names


def check_distinct(names: CropNames, ratios: list[str], top_k: int) -> None:
    """Raise SettingError unless the crops of one photo have different names."""
    if "hash" in names.fields:
        return
    for field, several in (("ratio", len(ratios) > 1), ("rank", top_k > 1)):
        if several and field not in names.fields:
            raise SettingError(
                "crop_files", f"{names.text!r} gives crops of one photo one name: add {{{field}}}"
            )
    spelt = [escaped(ratio.replace(":", "x").replace("/", "x")) for ratio in ratios]
    if len(set(spelt)) < len(spelt):
        raise SettingError("crop_files", f"gives two of the shapes {', '.join(ratios)} one name")


def check_photos(
    names: CropNames, photos: Iterable[Mapping[str, Any]], ratio: str, *formats: str
) -> None:
    """Raise SettingError unless every photo has a name of its own; the message names photos.

    photos: rows of the input list, which are gone through again where two names may be the same:
        8 bytes a photo and format are kept. A template with the hash of the content needs no such
        look.
    formats: those that its crop may have.
    """
    told = formats if "format" in names.fields else formats[:1]
    hashes = array("q")
    problem = None
    try:
        hashes.extend(hash(name) for _, name in _named(names, photos, ratio, told))
    except SettingError as error:
        problem = error
    if "hash" not in names.fields:
        _check_apart(names, _named(names, photos, ratio, told), hashes)
    if problem is not None:
        raise problem


def _check_apart(names: CropNames, named: Iterable[tuple[str, str]], hashes: "array[int]") -> None:
    """Raise SettingError where two photos have one name.

    named: addresses and names, of which the first have these hashes.
    """
    import numpy as np  # slow to import, and not for --help

    found = np.sort(np.frombuffer(hashes, np.int64))
    shared = set(found[1:][found[1:] == found[:-1]].tolist())
    if not shared:
        return
    seen: dict[str, str] = {}
    for hashed, (uri, name) in zip(hashes, named, strict=False):
        if hashed in shared:
            other = seen.setdefault(name, uri)
            if other != uri:
                raise SettingError(
                    "crop_files",
                    f"{names.text!r} gives two photos the name {name!r}: {other} and {uri}; add "
                    "{folder} or {id}",
                )


def _named(
    names: CropNames, photos: Iterable[Mapping[str, Any]], ratio: str, formats: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Each photo's address and the name of its crop, for every format. Raises SettingError."""
    return ((p["uri"], _name_of(names, p, ratio, each)) for p in photos for each in formats)


def _name_of(names: CropNames, photo: Mapping[str, Any], ratio: str, format: str) -> str:
    uri = photo["uri"]
    try:
        return names.name(uri, photo["image_id"], photo, ratio, 0, format, "0" * 64)
    except KeyError as error:
        raise SettingError("crop_files", f"names the column {error}, not in the list") from error
    except ValueError as error:
        raise SettingError("crop_files", f"makes no name for {uri}: {error}") from error


def object_key(uri: str) -> str:
    """The key of an address: its path, without scheme and bucket or host."""
    scheme, found, rest = uri.partition("://")
    if not found or scheme.lower() == "file":
        return (rest if found else uri).lstrip("/")
    _, _, key = rest.partition("/")
    if scheme.lower() in ("http", "https"):
        return unquote(re.split(r"[?#]", key, maxsplit=1)[0], errors="surrogateescape")
    return key


def escaped(value: str) -> str:
    """A value as one part of a name. Two different values never give the same."""
    out = []
    for place, letter in enumerate(value):
        plain = letter.isalnum() or letter in "_-=" or unicodedata.category(letter)[0] == "M"
        if letter == ".":
            plain = place > 0 and value[place - 1] != "."
        data = letter.encode("utf-8", "surrogateescape")
        out.append(letter if plain else "".join(f"%{byte:02X}" for byte in data))
    return "".join(out)


def _usable(name: str) -> str:
    if not name:
        raise ValueError("its name is empty")
    parts = name.split("/")
    longest = max(len(part.encode()) for part in parts)
    if longest > LONGEST_PART or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"its name has {len(name.encode())} bytes and {longest} between slashes, where "
            f"{LONGEST_NAME} and {LONGEST_PART} are the most: {name[:60]!r} …; name crops by "
            "{id} or {hash}, or leave it out with --exclude"
        )
    if any(part.startswith(".") for part in parts) or ".." in name:
        raise ValueError(f"a part of its name begins with a dot: {name[:60]!r}")
    return name
