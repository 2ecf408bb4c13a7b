"""Figures as JSON that every program can read: NaN and the infinities become null."""

import json
from collections.abc import Mapping
from math import isfinite


def json_text(figures: object, indent: int, sort_keys: bool = False) -> str:
    """Return dicts, lists, texts and numbers as JSON; NaN and the infinities are null.

    Some figures are undefined, such as the AUC where people accept all crops. Python's own writer
    puts NaN there, which is not valid JSON.
    """
    return json.dumps(_without_nan(figures), indent=indent, sort_keys=sort_keys, allow_nan=False)


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
