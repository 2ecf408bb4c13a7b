"""Check, encode and read back a task's tables before they are written; read stored ones."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import schema
from pipeline.errors import LedgerError, RecordError, UsageError
from pipeline.ledger.pictures import FOOTER
from pipeline.ledger.records import DataFile
from pipeline.ledger.replaced import RESTORE, read_object
from pipeline.storage.object_parts import ObjectParts, Span
from pipeline.storage.store import Store
from pipeline.words import counted

MICROSECONDS = 1_000_000
ROW_GROUP_ROWS = 100  # a reader that wants one image fetches about this many rows
TABLES = {
    "images": schema.IMAGES,
    "crops": schema.CROPS,
    "candidates": schema.CANDIDATES,
    "previews": schema.PREVIEWS,
    "crop_files": schema.CROP_FILES,
}
UNREADABLE = (pa.ArrowException, OSError)  # what Arrow raises for a damaged Parquet file
T = TypeVar("T")
OPTIONAL_TABLES = "candidates, previews and crop_files"


def check_tables(tables: Mapping[str, pa.Table], inputs: pa.Table) -> None:
    """Raise LedgerError unless the tables are those of a task with these input rows.

    `images` must have one row per input row, in order; the others may only have rows of these
    photos.
    """
    if "images" not in tables or "crops" not in tables or set(tables) - set(TABLES):
        raise LedgerError(
            f"a task has images, crops and maybe {OPTIONAL_TABLES}, not {sorted(tables)}"
        )
    for name, table in tables.items():
        missing = [f for f in TABLES[name] if f.name not in table.schema.names]
        wrong = [
            f
            for f in TABLES[name]
            if f not in missing and table.schema.field(f.name).type != f.type
        ]
        if missing or wrong:
            names = ", ".join(f"{f.name}: {f.type}" for f in missing + wrong)
            raise LedgerError(f"the table {name} must have {names}")
    expected, found = inputs["image_id"].to_pylist(), tables["images"]["image_id"].to_pylist()
    if expected != found:
        missing_ids, extra_ids = sorted({*expected} - {*found}), sorted({*found} - {*expected})
        raise LedgerError(
            f"a task with {counted(len(expected), 'photo')} gave {counted(len(found), 'row')} of "
            "`images`, or others, "
            f"or in another order: missing {missing_ids[:3]}, extra {extra_ids[:3]}"
        )
    for name in set(tables) - {"images"}:
        strangers = {*tables[name]["image_id"].to_pylist()} - {*expected}
        if strangers:
            raise LedgerError(f"the table {name} has rows of photos of another task: {strangers}")


def with_provenance(table: pa.Table, run_id: str, weights_sha256: str, at_s: float) -> pa.Table:
    """Fill in a table's columns of `schema.PROVENANCE`; at_s: Unix time."""
    values = (run_id, int(at_s * MICROSECONDS), weights_sha256[: schema.WEIGHTS_DIGITS])
    for field, value in zip(schema.PROVENANCE, values, strict=True):
        column = pa.repeat(pa.scalar(value, field.type), len(table))
        table = table.set_column(table.schema.get_field_index(field.name), field, column)
    return table


def encode_table(table: pa.Table, footer: Mapping[str, Any]) -> bytes:
    """Encode a table as a Parquet file (zstd); read it back and compare size, ids and schema.

    footer: goes into the file's metadata under "s2cnet", as JSON. Raises LedgerError.
    """
    metadata = {"s2cnet": json.dumps(footer, sort_keys=True)}
    if "image" in table.column_names:
        metadata["huggingface"] = FOOTER
    table = table.replace_schema_metadata(metadata)
    # A task has few rows: encoding without dictionaries takes a third less time and fewer bytes.
    data = parquet_bytes(table, ROW_GROUP_ROWS, dictionaries=False)
    again = decode_table(data, threads=False)
    if again.schema != table.schema or not again["image_id"].equals(table["image_id"]):
        raise LedgerError("a Parquet file read back differently from what was written")
    return data


def parquet_bytes(
    table: pa.Table, row_group_rows: int | None = None, dictionaries: bool = True
) -> bytes:
    """Encode a table as a Parquet file in memory, compressed with zstd."""
    sink = BytesIO()  # returns its bytes without a copy, and grows by an eighth, not twofold
    about = {"row_group_size": row_group_rows, "use_dictionary": dictionaries}
    pq.write_table(table, sink, compression="zstd", **about)
    return sink.getvalue()


def decode_table(data: bytes, columns: list[str] | None = None, threads: bool = True) -> pa.Table:
    """Decode a Parquet file. Raises LedgerError for one that is not whole."""
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read(columns, use_threads=threads)
    except UNREADABLE as error:
        raise LedgerError(f"a Parquet file of a run cannot be read: {error}") from error


def read_columns(store: Store, key: str) -> pa.Schema:
    """Read the schema of a data file of a committed run, from its end. Raises RecordError."""
    return _read_parts(store, key, pq.read_schema)


def columns_of_files(store: Store, files: Sequence[DataFile]) -> pa.Schema:
    """Read the schema of one table of a run from its first file; empty where there is no file.

    Raises RecordError.
    """
    return read_columns(store, files[0].key) if files else pa.schema([])


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy if it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def read_table(store: Store, key: str, columns: list[str] | None = None) -> pa.Table:
    """Read a data file of a committed run. Raises RecordError where it is gone or unusable.

    columns: those to read, including `image_id`; None for all. Of the others, only what lies
        between is fetched, where that saves requests.
    """
    if columns is None or "image" in columns:  # pictures are nearly all of a file
        data = read_object(store, key)
        try:
            table = decode_table(data, columns)
        except LedgerError as error:
            raise RecordError(key, str(error), RESTORE) from error
    else:
        table = _read_parts(store, key, partial(_some_columns, columns))
    if "image_id" not in table.column_names:
        raise RecordError(key, "it is a table of something else", RESTORE)
    return table


def _read_parts(store: Store, key: str, read: Callable[[ObjectParts | BytesIO], T]) -> T:
    """Let a function read a data file in parts, or what replaced it. Raises RecordError."""
    try:
        try:
            return read(ObjectParts(store, key))
        except FileNotFoundError:  # it was rewritten, perhaps since its first part was read
            return read(BytesIO(read_object(store, key)))
    except (UsageError, LedgerError):  # of the store: some are OSErrors too
        raise
    except UNREADABLE as error:
        problem = f"a Parquet file of a run cannot be read: {error}"
        raise RecordError(key, problem, RESTORE) from error


def _some_columns(columns: list[str], file: ObjectParts | BytesIO) -> pa.Table:
    parquet = pq.ParquetFile(file)
    if isinstance(file, ObjectParts):
        file.fetch(_spans(parquet.metadata, columns))
    return parquet.read(columns)


def _spans(metadata: pq.FileMetaData, columns: list[str]) -> Iterator[Span]:
    """Yield where the columns are in a Parquet file, one span for each in each row group."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if any(f"{chunk.path_in_schema}.".startswith(f"{name}.") for name in columns):
                first = chunk.data_page_offset
                if chunk.has_dictionary_page:
                    first = min(first, chunk.dictionary_page_offset)
                yield first, first + chunk.total_compressed_size
