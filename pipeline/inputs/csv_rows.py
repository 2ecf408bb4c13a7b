"""Read the rows of a CSV list, and name the line of a row that cannot be read.

The rows are those of Arrow's parser: a field may be quoted, a quote inside it is doubled, and a
quoted field may contain line breaks.
"""

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.csv

from pipeline.errors import UsageError
from pipeline.inputs import list_limits
from pipeline.inputs.left_out import LeftOut

# A field and what ends it. Group "closed" is empty where a quoted field has no closing quote.
_FIELD = re.compile(rb'(?:"[^"]*(?:""[^"]*)*(?P<closed>"?))?[^,\r\n]*(?P<end>,|\r\n|\r|\n|\Z)')
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_BEFORE_A_FIELD = b',\r\n"'  # the last is for a field whose last quote is a doubled one


def read_csv(data: bytes, left_out: LeftOut) -> pa.Table:
    """Read the rows of a CSV file as texts; rows with another number of fields are left out.

    Raises UsageError for a quote that is not closed, for columns that no commas separate and for a
    row or columns beyond the limits, UnicodeDecodeError for text that is not UTF-8, and
    ArrowInvalid.
    """
    if not data.strip():
        return pa.table({})
    _refuse_open_quote(data)

    def skip(row: Any) -> str:
        short = f"have not {row.expected_columns} fields as the header has"
        left_out.row(short, f"line {row.number or '?'}")
        return "skip"

    # Arrow reads no row that is longer than a block. Without threads rows are numbered.
    blocks = pa.csv.ReadOptions(use_threads=False, block_size=list_limits.MAX_ROW_BYTES)
    ignore = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip")
    tell = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)
    try:
        names = pa.csv.open_csv(BytesIO(data), blocks, ignore).schema.names
        _refuse_other_separator(names)
        list_limits.check_columns(len(names))
        as_texts = pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=True,
            null_values=[""],
        )  # fmt: skip
        return pa.csv.read_csv(BytesIO(data), blocks, tell, as_texts)
    except pa.ArrowInvalid:
        _refuse_long_row(data)
        data.decode()
        raise


def _refuse_other_separator(names: Sequence[str]) -> None:
    """Raise UsageError for a header of one name with a semicolon or a tab.

    Spreadsheets save such files where the decimal sign is a comma.
    """
    found = [mark for mark in OTHER_SEPARATORS if mark in names[0]]
    if len(names) == 1 and found:
        raise UsageError(
            f"its header {names[0]!r} is a single column: save it with commas between the "
            f"columns, not {OTHER_SEPARATORS[found[0]]}, and with points in numbers"
        )


def _refuse_open_quote(data: bytes) -> None:
    """Raise UsageError if a field is quoted and its closing quote is missing.

    Arrow would take all rows after that quote for one value. The fields are only read where this
    is possible: an odd number of quotes, the last of them where a field may begin.
    """
    last = data.rfind(b'"')
    if data.count(b'"') % 2 == 0 or (last > 0 and data[last - 1] not in _BEFORE_A_FIELD):
        return
    for field in _FIELD.finditer(data):
        if field["closed"] == b"":
            line = 1 + data.count(b"\n", 0, field.start())
            raise UsageError(f"the quote that begins in line {line} is not closed: close it")


def _refuse_long_row(data: bytes) -> None:
    """Raise UsageError for the first row that is too long, if there is one."""
    start = 0
    for field in _FIELD.finditer(data):
        if field["end"] != b",":
            size = field.end() - start
            if size > list_limits.MAX_ROW_BYTES:
                list_limits.check_row(size, 1 + data.count(b"\n", 0, start))
            start = field.end()
