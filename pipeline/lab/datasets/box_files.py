"""Read numbers and boxes from a data set's files, with errors that name file, line or row."""

import csv
import io
import reprlib
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.boxes import Boxes
from pipeline.errors import UsageError
from pipeline.lab.datasets.layout import read_text

BOX_COLUMNS = ("x0", "y0", "x1", "y1")
YXYX = [1, 0, 3, 2]
"""Column order that turns y1 x1 y2 x2 into x1 y1 x2 y2, and back."""


def read_numbers(path: Path, columns: str, optional: str = "") -> NDArray[np.float64]:
    """Read lines of blank- or comma-separated numbers, [lines, columns]; skip empty lines.

    columns: their names, for the error, e.g. "y1 x1 y2 x2 MOS"; `optional` columns may follow on
    every line and are not returned. Raises UsageError with file and line.
    """
    wanted = len(columns.split())
    allowed = {wanted, wanted + len(optional.split())}
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        values = [_number(word) for word in words]
        if len(values) not in allowed or not np.isfinite(values).all():
            raise UsageError(f"{path}:{number}: expected `{columns}`, got `{line.strip()}`")
        rows.append(values[:wanted])
    return np.array(rows, np.float64).reshape(len(rows), wanted)


def box_rows(path: Path, *more: str) -> Iterator[tuple[dict[str, str], Boxes]]:
    """Yield the rows of a CSV with photo, x0, y0, x1, y1 and `more`, each with its box [1, 4].

    Blanks around names and values are ignored. Raises UsageError with file and line where a column
    is missing or a box is invalid.
    """
    (_, header), *rows = _csv_lines(path) or [(1, [])]
    columns = [name.strip() for name in header]
    wanted = ("photo", *BOX_COLUMNS, *more)
    if missing := set(wanted) - set(columns):
        found = ", ".join(columns) or "nothing"
        raise UsageError(
            f"{path} has no column {', '.join(sorted(missing))}; it has {found}; columns are "
            "separated by commas"
        )
    for line, values in rows:
        if not values:
            continue
        where = f"{path}:{line}"
        row = dict(zip(columns, (value.strip() for value in values), strict=False))
        if empty := [name for name in wanted if not row.get(name)]:
            raise UsageError(f"{where}: no {empty[0]}")
        numbers = [_number(row[name]) for name in BOX_COLUMNS]
        for name, number in zip(BOX_COLUMNS, numbers, strict=True):
            if not isfinite(number):
                raise UsageError(f"{where}: {name} is {row[name]!r}: give finite numbers")
        yield row, boxes([numbers], where)


def _csv_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Read the values of every row with the number of its last line. Raises UsageError."""
    rows = csv.reader(io.StringIO(read_text(path)), skipinitialspace=True)
    try:
        return [(rows.line_num, values) for values in rows]
    except csv.Error as error:  # an open quotation mark takes in all that follows
        raise UsageError(
            f"{path} is no CSV: {error}; is there a quotation mark that is not closed?"
        ) from None


def boxes(values: Sequence[Sequence[float]] | NDArray[np.float64], where: str) -> Boxes:
    """Convert xyxy rows to float32 [N, 4].

    Raises UsageError where a row has more or fewer numbers, or a box has no area or an edge that is
    not a finite number.
    """
    rows = finite(values, where)
    rows = rows.reshape(0, 4) if rows.shape == (0,) else rows
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise UsageError(f"{where}: expected boxes of four numbers, x0 y0 x1 y1")
    if (rows[:, :2] >= rows[:, 2:]).any():
        wrong = rows[(rows[:, :2] >= rows[:, 2:]).any(1)][0].tolist()
        raise UsageError(f"{where}: {wrong} as x0 y0 x1 y1 has no area; is the order another?")
    return rows.astype(np.float32)


def finite(values: ArrayLike, where: str) -> NDArray[np.float64]:
    """Convert numbers, in rows or single. Raises UsageError, with the row, where one is not finite.

    It is also raised for values that are not numbers, and for rows of different lengths.
    """
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):  # Python's own message describes its types
        shown = reprlib.repr(values)
        raise UsageError(f"{where}: {shown} has to be numbers, as many in each row") from None
    if not np.isfinite(numbers).all():
        rows = enumerate(np.atleast_1d(numbers))
        place, row = next((place, row) for place, row in rows if not np.isfinite(row).all())
        raise UsageError(f"{where}: row {place}: {row.tolist()} has to be finite numbers")
    return numbers


def published_boxes(path: Path) -> Boxes | None:
    """Read a published box file, `y1 x1 y2 x2` a line, as xyxy; None where there is no file."""
    if not path.is_file():
        return None
    return boxes(read_numbers(path, "y1 x1 y2 x2")[:, YXYX], str(path))


def _number(word: str) -> float:
    """Parse a number; nan for a word that is not one."""
    try:
        return float(word)
    except ValueError:
        return float("nan")
