"""Declare the fields that a person sets: meaning, unit and range of each, said once.

`option` makes a dataclass field and `check` tests its value, so a library call and a command line
refuse the same values. `pipeline.command_line` makes the command line of such a dataclass.
"""

from dataclasses import MISSING, Field, field, fields
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pipeline.errors import SettingError


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
    """Make a dataclass field for a value that a person gives.

    help:        what it means, a phrase. Another field is named in backticks: `top_k`.
    unit:        "px", "s", "bytes"; shown behind the default
    placeholder: stands for the value in the help, for instance "FOLDER"; default: by the type
    least, most: the range of a number, both ends included; None is open
    below:       the same as `most`, this end not included
    required:    a command line has to give it, although the library has a default. A field
                 without a default is required everywhere.
    positional:  given without its name on a command line
    before:      of a setting that was added to those that identify a run: the value that gives
                 what came out before it was there; see `identity_of`
    alone:       what it means where a command line names it without a value
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
    """The values that a `Literal` allows; empty for any other type."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def identity_of(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass made of options, by name, as they enter a run's identity.

    A field at its `before` is left out. So runs made before the field was there, whose specs lack
    it, have the identity of those that ask for what they did.
    """
    values = {item.name: (getattr(settings, item.name), item) for item in fields(settings)}
    return {name: value for name, (value, item) in values.items() if value != _before(item)}


def _before(item: Field[Any]) -> Any:
    return item.metadata.get("before", MISSING)


# What a value of a plain type may be, and that in words.
_KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a text"),
}


def check(settings: Any) -> None:
    """Test every field of a dataclass made of options against its type, choices and range.

    Raises SettingError for the first value that is not allowed.
    """
    types = get_type_hints(type(settings))
    for item in fields(settings):
        if item.metadata:
            _check_one(item, getattr(settings, item.name), types[item.name])


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of a plain type; True and False are no numbers."""
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
        said = " or ".join(_KINDS[one][1] for one in plain)
        raise SettingError(item.name, f"must be {said}, not {value!r}")
    if value != value:
        raise SettingError(item.name, "must be a number, not NaN")
    least, most, below = (item.metadata[bound] for bound in ("least", "most", "below"))
    bounds = {f"at least {least}": least is None or value >= least}
    bounds[f"at most {most}"] = most is None or value <= most
    bounds[f"below {below}"] = below is None or value < below
    if broken := [bound for bound, kept in bounds.items() if not kept]:
        raise SettingError(item.name, f"must be {broken[0]}, not {value}")
