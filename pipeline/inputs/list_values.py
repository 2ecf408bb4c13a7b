"""Read the sizes and boxes of a list: what is none costs its row."""

import json
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.types as pt

from pipeline.errors import UsageError
from pipeline.schema import INPUT_BOXES, INPUTS

MAX_BOXES = 1000  # of one photo
MOST_BYTES = 1 << 63
NO_SIZE = "have bytes that are no number"
NO_BOXES = "have boxes that are not JSON like [[x0, y0, x1, y1]]"

Reasons: TypeAlias = list[str | None]  # why each row can't be used; None where it can


def sizes_of(column: pa.ChunkedArray) -> tuple[pa.Array | None, Reasons]:
    """Sizes one by one, and why a row has none; no array where not one is a number."""
    sizes: list[int | None] = []
    reasons: Reasons = []
    for value in column.to_pylist():
        try:
            # NaN, which is not itself, is no value to those who write it.
            size = None if value is None or value != value else int(value)
        except (TypeError, ValueError, OverflowError):
            size = -1
        sizes.append(size)
        reasons.append(NO_SIZE if size is not None and not 0 <= size < MOST_BYTES else None)
    usable = [None if why else size for size, why in zip(sizes, reasons, strict=True)]
    made = pa.array(usable, INPUTS.field("bytes").type)
    return (None if made.null_count == len(made) and any(reasons) else made), reasons


def boxes_of(column: pa.ChunkedArray) -> tuple[pa.Array, Reasons]:
    """The column in its type, and why a row of it can't be used.

    Raises UsageError where the column has another type altogether.
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
    """Boxes from JSON; a text that is none gives the reason, as a text."""
    if not text:
        return None
    try:
        return _checked_boxes(json.loads(text))
    except (ValueError, RecursionError):
        return NO_BOXES


def _checked_boxes(value: Any) -> Any:
    """A value that may be boxes; one that is none gives the reason, as a text."""
    try:
        pa.array([value], INPUT_BOXES.type)
    except (TypeError, ValueError, RecursionError, pa.ArrowException):
        return NO_BOXES
    return value
