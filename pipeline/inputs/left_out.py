"""Count the rows, files and columns of an input that a run leaves out, for its report."""

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 3  # places that are named for each reason


@dataclass
class LeftOut:
    """What was left out of an input: rows or files by reason, columns by name.

    rows: number by reason, which is a phrase such as "repeat a uri". A folder that is left out with
        all its contents counts as one.
    places: the first few of each reason: row numbers from 1, or addresses.
    columns: reason by name.
    """

    rows: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)

    def row(self, reason: str, place: str) -> None:
        """Note a row, a file or a folder."""
        self.rows[reason] += 1
        shown = self.places.setdefault(reason, [])
        if len(shown) < SHOWN:
            shown.append(place[:200])

    def __bool__(self) -> bool:
        return bool(self.rows or self.columns)

    @property
    def message(self) -> str:
        """A one-line summary for a person."""
        parts = []
        for reason, count in self.rows.most_common():
            more = ", …" if count > len(self.places[reason]) else ""
            parts.append(f"those that {reason}: {count:,} ({', '.join(self.places[reason])}{more})")
        parts += [f"column {name!r}, {reason}" for name, reason in self.columns.items()]
        return "left out of the input: " + "; ".join(parts)
