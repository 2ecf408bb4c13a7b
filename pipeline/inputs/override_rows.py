"""Read a table of overrides row by row, or report which row and column is wrong.

docs/OVERRIDES.md describes the table.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pipeline.errors import SettingError, UsageError
from pipeline.inputs.globs import is_pattern, regex_text
from pipeline.inputs.table_files import LIST_ENDS, is_table_file, read_table_file
from pipeline.schema import EDGES
from pipeline.shapes import Shape, parse_shape
from pipeline.storage.addresses import s3_spelling

ADDRESS, PATTERN = "uri", "pattern"
FOCUS = ("focus_x", "focus_y")
NEVER_CROP, FORGET, RATIO = "never_crop", "forget", "ratio"
COLUMNS = (ADDRESS, PATTERN, *FOCUS, RATIO, *EDGES, NEVER_CROP, FORGET, "note")

# How far a locked box may be from its ratio: two pixels of a side, for boxes drawn by hand and
# rounded, or this share of the ratio.
RATIO_PX, RATIO_SHARE = 2.0, 0.02

# Spreadsheets take 16:9 and 1:1 for times of the day and save 16:09 and 1:01, or 16:09:00.
_TIME = re.compile(r"0*(\d+):0*(\d+)(?::00)?")

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class OverrideRow:
    """The decisions of one row about the photos that it names; None where it decides nothing.

    name:       the address or the pattern as written, but with s3:// for Hadoop's spellings of it.
    is_pattern: whether it is a glob pattern.
    focus_rel:  x and y, shares of the upright photo's sides.
    box_px:     the locked box of the shape `ratio`, xyxy in source pixels of the upright photo.
    """

    name: str
    is_pattern: bool
    focus_rel: tuple[float, float] | None = None
    ratio: str | None = None
    box_px: tuple[float, float, float, float] | None = None
    never_crop: bool | None = None
    forget: bool | None = None


def read_override_rows(uri: str) -> list[OverrideRow]:
    """Read the rows of a table of overrides, in its order.

    The table is Parquet, CSV or JSON Lines, plain or gzip.

    Raises SettingError, naming the first invalid row and column; row 1 is the first below the
    header.
    """
    if not is_table_file(uri):
        raise SettingError("overrides", f"must name a table ({LIST_ENDS}), not {uri!r}")
    try:
        table, left_out = read_table_file(uri)
    except SettingError:
        raise
    except UsageError as error:
        raise SettingError("overrides", f"cannot be read: {error}") from error
    if left_out:  # no decision of a person may be lost
        raise SettingError("overrides", f"table can't be used whole; {left_out.message}")
    names = table.column_names
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            problem = "twice" if name in COLUMNS else f"and knows only {', '.join(COLUMNS)}"
            raise SettingError("overrides", f"table has a column {name!r} {problem}")
    if ADDRESS not in names and PATTERN not in names:
        raise SettingError("overrides", "table needs a column 'uri' or 'pattern'")
    uris_are_plain = PATTERN in names
    return [
        _row(_Cells(number, values), uris_are_plain)
        for number, values in enumerate(_rows(table), start=1)
        if not _is_header(values)
    ]


def _rows(table: Any) -> Iterator[Mapping[str, Any]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _is_header(values: Mapping[str, Any]) -> bool:
    """Return whether a row is the header of a table that was appended to another, as `cat` does.

    The appended file may begin with a byte order mark.
    """
    return all(
        isinstance(value, str) and value.removeprefix("\ufeff") == name
        for name, value in values.items()
    )


@dataclass(frozen=True)
class _Cells:
    """One row of the table, whose values are checked when they are read."""

    number: int
    values: Mapping[str, Any]

    def fail(self, columns: str, problem: str) -> NoReturn:
        raise SettingError("overrides", f"table, row {self.number}, {columns}: {problem}")

    def text(self, column: str) -> str | None:
        value = self.values.get(column)
        return None if value is None or value == "" else str(value)

    def number_of(self, column: str) -> float | None:
        text = self.text(column)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fail(column, f"must be a number, not {text[:40]!r}")
        return value

    def numbers(self, columns: tuple[str, ...]) -> tuple[float, ...] | None:
        """Return the numbers of some columns, or None where all are empty."""
        found = [self.number_of(column) for column in columns]
        given = tuple(value for value in found if value is not None)
        if not given:
            return None
        if len(given) < len(columns):
            missing = columns[found.index(None)]
            self.fail(missing, f"is empty; {', '.join(columns)} belong together")
        return given

    def flag(self, column: str) -> bool | None:
        text = self.text(column)
        if text is None:
            return None
        if text.strip().lower() not in (*_TRUE, *_FALSE):
            self.fail(column, f"must be true or false, not {text[:40]!r}")
        return text.strip().lower() in _TRUE


def _row(cells: _Cells, uris_are_plain: bool) -> OverrideRow:
    name, pattern = cells.text(ADDRESS), cells.text(PATTERN)
    if name is not None and pattern is not None:
        cells.fail(f"{ADDRESS}, {PATTERN}", "give one of the two")
    if name is None and pattern is None:
        cells.fail(f"{ADDRESS}, {PATTERN}" if uris_are_plain else ADDRESS, "is empty")
    globbed = pattern is not None or (not uris_are_plain and is_pattern(name or ""))
    row = OverrideRow(
        name=s3_spelling(pattern or name or ""),
        is_pattern=globbed,
        focus_rel=_focus(cells),
        ratio=cells.text(RATIO),
        box_px=_box(cells),
        never_crop=cells.flag(NEVER_CROP),
        forget=cells.flag(FORGET),
    )
    if globbed:
        try:
            regex_text(row.name)
        except UsageError as error:
            cells.fail(PATTERN if pattern else ADDRESS, str(error))
    if row.ratio is not None or row.box_px is not None:
        row = _with_shape(cells, row)
    if row.never_crop and row.focus_rel is not None:
        cells.fail(f"{NEVER_CROP}, {FOCUS[0]}", "a photo that is never cropped has no focus")
    decisions = (row.focus_rel, row.box_px, row.never_crop, row.forget)
    if all(one is None for one in decisions):
        cells.fail(f"{FOCUS[0]} … {FORGET}", "all are empty, so that the row says nothing")
    return row


def _focus(cells: _Cells) -> tuple[float, float] | None:
    found = cells.numbers(FOCUS)
    if found is None:
        return None
    for column, value in zip(FOCUS, found, strict=True):
        if not 0 <= value <= 1:
            cells.fail(column, f"must be 0 to 1, a share of the photo's side, not {value:g}")
    return found[0], found[1]


def _box(cells: _Cells) -> tuple[float, float, float, float] | None:
    found = cells.numbers(EDGES)
    if found is None:
        return None
    x0, y0, x1, y1 = found
    for column, value in zip(EDGES, found, strict=True):
        if value < 0:
            cells.fail(column, f"must be 0 or more, not {value:g}")
    for low, high, first, second in (("x0", "x1", x0, x1), ("y0", "y1", y0, y1)):
        if not second - first >= 1:
            cells.fail(f"{low}, {high}", f"the box has no pixel: {first:g} to {second:g}")
    return x0, y0, x1, y1


def _with_shape(cells: _Cells, row: OverrideRow) -> OverrideRow:
    """Name a row's ratio as `--ratios` does, after checking that its box has that ratio."""
    if row.ratio is None:
        cells.fail(RATIO, "is empty; say for which shape the box is")
    if row.box_px is None:
        cells.fail(RATIO, "says for which shape a box is, and the row has no box")
    try:
        time = _TIME.fullmatch(row.ratio)
        shape = parse_shape(f"{time[1]}:{time[2]}" if time else row.ratio)
    except UsageError as error:
        cells.fail(RATIO, str(error))
    x0, y0, x1, y1 = row.box_px
    if not _has_ratio(shape, x1 - x0, y1 - y0):
        cells.fail("x0, y0, x1, y1", f"{x1 - x0:g} × {y1 - y0:g} is not {shape.name}")
    return OverrideRow(
        row.name, row.is_pattern, row.focus_rel, shape.name, row.box_px, row.never_crop, row.forget
    )


def _has_ratio(shape: Shape, width: float, height: float) -> bool:
    if shape.ratio is None:
        return True
    error_px = abs(width - height * shape.ratio) / max(1.0, shape.ratio)
    return error_px <= RATIO_PX or abs(width / height / shape.ratio - 1) <= RATIO_SHARE
