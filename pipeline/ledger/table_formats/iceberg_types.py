"""Give each column of an Iceberg table one type, whatever types its runs' lists had.

Iceberg widens integers, floats and decimals by itself. If types differ in another way, the column
gets the type of `unify` where that is one of _KEPT_AS, else text, and files with another type are
in the table as copies. The table's property TYPES lists these columns, so the files still follow
from the runs.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import pyarrow as pa
import pyarrow.types as pt

from pipeline.errors import LedgerError, UsageError
from pipeline.ledger.columns import column_values
from pipeline.ledger.manifest import data_files
from pipeline.ledger.records import DataFile
from pipeline.ledger.replaced import current_file, replaced_files
from pipeline.ledger.table_formats.published_rows import RunPhotos
from pipeline.ledger.tables import TABLES, columns_of_files
from pipeline.ledger.unify import TEXT, shared_type
from pipeline.storage.store import Store

TYPES = "s2cnet.types"  # columns that are cast, and to what, as JSON
Casts = Mapping[str, str]  # names of Arrow types by column
ColumnsIn: TypeAlias = Callable[[RunPhotos], pa.Schema]
_KEPT_AS = ("bool", "int64", "double", "date32[day]", "timestamp[us]")  # else text


def files_of(store: Store, run: RunPhotos, name: str) -> list[DataFile]:
    """List the files of a run's table, as they are now."""
    replaced = replaced_files(store, run.manifest.run_id)
    return [current_file(file, replaced) for file in data_files(store, run.manifest, name)]


def own_columns(store: Store, name: str, run: RunPhotos) -> pa.Schema:
    """Read the columns of a run's files that come from its list; none where it has no file."""
    columns = columns_of_files(store, files_of(store, run, name))
    return pa.schema([one for one in columns if one.name not in TABLES[name].names])


def casts_of(
    store: Store,
    name: str,
    known: str,
    there: pa.Schema,
    new: Iterable[RunPhotos],
    own: Sequence[RunPhotos],
    columns_in: ColumnsIn,
) -> dict[str, str]:
    """Return the columns that are cast once new runs are in a table, and to which types.

    known: the property TYPES as it is. there: the table's columns, in Arrow's types. own: all runs
        that the table is to have. columns_in: reads those of a run's list, see `own_columns`.
    """
    casts: dict[str, str] = json.loads(known or "{}")
    kinds: dict[str, set[pa.DataType]] = {}
    for columns in [there, *map(columns_in, new)]:
        for field in columns:
            if field.name not in TABLES[name].names:
                kinds.setdefault(field.name, set()).add(field.type)
    for column, found in kinds.items():
        if column in casts:
            found = {*found, pa.type_for_alias(casts[column])}
        if not _widens(found):
            casts[column] = _cast(store, column, {run: columns_in(run) for run in own})
    return casts


def _widens(kinds: set[pa.DataType]) -> bool:
    """Return whether Iceberg unifies these types by itself."""
    alike = (
        lambda one: pt.is_string(one) or pt.is_large_string(one),
        lambda one: pt.is_binary(one) or pt.is_large_binary(one),
        pt.is_signed_integer,
        pt.is_floating,
    )
    decimals = all(map(pt.is_decimal, kinds)) and len({one.scale for one in kinds}) == 1
    return len(kinds) == 1 or decimals or any(all(map(test, kinds)) for test in alike)


def _cast(store: Store, column: str, runs: Mapping[RunPhotos, pa.Schema]) -> str:
    """Find a type that Iceberg has, and that changes no value: the widest of its kind."""
    parts = [
        (columns.field(column).type, partial(column_values, store, run.manifest, column))
        for run, columns in runs.items()
        if column in columns.names
    ]
    wanted = shared_type(parts)
    if pt.is_signed_integer(wanted) or pt.is_floating(wanted):
        wanted = pa.int64() if pt.is_signed_integer(wanted) else pa.float64()
    return str(wanted) if str(wanted) in _KEPT_AS else str(TEXT)


def casts_in(casts: Casts, columns: pa.Schema) -> dict[str, str]:
    """Select the casts of columns that files with these columns have in another type."""
    return {
        name: kind
        for name, kind in casts.items()
        if name in columns.names and columns.field(name).type != pa.type_for_alias(kind)
    }


def plain_texts(columns: pa.Schema) -> pa.Schema:
    """Give the texts of an Iceberg table's columns the plain type; Arrow reads them as large."""
    return pa.schema(
        [one.with_type(TEXT) if pt.is_large_string(one.type) else one for one in columns]
    )


@contextmanager
def as_ledger_error(name: str) -> Iterator[None]:
    """Turn the refusal of a column's type into a LedgerError that names the table."""
    from pyiceberg.exceptions import ResolveError, ValidationError
    from pyiceberg.io.pyarrow import UnsupportedPyArrowTypeException

    refusals = (ResolveError, ValidationError, UnsupportedPyArrowTypeException, ValueError)
    try:
        yield
    except UsageError:  # an unrelated ValueError, such as a store that refuses
        raise
    except refusals as error:
        raise LedgerError(
            f"the Iceberg table {name} cannot take a column: {error}. `open_run` reads it"
        ) from error


def optional(schema: pa.Schema) -> pa.Schema:
    """Make all columns nullable, as they may be null in other runs; drop their metadata."""
    return pa.schema([field.with_nullable(True).remove_metadata() for field in schema])
