"""Name the objects of crops by a template: `--crop-files "{folder}/{stem}/{ratio}.{format}"`.

A value keeps letters and digits of any script, `-`, `_`, `=` and `.`. Every other character is
replaced by the percent-encoding of its UTF-8 bytes (`%20`). So is a `.` at the start of a value or
after another `.`, and a `_` at the start of a part of the name (many table readers skip such
files). Only `folder` and `key` contain slashes. Two different values never give the same text. In
a ratio, `:` becomes `x`.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pipeline.errors import SettingError

FIELDS = ("folder", "name", "stem", "key", "ratio", "rank", "format", "hash", "id")
PHOTO_FIELDS = ("folder", "name", "stem", "key", "hash", "id")
COLUMN = "column:"
LONGEST_PART, LONGEST_NAME = 200, 900  # bytes; stores take 255 and 1,024
_PIECE = re.compile(r"\{([^{}]*)\}|([^{}]+)|([{}])")
_LITERAL = re.compile(r"[A-Za-z0-9._=/-]*")
ENDINGS = {"jpg": "jpeg", "jpeg": "jpeg", "webp": "webp", "png": "png", "avif": "avif"}  # -> format
_EXAMPLE = 'write for instance "{folder}/{stem}/{ratio}.{format}"'


@dataclass(frozen=True)
class CropNames:
    """A parsed template: pieces of literal text and (field,) tuples.

    text: as it was given. columns: the columns of the input list that it names.
    """

    text: str
    pieces: tuple[str | tuple[str], ...]

    @property
    def fields(self) -> set[str]:
        return {piece[0] for piece in self.pieces if isinstance(piece, tuple)}

    @property
    def columns(self) -> list[str]:
        return columns_named(self.text)

    @property
    def told_format(self) -> str | None:
        """The format that a fixed ending of the names tells, such as jpeg for `{stem}.jpg`."""
        return ENDINGS.get(self.text.rpartition(".")[2].lower())

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
        """Return one crop's name, its parts joined by slashes. Raises ValueError if unusable."""
        folder, _, name = object_key(uri).rpartition("/")
        plain = {
            "name": name, "stem": name.rpartition(".")[0] or name, "rank": str(rank),
            "ratio": ratio_in_name(ratio), "format": format,
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
    """Parse a template. Raises SettingError with what to write instead."""
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
    if not any(field in PHOTO_FIELDS or field.startswith(COLUMN) for field in names.fields):
        raise SettingError("crop_files", f"{text!r} names no photo: {_EXAMPLE}")
    if text.startswith("/") or any(part.startswith((".", "_")) for part in text.split("/")):
        problem = "no part may begin with a dot or an underscore"
        if text.startswith("/"):
            problem = "names lie below the output: leave out the first slash"
        raise SettingError("crop_files", f"{text!r}: {problem}: {_EXAMPLE}")
    return names


def columns_named(text: str) -> list[str]:
    """Return the columns of the input list that a template names, sorted.

    The template is not checked, so one that an earlier release accepted is read too.
    """
    fields = {field for field, _, _ in _PIECE.findall(text)}
    return sorted(f.removeprefix(COLUMN) for f in fields if f.startswith(COLUMN) and f != COLUMN)


def object_key(uri: str) -> str:
    """Return the key of an address: its path, without scheme and bucket or host."""
    scheme, found, rest = uri.partition("://")
    if not found:
        return uri.lstrip("/")
    if scheme.lower() == "file":
        return unquote(rest, errors="surrogateescape").lstrip("/")
    _, _, key = rest.partition("/")
    if scheme.lower() in ("http", "https"):
        return unquote(re.split(r"[?#]", key, maxsplit=1)[0], errors="surrogateescape")
    return key


def ratio_in_name(ratio: str) -> str:
    """Return a shape as it is spelt in names, before escaping."""
    return ratio.replace(":", "x").replace("/", "x")


def escaped(value: str) -> str:
    """Escape a value for use in a name. Two different values never give the same result."""
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
