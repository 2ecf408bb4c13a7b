"""Give each column of a Delta table one type, whatever types its runs' lists had.

A table's files must have the types that the table declares. So a run's file with another type in a
column of its list is added as a copy cast to the table's type, if all values fit: a column that was
text and is a number now stays text, unless it had no value. If they do not fit, the column gets the
type of `unify`, and the files that the table has are rewritten, once.

Columns of types that Delta lacks, such as times, are not in a table. Its writers would refuse the
table, or misread unsigned numbers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from pipeline.errors import LedgerError
from pipeline.ledger.table_formats.delta_changes import Change, paths_of
from pipeline.ledger.table_formats.published_rows import (
    run_of,
    stored_rows,
    stored_schema,
    write_delta_copy,
)
from pipeline.ledger.tables import TABLES
from pipeline.ledger.unify import TEXT, TypedColumn, cast_column, shared_type
from pipeline.storage.store import Store

Types = Mapping[str, pa.DataType]
_UNSUPPORTED = (
    pt.is_unsigned_integer, pt.is_float16, pt.is_time, pt.is_duration, pt.is_interval, pt.is_null,
    pt.is_decimal256, pt.is_union, pt.is_run_end_encoded,
)  # fmt: skip


def delta_columns(columns: pa.Schema) -> pa.Schema:
    """Return the columns whose types Delta has, without metadata."""
    return pa.schema([one.remove_metadata() for one in columns if _is_supported(one.type)])


def _is_supported(kind: pa.DataType) -> bool:
    if pt.is_nested(kind) and not pt.is_union(kind):
        return all(_is_supported(kind.field(place).type) for place in range(kind.num_fields))
    if pt.is_timestamp(kind):
        return kind.unit in ("ms", "us") and kind.tz in (None, "UTC")
    return not any(lacks(kind) for lacks in _UNSUPPORTED)


def refuse_same_names(name: str, columns: Iterable[pa.Field], run_id: str) -> None:
    """Raise LedgerError where columns of a table, or fields of one, differ only in capitals."""
    if alike := _same_names(columns):
        raise LedgerError(
            f"run {run_id} is not published: in the Delta table {name}, columns cannot be named "
            f"{alike[0]!r} and {alike[1]!r}, as Delta does not tell capitals apart. Rename one in "
            "your list, do its photos again (--mode full) and publish that run by its id; or "
            "publish `--as iceberg`"
        )


def _same_names(fields: Iterable[pa.Field]) -> tuple[str, str] | None:
    known: dict[str, str] = {}
    for field in fields:
        other, kind = known.setdefault(field.name.lower(), field.name), field.type
        if other != field.name:
            return other, field.name
        inner = range(kind.num_fields) if pt.is_nested(kind) else ()
        if found := _same_names(kind.field(place) for place in inner):
            return found
    return None


def unify_types(
    deltalake: Any, store: Store, table: Any, name: str, change: Change, own: Any
) -> Any:
    """Give each column one type throughout a change; return the table's schema after it.

    own: the schema of the files that are added, as Delta has it; the table has all its columns.
    Raises LedgerError where one of the product's own columns has another type than in the table.
    """
    there = {one.name: one for one in table.schema().fields}
    other = [one.name for one in own.fields if there[one.name].type != one.type]
    if wrong := [n for n in other if n in TABLES[name].names]:
        was = {one.name: one.type for one in own.fields}
        changes = "; ".join(f"{n} is {was[n]} and was {there[n].type}" for n in wrong)
        raise LedgerError(
            f"the Delta table has columns of other types: {changes}. Publish runs with the same "
            "--picture-column; `open_run` reads both"
        )
    before, now = (pa.schema(one.to_arrow()) for one in (table.schema(), own))
    schemas = _schemas(store, name, [*change.added, *paths_of(table)])
    unsupported = _unsupported(schemas.values(), {*before.names, *now.names})
    if not other and not unsupported:
        return table.schema()
    types = {n: _common(store, name, n, schemas) for n in dict.fromkeys([*other, *unsupported])}
    _rewrite(store, name, change, types, list(change.added))
    if unsupported or any(kind != before.field(n).type for n, kind in types.items()):
        left = [path for path in paths_of(table) if path not in change.removed]
        _rewrite(store, name, change, types, left)
        change.whole = True
        if any(pt.is_timestamp(kind) and kind.tz is None for kind in types.values()):
            _allow_times_without_zone(deltalake, table)
    typed = deltalake.Schema.from_arrow(pa.schema(list(types.items()))).fields
    return deltalake.Schema([*{**there, **{one.name: one for one in typed}}.values()])


def _allow_times_without_zone(deltalake: Any, table: Any) -> None:
    """Allow timestamps without a zone in a table, as creating it or adding a column would."""
    if "timestampNtz" not in (table.protocol().writer_features or ()):
        feature = deltalake.TableFeatures.TimestampWithoutTimezone
        table.alter.add_feature(feature, allow_protocol_versions_increase=True)
        table.update_incremental()


def _schemas(store: Store, name: str, paths: Sequence[str]) -> dict[str, pa.Schema]:
    """Read the columns of files, by path.

    Files of a run have the same columns, so one file of each run is read; of others, every file.
    """
    groups = {path: path.rpartition("/")[0] if run_of(path) else path for path in paths}
    one_of_each = {group: path for path, group in groups.items()}
    read = {group: stored_schema(store, name, path) for group, path in one_of_each.items()}
    return {path: read[group] for path, group in groups.items()}


def _unsupported(schemas: Iterable[pa.Schema], names: Collection[str]) -> list[str]:
    """Name the columns that have a type that Delta lacks in any file."""
    columns = (field for schema in dict.fromkeys(schemas) for field in schema)
    found = (one.name for one in columns if one.name in names and not _is_supported(one.type))
    return list(dict.fromkeys(found))


def _common(store: Store, name: str, column: str, schemas: Mapping[str, pa.Schema]) -> pa.DataType:
    """Find a type that Delta has for a column in all files, and that changes no value."""

    def part(path: str, kind: pa.DataType) -> TypedColumn:
        return kind, lambda: [stored_rows(store, name, path, ["image_id", column])[column]]

    parts = [part(path, s.field(column).type) for path, s in schemas.items() if column in s.names]
    wanted: pa.DataType = shared_type(parts)
    return wanted if _is_supported(wanted) else TEXT


def _rewrite(store: Store, name: str, change: Change, types: Types, files: list[str]) -> None:
    """Replace files by copies with these types, except added files that have them already."""
    for path in files:
        rows = stored_rows(store, name, path)
        if path in change.added and all(
            n not in rows.column_names or rows.schema.field(n).type == kind
            for n, kind in types.items()
        ):
            continue
        for column, kind in types.items():
            if column in rows.column_names:
                place = rows.schema.get_field_index(column)
                cast = cast_column(rows[column], kind)
                rows = rows.set_column(place, pa.field(column, kind), cast)
        copy = write_delta_copy(store, name, path, rows)
        change.added.pop(path, None)
        change.add_copy(copy)
