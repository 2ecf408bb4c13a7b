"""Give the values of a list's columns types that every table format and engine knows.

Delta and Iceberg have no unsigned integers, no half floats, no zone but UTC and no times finer than
a microsecond. Some of their writers misread these types and change values. So a list's columns are
cast to other types before anything is planned.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

DECIMAL128_DIGITS = 38  # its maximum precision
INT64_MAX = 2**63 - 1
UINT64_DIGITS = 20
COARSE = ("s", "ms")  # units of time coarser than a microsecond
MS_A_DAY = 24 * 3600 * 1000
_NARROW = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}


def as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast a column to its `plain_type`, and uint64 according to its values.

    uint64 becomes int64 if all values fit, else a decimal. Times are truncated to microseconds.
    Raises ArrowInvalid for a time that is out of its type's range.
    """
    kind = _stored(column.type)
    if kind == pa.uint64():
        most: Any = pc.max(column.cast(kind)).as_py()
        fits = most is None or most <= INT64_MAX
        return column.cast(kind).cast(pa.int64() if fits else pa.decimal128(UINT64_DIGITS))
    if pt.is_timestamp(kind) and kind.unit in COARSE:  # nothing is cut off, but it may not fit
        return column.cast(plain_type(kind))
    if pt.is_date64(kind):  # ArrowInvalid where the days do not fit
        pc.divide(column.cast(kind).cast(pa.int64()), MS_A_DAY).cast(pa.int32())
    return column.cast(plain_type(kind), safe=False)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that columns of a list's type are cast to, except for uint64."""
    kind = _stored(kind)
    if kind in _NARROW:
        return _NARROW[kind]
    if pt.is_null(kind) or pt.is_string_view(kind):
        return pa.string()
    if pt.is_time(kind):
        return pa.time64("us")
    if pt.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pt.is_decimal(kind):
        fits = kind.precision <= DECIMAL128_DIGITS
        return pa.decimal128(kind.precision, kind.scale) if fits else pa.string()
    return kind


def _stored(kind: pa.DataType) -> pa.DataType:
    return _stored(kind.value_type) if pt.is_dictionary(kind) else kind
