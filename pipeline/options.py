"""Declare the fields that a user sets, with the meaning, unit and range of each in one place.

`option` builds a dataclass field and `check` validates its value, so a library call and a command
line refuse the same values. `pipeline.command_line` builds the command line of such a dataclass.
"""

from dataclasses import MISSING, Field, field, fields
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pipeline.errors import SettingError

LONGEST_S = 86_400  # the longest time limit, a day: far longer ones overflow the system's timers
MOST_SIDE = 1_000_000  # the longest side of a picture, pixels: the decoder is told it in 32 bits
LARGEST = (1 << 63) - 1
"""The largest number that a user may give. What reads it, such as numpy, takes 64 bits; infinite
numbers are no JSON."""


def option(
    default: Any = MISSING,
    help: str = "",
    unit: str = "",
    *,
    placeholder: str = "",
    least: float | None = None,
    most: float | None = None,
    below: float | None = None,
    required: bool = False,
    positional: bool = False,
    before: Any = MISSING,
    alone: Any = MISSING,
) -> Any:
    """Build a dataclass field for a value that a user gives.

    help:        what it means, as a phrase. Another field is named in backticks: `top_k`.
    unit:        "px", "s", "bytes"; shown after the default
    placeholder: stands for the value in the help, for instance "FOLDER"; default: by the type
    least, most: the range of a number, both ends included; None is open
    below:       an upper end like `most`, but not included
    required:    a command line must give it, although the library has a default. A field
                 without a default is required everywhere.
    positional:  given without its name on a command line
    before:      for a setting added later to those that identify a run: the value that
                 reproduces the results from before; see `identity_of`
    alone:       its value where a command line gives its name only
    """
    about = {
        "help": help,
        "unit": unit,
        "placeholder": placeholder,
        "least": least,
        "most": most,
        "below": below,
        "required": required or default is MISSING,
        "positional": positional,
        "before": before,
        "alone": alone,
    }
    return field(default=default, metadata=about)


def choices_of(annotation: Any) -> tuple[str, ...]:
    """Return the values that a `Literal` allows; empty for any other type."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def identity_of(settings: Any) -> dict[str, Any]:
    """Return the fields of an options dataclass, by name, as they enter a run's identity.

    A field whose value is its `before` is left out. So an older run, whose spec lacks the field,
    has the same identity as a new run that asks for the same results.
    """
    values = {item.name: (getattr(settings, item.name), item) for item in fields(settings)}
    return {name: value for name, (value, item) in values.items() if value != _before(item)}


def _before(item: Field[Any]) -> Any:
    return item.metadata.get("before", MISSING)


# The class that a value of a plain type must have, and its description.
_KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a text"),
}


def check(settings: Any) -> None:
    """Validate every field of an options dataclass against its type, choices and range.

    Raises SettingError for the first value that is not allowed.
    """
    types = get_type_hints(type(settings))
    for item in fields(settings):
        if item.metadata:
            _check_one(item, getattr(settings, item.name), types[item.name])


def _is_a(value: Any, kind: Any) -> bool:
    """Return whether a value is of a plain type; True and False do not count as numbers."""
    return isinstance(value, _KINDS[kind][0]) and isinstance(value, bool) == (kind is bool)


def _check_one(item: Field[Any], value: Any, annotation: Any) -> None:
    choices = choices_of(annotation)
    if choices and value not in choices:
        raise SettingError(item.name, f"must be one of {', '.join(choices)}, not {value!r}")
    kinds = get_args(annotation) or (annotation,)
    if value is None and NoneType in kinds:
        return
    plain = [one for one in kinds if one in _KINDS]
    if plain and not any(_is_a(value, one) for one in plain):
        expected = " or ".join(_KINDS[one][1] for one in plain)
        raise SettingError(item.name, f"must be {expected}, not {value!r}")
    if value != value:
        raise SettingError(item.name, "must be a number, not NaN")
    least, most, below = (item.metadata[bound] for bound in ("least", "most", "below"))
    bounds = {f"at least {least}": least is None or value >= least}
    bounds[f"at most {most}"] = most is None or value <= most
    bounds[f"below {below}"] = below is None or value < below
    bounds[f"at most {LARGEST}"] = not _is_a(value, float) or abs(value) <= LARGEST
    if broken := [bound for bound, kept in bounds.items() if not kept]:
        raise SettingError(item.name, f"must be {broken[0]}, not {value}")
