"""Hold what was recovered from a damaged file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RecoveredFile:
    """What was recovered from a damaged file.

    data:  a file that decodes.
    rows:  how many rows are intact, from the first on; None: as many as decode alike from `data`
           and `other`.
    other: the same file with another end.
    better: a file with more detail, for use if all rows are intact; empty: there is none.
    """

    data: bytes
    rows: int | None = None
    other: bytes = b""
    better: bytes = b""
