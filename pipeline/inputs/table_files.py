"""Read an untrusted table file: Parquet, CSV or JSON Lines, plain or gzip.

Its values become plain: numbers, booleans, text, dates and times. A column of anything else, except
`boxes`, is left out and named. Sizes are checked before anything is expanded.
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from pipeline.errors import UsageError
from pipeline.inputs.csv_rows import read_csv
from pipeline.inputs.left_out import LeftOut
from pipeline.inputs.list_limits import check_columns, check_row
from pipeline.inputs.plain_types import as_plain
from pipeline.schema import INPUT_BOXES
from pipeline.storage.addresses import bucket_and_key, local_path, s3_spelling, scheme_of
from pipeline.storage.backend import ObjectTooLargeError
from pipeline.storage.store import open_store

PARQUET, CSV, JSON_LINES = (".parquet", ".pq"), (".csv",), (".jsonl", ".ndjson")
GZIP = ".gz"
LIST_ENDS = f"{', '.join((*PARQUET, *CSV, *JSON_LINES))}, each perhaps with {GZIP}"
MAX_LIST_BYTES = 4 << 30
MAX_LIST_ROWS = 50_000_000
MAX_DEPTH = 32  # of lists and objects inside a value of JSON
MAX_TEXT_BYTES = 1 << 20  # of one value of a column that passes through
THRIFT_LIMIT = 64 << 20  # bytes of text, and items of a container, in a Parquet footer
PLAIN = (pt.is_integer, pt.is_floating, pt.is_boolean, pt.is_string, pt.is_large_string,
         pt.is_timestamp, pt.is_date, pt.is_decimal, pt.is_time)  # fmt: skip


def is_table_file(uri: str) -> bool:
    """Return whether an address names a table file, by its ending."""
    return table_format(uri) is not None


def table_format(uri: str) -> str | None:
    """Return the main ending of the file's kind (`.parquet`, `.csv`, `.jsonl`), else None."""
    name = uri.lower().removesuffix(GZIP)
    return next((ends[0] for ends in (PARQUET, CSV, JSON_LINES) if name.endswith(ends)), None)


def read_table_file(uri: str, requester_pays: bool = False) -> tuple[pa.Table, LeftOut]:
    """Read a table file; also return what was left out of it. Raises UsageError.

    requester_pays: as in `open_store`.
    CSV values stay texts, so that "007" stays "007". `boxes` of CSV and JSON Lines is JSON text.
    """
    data = _bytes_of(uri, requester_pays)
    left_out = LeftOut()
    reader = {".parquet": _parquet, ".csv": read_csv}.get(table_format(uri) or "", _json_lines)
    try:
        table = reader(data, left_out)
        _check_names(table.column_names)
    except UsageError as error:
        raise UsageError(f"{uri!r} cannot be read as a list: {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{uri!r} is not text in UTF-8: write it in UTF-8") from error
    except (pa.ArrowException, OSError) as error:  # OSError: Parquet that nests too deeply
        raise UsageError(f"{uri!r} cannot be read as a list: {error}") from error
    if table.num_rows > MAX_LIST_ROWS:
        raise UsageError(
            f"{uri!r} has {table.num_rows:,} rows, at most {MAX_LIST_ROWS:,}: split it"
        )
    return _plain(table, left_out), left_out


def _bytes_of(uri: str, requester_pays: bool) -> bytes:
    if scheme_of(uri) == "file":
        path = Path(local_path(uri)).absolute()
        folder, name = str(path.parent), path.name
    else:  # not cut at the last slash: a key may have folders without a name
        folder, name = bucket_and_key(s3_spelling(uri))
    if not name:
        raise UsageError(f"{uri!r} names a bucket and no list; write s3://bucket/list.csv")
    try:
        store = open_store(folder, requester_pays=requester_pays)
        data = store.read(name, max_bytes=MAX_LIST_BYTES)
    except FileNotFoundError as error:
        raise UsageError(f"the list {uri!r} does not exist") from error
    except ObjectTooLargeError as error:
        raise UsageError(f"the list {uri!r} is too large: {error}; split it") from error
    return _unpacked(uri, data) if uri.lower().endswith(GZIP) else data


def _unpacked(uri: str, data: bytes) -> bytes:
    try:
        with gzip.open(BytesIO(data)) as file:
            whole = file.read(MAX_LIST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"the list {uri!r} is no gzip file: {error}") from error
    if len(whole) > MAX_LIST_BYTES:
        raise UsageError(f"the list {uri!r} has over {MAX_LIST_BYTES} bytes unpacked; split it")
    return whole


