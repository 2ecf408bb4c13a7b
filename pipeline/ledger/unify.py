"""Find a common type for a column whose type differs between runs, and cast its rows to it.

Pass-through columns have the types of their night's list. The common type is one that all values
fit into without loss: integers widen, integers become floats, dates become timestamps. If there is
none, the column becomes text. A night without a value in the column has no say: its list gave it
the type of text, or whatever type its writer gives to a column of nulls.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.types as pt

TEXT = pa.string()
INT64_DIGITS, UINT64_DIGITS = 19, 20  # decimal digits that hold any value of the type
DECIMAL128_DIGITS = 38  # its maximum precision
UNITS = ("s", "ms", "us", "ns")  # the finest last
SIGNED = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
UNSIGNED = (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())


# A run or a file: the type of a column in it, and a function that reads its values.
TypedColumn: TypeAlias = tuple[pa.DataType, Callable[[], Iterable[pa.ChunkedArray]]]


def shared_type(parts: Sequence[TypedColumn]) -> pa.DataType:
    """Return a type for a column of several runs or files that changes none of its values.

    Values are read only if types differ. Of types that are otherwise text together, those without
    a value do not count; then the rows of that type are null in the one that is found.
    """
    wanted = common_type(kind for kind, _ in parts)
    if wanted == TEXT:
        valued: dict[pa.DataType, None] = {}
        for kind, read in sorted(parts, key=lambda part: part[0] != TEXT):  # a text decides
            if kind not in valued and any(column.null_count < len(column) for column in read()):
                valued[kind] = None
                if common_type(valued) == TEXT:
                    return TEXT
        parts = [part for part in parts if part[0] in valued]  # the others fit any type
        wanted = common_type(valued) if valued else TEXT
    others = (column for kind, read in parts if kind != wanted for column in read())
    return wanted if wanted == TEXT or all(fits(one, wanted) for one in others) else TEXT


def common_type(types: Iterable[pa.DataType]) -> pa.DataType:
    """Return the type that columns of these types may share; `fits` checks their values.

    Null types (columns without a value) fit any type. The result is text where the kinds differ.
    """
    left = list(dict.fromkeys(types))
    left = [one for one in left if not pt.is_null(one)] or left[:1]
    if len(left) == 1:
        return left[0]
    left = list(dict.fromkeys(map(_plain, left)))
    if len(left) == 1:
        return left[0]
    for find in (_text, _bytes, _number, _time, _nested):
        found: pa.DataType | None = find(left)
        if found is not None:
            return found
    return TEXT


def fits(column: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    """Return whether the values of a column can be cast to a type without loss."""
    try:
        cast_column(column, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def cast_column(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Cast a column to another type. Raises pyarrow.ArrowInvalid where a value would change.

    In text, numbers, dates and times have their usual form. Bytes that are not UTF-8 are written
    in hexadecimal, lists and structs as JSON.
    """
    if column.type == wanted:
        return column
    if column.null_count == len(column):  # also of types between which Arrow has no cast
        return pa.chunked_array([pa.nulls(len(column), wanted)])
    if wanted != TEXT:
        return column.cast(wanted)
    try:
        return column.cast(TEXT)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([[_as_text(value) for value in column.to_pylist()]], TEXT)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=_as_text, ensure_ascii=False)
    return str(value)


def _plain(one: pa.DataType) -> pa.DataType:
    """Return the type of the values, for types that encode, view or extend another."""
    if isinstance(one, pa.BaseExtensionType):
        return _plain(one.storage_type)
    if pt.is_dictionary(one) or pt.is_run_end_encoded(one):
        return _plain(one.value_type)
    if pt.is_string_view(one):
        return TEXT
    return pa.binary() if pt.is_binary_view(one) or pt.is_fixed_size_binary(one) else one


def _text(types: Sequence[pa.DataType]) -> pa.DataType | None:
    is_text = all(pt.is_string(one) or pt.is_large_string(one) for one in types)
    return pa.large_string() if is_text else None


def _bytes(types: Sequence[pa.DataType]) -> pa.DataType | None:
    is_binary = all(pt.is_binary(one) or pt.is_large_binary(one) for one in types)
    return pa.large_binary() if is_binary else None


def _number(types: Sequence[pa.DataType]) -> pa.DataType | None:
    integers = [one for one in types if pt.is_integer(one)]
    floats = [one for one in types if pt.is_floating(one)]
    decimals = [one for one in types if pt.is_decimal(one)]
    if len(integers) + len(floats) + len(decimals) < len(types) or (floats and decimals):
        return None
    if floats:
        widest: pa.DataType = max(floats, key=lambda one: one.bit_width)
        return pa.float64() if integers else widest
    whole = [INT64_DIGITS if pt.is_signed_integer(one) else UINT64_DIGITS for one in integers]
    if not decimals:
        return _integer(integers) or pa.decimal128(max(whole))
    scale = max(0, *(one.scale for one in decimals))
    digits = max([*whole, *(one.precision - one.scale for one in decimals)]) + scale
    return pa.decimal128(digits, scale) if digits <= DECIMAL128_DIGITS else None


def _integer(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """Return the narrowest integer type for all; None for int64 with uint64."""
    signed = any(pt.is_signed_integer(one) for one in types)
    bits = max(one.bit_width * (1 + (signed and pt.is_unsigned_integer(one))) for one in types)
    return next((one for one in (SIGNED if signed else UNSIGNED) if one.bit_width >= bits), None)


def _time(types: Sequence[pa.DataType]) -> pa.DataType | None:
    days = [one for one in types if pt.is_date(one)]
    stamps = [one for one in types if pt.is_timestamp(one)]
    if len(days) + len(stamps) == len(types):
        if not stamps:
            return pa.date32()
        zones = {one.tz for one in stamps}
        if zones == {None}:  # a day has no zone
            return pa.timestamp(_finest(stamps))
        return None if days or None in zones else pa.timestamp(_finest(stamps), "UTC")
    if all(pt.is_time(one) for one in types):
        unit = _finest(types)
        return pa.time64(unit) if unit in ("us", "ns") else pa.time32(unit)
    return pa.duration(_finest(types)) if all(pt.is_duration(one) for one in types) else None


def _finest(types: Sequence[pa.DataType]) -> str:
    return UNITS[max(UNITS.index(one.unit) for one in types)]


def _nested(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """Return a list of the common type or a struct with all fields; None for other types."""
    if all(pt.is_struct(one) for one in types):
        names = dict.fromkeys(field.name for one in types for field in one)
        return pa.struct(
            [
                (name, common_type(one.field(name).type for one in types if _has(one, name)))
                for name in names
            ]
        )
    if all(pt.is_list(one) or pt.is_large_list(one) or pt.is_fixed_size_list(one) for one in types):
        return pa.list_(common_type(one.value_type for one in types))
    return None


def _has(struct: pa.StructType, name: str) -> bool:
    return bool(struct.get_field_index(name) >= 0)
