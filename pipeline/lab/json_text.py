"""Figures as JSON that every program reads: one that is no number is null."""

import json
from collections.abc import Mapping
from math import isfinite


def json_text(figures: object, indent: int) -> str:
    """Dicts, lists, texts and numbers as JSON; nan and the infinities are null.

    Some figures are not defined, as the order of crops of which people accept all. Python's own
    writer puts NaN there, which is no JSON.
    """
    return json.dumps(_without_nan(figures), indent=indent, allow_nan=False)


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
