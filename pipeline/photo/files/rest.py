"""Hold what is left of a damaged file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rest:
    """What is left of a damaged file.

    data:  a file that decodes.
    rows:  of its picture that are there, from the first on; None: as many as decode alike from
           `data` and `other`.
    other: the same with another end.
    better: a file with more detail, where all rows are there; empty: there is none.
    """

    data: bytes
    rows: int | None = None
    other: bytes = b""
    better: bytes = b""
