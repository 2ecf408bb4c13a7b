"""Read input lists, Parquet or CSV. They are untrusted files, read with a fixed schema.

Columns of ours:  uri (required), etag, bytes, boxes (list of [x0, y0, x1, y1], source pixels;
                  in CSV as JSON text). Every other column passes through to `images`.
Refused: values that are not plain (nested, binary, pickled extension types) and names that `images`
or `crops` already use. File metadata is dropped. Sizes are limited.
"""

import json
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pyarrow.types as pt

from pipeline.errors import UsageError
from pipeline.schema import CROPS, IMAGES, INPUT_BOXES, INPUTS
from pipeline.storage.addresses import local_path, refuse_credentials, scheme_of
from pipeline.storage.backend import ObjectTooLargeError
from pipeline.storage.store import open_store

SUFFIXES = (".parquet", ".csv")
MAX_LIST_BYTES = 4 << 30
MAX_LIST_ROWS = 50_000_000
MAX_URI_CHARACTERS = 4096
MAX_TEXT_BYTES = 1 << 20  # of one value of a column that passes through
THRIFT_LIMIT = 64 << 20  # bytes of text, and items of a container, in a Parquet footer
RESERVED = {*IMAGES.names, *CROPS.names, "image_id", "run_id", "task"} - {"uri", "etag", "bytes"}
PLAIN = (pt.is_integer, pt.is_floating, pt.is_boolean, pt.is_string, pt.is_large_string,
         pt.is_timestamp, pt.is_date)  # fmt: skip


def is_list(uri: str) -> bool:
    """Whether an input address names a list rather than photos."""
    return uri.lower().endswith(SUFFIXES)


def read_list(uri: str, named: Collection[str] = ()) -> pa.Table:
    """Read the rows of a list: uri, etag, bytes, `boxes` where given, pass-through columns.

    named: columns that a setting names, so that they may have names of ours.

    Raises UsageError, saying which column or row and what is expected.
    """
    table = _fixed(read_table_file(uri), named)
    _check_uris(table["uri"].to_pylist(), local_list=scheme_of(uri) == "file")
    return table


def read_table_file(uri: str) -> pa.Table:
    """Read a Parquet or CSV file whose columns are plain, but for `boxes`; CSV gives texts.

    Raises UsageError.
    """
    data = _bytes_of(uri)
    try:
        table = _parquet(data) if uri.lower().endswith(".parquet") else _csv(data)
    except pa.ArrowException as error:
        raise UsageError(f"{uri!r} cannot be read as a list: {error}") from error
    if table.num_rows > MAX_LIST_ROWS:
        raise UsageError(f"{uri!r} has {table.num_rows} rows, at most {MAX_LIST_ROWS}: split it")
    return table


def _bytes_of(uri: str) -> bytes:
    folder, _, name = uri.rpartition("/")
    if scheme_of(uri) == "file":
        path = Path(local_path(uri)).absolute()
        folder, name = str(path.parent), path.name
    try:
        return open_store(folder).read(name, max_bytes=MAX_LIST_BYTES)
    except FileNotFoundError as error:
        raise UsageError(f"the list {uri!r} does not exist") from error
    except ObjectTooLargeError as error:
        raise UsageError(f"the list {uri!r} is too large: {error}; split it") from error


def _parquet(data: bytes) -> pa.Table:
    limits: dict[str, Any] = {
        "thrift_string_size_limit": THRIFT_LIMIT,
        "thrift_container_size_limit": THRIFT_LIMIT,
        "arrow_extensions_enabled": False,
    }
    file = pq.ParquetFile(BytesIO(data), **limits)
    if file.metadata.num_rows > MAX_LIST_ROWS:
        raise UsageError(f"the list has {file.metadata.num_rows} rows, at most {MAX_LIST_ROWS}")
    for field in file.schema_arrow:
        _check_type(field)  # before a value is decoded
    # Dictionary encoding can say a long text a million times in a few bytes. So the lengths of the
    # distinct texts, and their sum over all rows, are checked before the column is expanded.
    texts = [
        f.name for f in file.schema_arrow if pt.is_string(f.type) or pt.is_large_string(f.type)
    ]
    table = pq.ParquetFile(BytesIO(data), read_dictionary=texts, **limits).read()
    for name in texts:
        _check_lengths(table[name])
    return table.cast(pa.schema([field.remove_metadata() for field in file.schema_arrow]))


