"""Read the sizes and boxes of a list; a value that cannot be read drops its row, not the list."""

import json
import re
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.errors import UsageError
from pipeline.schema import INPUT_BOXES, INPUTS

MAX_BOXES = 1000  # of one photo
INT64_LIMIT = 1 << 63
_WHOLE = re.compile(r"\s*[0-9]{1,20}(\.0*)?\s*")
NO_SIZE = "have bytes that are no number of 0 or more"
NO_BOXES = "have boxes that are not JSON like [[x0, y0, x1, y1]]"

Reasons: TypeAlias = list[str | None]  # why each row can't be used; None where it can


def sizes_of(column: pa.ChunkedArray) -> tuple[pa.Array | pa.ChunkedArray, Reasons]:
    """Read sizes in bytes, null where missing or wrong, and what is wrong with each row.

    The reasons are empty if nothing is wrong. Raises UsageError where no row has a size and at
    least one has something else.
    """
    kind = INPUTS.field("bytes").type
    try:
        cast = column.cast(kind)
    except pa.ArrowException:
        cast = None
    if cast is not None and (pc.min(cast).as_py() or 0) >= 0:
        return cast, []
    sizes: list[int | None] = []
    reasons: Reasons = []
    for value in column.to_pylist():
        # pandas and others write NaN for a missing value; only NaN differs from itself.
        size = None if value is None or value != value else _size_of(value)
        sizes.append(size)
        reasons.append(NO_SIZE if size is not None and not 0 <= size < INT64_LIMIT else None)
    usable = [None if why else size for size, why in zip(sizes, reasons, strict=True)]
    made = pa.array(usable, kind)
    if made.null_count == len(made) and any(reasons):
        raise UsageError(f"the column 'bytes' must be {kind}, 0 or more: no row has such a number")
    return made, reasons


def _size_of(value: Any) -> int:
    """Return the whole number that a value is, or a text of digits; -1 for any other value.

    pandas writes a column of whole numbers with a missing one as 5.0.
    """
    if isinstance(value, str):
        return int(value.partition(".")[0]) if _WHOLE.fullmatch(value) else -1
    try:
        return int(value) if int(value) == value else -1
    except (TypeError, ValueError, OverflowError):
        return -1


def boxes_of(column: pa.ChunkedArray) -> tuple[pa.Array, Reasons]:
    """Read each row's boxes [x0, y0, x1, y1], source pixels, and what is wrong with each row.

    The column holds lists, or texts with JSON. Raises UsageError where it holds neither.
    """
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        values = [_read_boxes(text) for text in column.to_pylist()]
    elif pt.is_null(column.type):
        values = [None] * len(column)
    else:
        try:
            values = column.cast(INPUT_BOXES.type).to_pylist()
        except pa.ArrowException as error:
            values = [_checked_boxes(value) for value in column.to_pylist()]
            if not any(isinstance(value, list) for value in values):
                message = f"the column 'boxes' must be {INPUT_BOXES.type}: {error}"
                raise UsageError(message) from error
    reasons: Reasons = []
    for value in values:
        reason = None
        if isinstance(value, str):
            reason = value
        elif value is not None and len(value) > MAX_BOXES:
            reason = f"have over {MAX_BOXES:,} boxes"
        reasons.append(reason)
    kept = [None if reason else value for value, reason in zip(values, reasons, strict=True)]
    return pa.array(kept, INPUT_BOXES.type), reasons


def _read_boxes(text: str | None) -> Any:
    """Parse the boxes in a JSON text; if they cannot be read, return the reason as a text."""
    if not text:
        return None
    try:
        return _checked_boxes(json.loads(text))
    except (ValueError, RecursionError):
        return NO_BOXES


def _checked_boxes(value: Any) -> Any:
    """Return the value if it is a list of boxes, else the reason as a text."""
    try:
        pa.array([value], INPUT_BOXES.type)
    except (TypeError, ValueError, RecursionError, pa.ArrowException):
        return NO_BOXES
    return value