def _parquet(data: bytes, left_out: LeftOut) -> pa.Table:
    limits: dict[str, Any] = {
        "thrift_string_size_limit": THRIFT_LIMIT,
        "thrift_container_size_limit": THRIFT_LIMIT,
        "arrow_extensions_enabled": False,
    }
    file = pq.ParquetFile(BytesIO(data), **limits)
    if file.metadata.num_rows > MAX_LIST_ROWS:
        raise UsageError(
            f"it has {file.metadata.num_rows:,} rows, at most {MAX_LIST_ROWS:,}: split it"
        )
    check_columns(len(file.schema))  # leaves: also those of nested columns
    _check_names(file.schema_arrow.names)
    types = {field.name: field.type for field in file.schema_arrow}
    kept = [n for n, kind in types.items() if n == INPUT_BOXES.name or _is_plain(kind)]
    for name in types.keys() - set(kept):
        left_out.columns[name] = f"{types[name]} is no plain value"
    # Dictionary encoding can repeat a long text a million times in a few bytes. So the lengths of
    # the distinct texts, and their sum over all rows, are checked before the column is expanded.
    # Parquet's readers do not check that texts are UTF-8.
    texts = [
        column.name
        for column in file.schema
        if column.physical_type == "BYTE_ARRAY" and column.path == column.name
    ]
    table = pq.ParquetFile(BytesIO(data), read_dictionary=texts, **limits).read(columns=kept)
    for name in set(texts) & set(kept):
        _check_texts(name, table[name])
    return table


def _is_plain(kind: pa.DataType) -> bool:
    if pt.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return pt.is_null(kind) or pt.is_string_view(kind) or any(test(kind) for test in PLAIN)


def _check_texts(name: str, column: pa.ChunkedArray) -> None:
    total = 0
    for chunk in column.chunks:
        try:
            chunk.dictionary.validate(full=True)
        except pa.ArrowInvalid as error:
            problem = f"the column {name!r} has a text that is not UTF-8: {error}"
            raise UsageError(problem) from error
        lengths = pc.fill_null(pc.binary_length(chunk.dictionary), 0)
        if len(lengths) and pc.max(lengths).as_py() > MAX_TEXT_BYTES:
            raise UsageError(
                f"a text in the column {name!r} has over {MAX_TEXT_BYTES:,} bytes: shorten it, or "
                "leave the column out"
            )
        total += pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0
    if total > MAX_LIST_BYTES:
        raise UsageError(
            f"the column {name!r} has {total:,} bytes of text, at most {MAX_LIST_BYTES:,}: split "
            "the list"
        )


def _json_lines(data: bytes, left_out: LeftOut) -> pa.Table:
    """Read one object per line. A column of several types, or of objects, becomes text."""
    names: dict[str, None] = {}
    rows = []
    for row in _json_rows(data, left_out):
        rows.append(row)
        names.update(dict.fromkeys(row))
        check_columns(len(names))
    return pa.table({name: _json_column([row.get(name) for row in rows]) for name in names})


def _json_rows(data: bytes, left_out: LeftOut) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        check_row(len(line), number)
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            value = None
        if isinstance(value, dict) and _is_deep(value):
            left_out.row(f"nest deeper than {MAX_DEPTH}", f"line {number}")
        elif isinstance(value, dict):
            yield value
        else:
            left_out.row("are no JSON object", f"line {number}")


def _is_deep(value: Any, depth: int = 0) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth > MAX_DEPTH or any(_is_deep(one, depth + 1) for one in inner)


def _check_names(names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise UsageError("it names a column twice: rename one")


def _json_column(values: list[Any]) -> pa.Array:
    if not any(isinstance(value, list | dict) for value in values):
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([None if v is None else v if isinstance(v, str) else json.dumps(v)
                     for v in values], pa.string())  # fmt: skip


def _plain(table: pa.Table, left_out: LeftOut) -> pa.Table:
    """Give columns types that every reader knows: no dictionaries, views or untyped nulls."""
    columns: dict[str, Any] = {}
    for field in table.schema:
        if _is_plain(field.type):
            try:
                columns[field.name] = as_plain(table[field.name])
            except pa.ArrowInvalid:
                left_out.columns[field.name] = f"{field.type} with times too far for microseconds"
        elif field.name == INPUT_BOXES.name:
            columns[field.name] = table[field.name]
        else:
            left_out.columns[field.name] = f"{field.type} is no plain value"
    if not columns:
        return table.select([])
    return pa.table(columns)