def _check_lengths(column: pa.ChunkedArray) -> None:
    total = 0
    for chunk in column.chunks:
        lengths = pc.fill_null(pc.binary_length(chunk.dictionary), 0)
        if len(lengths) and pc.max(lengths).as_py() > MAX_TEXT_BYTES:
            raise UsageError(f"a text of the list has more than {MAX_TEXT_BYTES} bytes")
        total += pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0
    if total > MAX_LIST_BYTES:
        raise UsageError(
            f"a column of the list has {total} bytes of text, at most {MAX_LIST_BYTES}"
        )


def _csv(data: bytes) -> pa.Table:
    """Read a CSV list; all columns are text, so that "007" stays "007"."""
    names = pa.csv.open_csv(BytesIO(data)).schema.names
    table = pa.csv.read_csv(
        BytesIO(data),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=True,
            null_values=[""],
        ),
    )  # fmt: skip
    if "boxes" not in table.column_names:
        return table
    try:
        boxes = [json.loads(text) if text else None for text in table["boxes"].to_pylist()]
        column = pa.array(boxes, INPUT_BOXES.type)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise UsageError(f"column 'boxes' must be JSON like [[x0, y0, x1, y1]]: {error}") from error
    return table.set_column(table.schema.get_field_index("boxes"), INPUT_BOXES, column)


def _fixed(table: pa.Table, named: Collection[str]) -> pa.Table:
    names = table.column_names
    for name in names:
        if name in RESERVED - {"image_id", "boxes", *named}:
            raise UsageError(f"the column {name!r} would collide with ours; rename it")
    if len(set(names)) != len(names):
        raise UsageError("the list names a column twice")
    if "uri" not in names:
        raise UsageError(f"the list needs a column 'uri'; it has {', '.join(names) or 'none'}")
    columns, fields = [], []
    for field in (INPUTS.field("uri"), INPUTS.field("etag"), INPUTS.field("bytes")):
        column = table[field.name] if field.name in names else pa.nulls(len(table), field.type)
        columns.append(_cast(column, field))
        fields.append(field)
    if "boxes" in names:
        columns.append(_cast(table["boxes"], INPUT_BOXES))
        fields.append(INPUT_BOXES)
    for field in table.schema:
        if field.name in ("uri", "etag", "bytes", "boxes", "image_id"):
            continue
        columns.append(table[field.name])
        fields.append(pa.field(field.name, field.type))
    if columns[0].null_count:
        raise UsageError(f"{columns[0].null_count} rows of the list have no uri")
    return pa.table(columns, schema=pa.schema(fields))


def _check_type(field: pa.Field) -> None:
    if field.name == "boxes":
        return  # cast to its one type later
    if not any(is_plain(field.type) for is_plain in PLAIN):
        raise UsageError(
            f"the column {field.name!r} is {field.type}; a list may hold numbers, booleans, text, "
            "dates and times"
        )


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise UsageError(f"the column {field.name!r} must be {field.type}: {error}") from error


def _check_uris(uris: list[str], local_list: bool) -> None:
    for row, uri in enumerate(uris):
        if not uri or len(uri) > MAX_URI_CHARACTERS:
            raise UsageError(
                f"row {row} of the list: a uri has 1 to {MAX_URI_CHARACTERS} characters"
            )
        if scheme_of(uri) == "file" and not local_list:
            raise UsageError(
                f"row {row} of the list names a local file ({uri[:100]!r}); only a local list "
                "may, or a list in a bucket could read this machine's files"
            )
        refuse_credentials(uri)
