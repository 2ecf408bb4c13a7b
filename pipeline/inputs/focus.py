"""Take each photo's focal point from two columns of the input list, by `--focus-columns`.

A point is pinned with the photo in the column `override`, like a person's decision: a different
point gives different crops, so the photo is done again.
"""

import json

import pyarrow as pa

from pipeline.errors import SettingError, UsageError
from pipeline.schema import IMAGES, INPUT_OVERRIDE

FocusColumns = tuple[str, str]  # names of the columns of x and y


def with_focus(table: pa.Table, columns: FocusColumns) -> pa.Table:
    """Pin the focal points of a list's rows, where it has any.

    columns: hold shares of the upright photo's width and height, 0 to 1; both or neither is null
    or NaN.
    Columns that have a name of `images` are dropped, since the tables fill these in; others also
    pass through.

    Raises SettingError for a list without the columns, UsageError for a value outside 0 to 1.
    """
    for name in columns:
        if name not in table.column_names:
            raise SettingError("focus_columns", f"names {name!r}, and the list has no such column")
    uris: list[str] = table["uri"].to_pylist()
    xs, ys = (_shares(table[name], name, uris) for name in columns)
    points: list[str | None] = []
    for uri, x, y in zip(uris, xs, ys, strict=True):
        if (x is None) != (y is None):
            missing = columns[0] if x is None else columns[1]
            raise _row_error(uri, missing, "is missing beside the other one")
        points.append(None if x is None else json.dumps({"name": "", "focus": [x, y]}))
    dropped = [name for name in columns if name in IMAGES.names]
    table = table.drop_columns(dropped)
    if not any(points):
        return table
    return table.append_column(INPUT_OVERRIDE, pa.array(points, INPUT_OVERRIDE.type))


def _shares(column: pa.ChunkedArray, name: str, uris: list[str]) -> list[float | None]:
    try:
        numbers: list[float | None] = column.cast(pa.float64()).to_pylist()
    except pa.ArrowException as error:
        raise UsageError(f"the column {name!r} must hold numbers: {error}") from error
    # pandas and others write NaN for a missing value; only NaN differs from itself.
    values = [None if number != number else number for number in numbers]
    for uri, value in zip(uris, values, strict=True):
        if value is not None and not 0 <= value <= 1:
            raise _row_error(uri, name, f"must be 0 to 1, not {value:g}")
    return values


def _row_error(uri: str, column: str, problem: str) -> UsageError:
    """Build the error of one row, named by its address, as rows before it may be left out."""
    return UsageError(f"the list's row of {uri[:200]}: {column!r} {problem}")
