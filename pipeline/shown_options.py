"""Turn a dataclass's fields into command-line options: spelling, default, help, argument."""

import errno
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pipeline.options import choices_of

_PLACEHOLDERS = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}


def _path(text: str) -> Path:
    """Read a path. Raises ArgumentTypeError for a text that can be none.

    An empty one often comes from a variable that is not set.
    """
    if not text:
        raise ArgumentTypeError("is empty: name a folder or a file")
    if "://" in text:
        raise ArgumentTypeError(f"{text!r} is an address: name a folder or a file of this machine")
    try:
        os.stat(text)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ArgumentTypeError(f"{text[:40]!r}… is too long for a name") from error
    return Path(text)


def _whole(text: str) -> int:
    """Read a whole number. Raises ArgumentTypeError that says so without Python's word for it."""
    try:
        return int(text)
    except ValueError as error:
        problem = f"{text[:40]!r} is no whole number: write digits alone, such as 64"
        raise ArgumentTypeError(problem) from error


def _decimal(text: str) -> float:
    """Read a number. Raises ArgumentTypeError, as `_whole`."""
    try:
        return float(text)
    except ValueError as error:
        problem = f"{text[:40]!r} is no number: write digits, with a point in them if need be"
        raise ArgumentTypeError(problem) from error


# Where the type itself is too lenient, or argparse would name it: "invalid int value".
_READERS: dict[Any, Callable[[str], Any]] = {Path: _path, int: _whole, float: _decimal}


def flag(name: str) -> str:
    """Spell a field as on a command line: `--top-k` for `top_k`, `--as` for `as_`."""
    return "--" + name.rstrip("_").replace("_", "-")


@dataclass(frozen=True)
class ShownOption:
    """One options field, as a command line shows it."""

    field: Field[Any]
    type: Any  # of one value: without `| None`; for a tuple, of its items
    many: bool
    group: str

    @property
    def about(self) -> Mapping[str, Any]:
        return self.field.metadata

    @property
    def word(self) -> str:
        """The option as it is typed, with a placeholder for its value."""
        if self.about["positional"]:
            return self.placeholder + " ..." * self.many
        if self.value_is_optional:
            return f"{flag(self.field.name)} [{self.placeholder}]"
        return flag(self.field.name) + f" {self.placeholder}" * (self.type is not bool)

    @property
    def value_is_optional(self) -> bool:
        """Whether its value may be left out."""
        return self.about["alone"] is not MISSING

    @property
    def placeholder(self) -> str:
        choices = ",".join(choices_of(self.type))
        shown = f"{{{choices}}}" if choices else _PLACEHOLDERS.get(self.type, "")
        return str(self.about["placeholder"] or self.about["unit"].upper() or shown)

    @property
    def default(self) -> str:
        """The default as text, with its unit."""
        if self.type is bool:
            return "no"
        if self.field.default in ("", None):
            return "none"
        return f"{self.field.default} {self.about['unit']}".strip()

    def text(self, names: set[str]) -> str:
        """Return the help text. names: fields that are spelt as flags in it."""
        help_text: str = self.about["help"]
        if self.about["placeholder"] and (choices := choices_of(self.type)):
            help_text += f": {', '.join(choices)}"  # else the placeholder names them
        return re.sub(r"`(\w+)`", lambda m: flag(m[1]) if m[1] in names else m[0], help_text)

    def add_to(self, parser: Any, names: set[str]) -> None:
        """Add it to a parser or an argument group. names: fields to spell as flags in the help."""
        about, choices = self.about, choices_of(self.type)
        text = self.text(names)
        if not (about["required"] or "default:" in text):
            text += f" (default: {self.default})"
        given: dict[str, Any] = {"help": text.replace("%", "%%")}
        if self.value_is_optional:
            given |= {"metavar": self.placeholder, "nargs": "?", "const": about["alone"]}
        elif self.type is bool:
            given |= {"action": "store_true"}
        else:
            given |= {"metavar": self.placeholder, "choices": choices or None}
            given |= {"type": str if choices else _READERS.get(self.type, self.type)}
        if about["positional"]:
            if not about["required"]:
                given |= {"default": self.field.default}
            count = "+" if self.many else None if about["required"] else "?"
            parser.add_argument(self.field.name, nargs=count, **given)
        else:
            given |= {} if about["required"] else {"default": self.field.default}
            name, required = self.field.name, about["required"]
            parser.add_argument(flag(name), dest=name, required=required, **given)


def shown_options(kind: type, group: str = "options") -> Iterator[ShownOption]:
    """Yield the fields of a dataclass and its nested ones, whose docstrings title their groups."""
    types = get_type_hints(kind)
    for item in fields(kind):
        annotation = types[item.name]
        if is_group(annotation):
            yield from shown_options(annotation, title_of(annotation))
        else:
            many = get_origin(annotation) is tuple
            inner = get_args(annotation)[0] if many or isinstance(annotation, UnionType) else None
            yield ShownOption(item, inner or annotation, many, group)


def is_group(annotation: Any) -> bool:
    """Return whether a field is a group of options, that is, a dataclass."""
    return isinstance(annotation, type) and is_dataclass(annotation)


def title_of(kind: type) -> str:
    """Return the first line of a class's docstring, as a line of help."""
    return (kind.__doc__ or "").splitlines()[0].rstrip(".")
