"""Limits of lists that several formats share, and their messages, which follow a list's name."""

from pipeline.errors import UsageError

MAX_COLUMNS = 1000
MAX_ROW_BYTES = 16 << 20  # of CSV or JSON Lines


def check_columns(count: int) -> None:
    """Raise UsageError for a list with too many columns."""
    if count > MAX_COLUMNS:
        raise UsageError(f"it has {count:,} columns, at most {MAX_COLUMNS:,}: leave some out")


def check_row(size: int, line: int) -> None:
    """Raise UsageError for a row that is too long. size: bytes. line: where it begins, from 1."""
    if size > MAX_ROW_BYTES:
        raise UsageError(
            f"the row in line {line} has over {MAX_ROW_BYTES:,} bytes: leave long columns out"
        )
