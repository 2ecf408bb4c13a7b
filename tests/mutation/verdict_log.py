"""The log of a mutation run, one JSON object a line, written as results come.

For each room first {"room", "seed", "mutants"}, then for each mutant {"room", "place", "path",
"line", "key", "verdict", "tests", "seconds"}; place is the mutant's in the order of the sample.
Runs that were stopped, or ran on several machines, are merged from their files.
"""

import datetime
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutation.figures import Score
from tests.mutation.judge import NOTICED, Judged
from tests.mutation.mutate import Mutant

NO_CHANGE = "no change"


@dataclass
class VerdictLog:
    """A log file that several threads write to; without a file nothing is written."""

    path: Path | None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def room(self, name: str, seed: int, mutants: int) -> None:
        """Log that a room is started."""
        self._write({"room": name, "seed": seed, "mutants": mutants})

    def judged(self, room: str, place: int, one: Judged) -> None:
        """Log the verdict on a mutant."""
        mutant = one.mutant
        self._write(
            {
                "room": room, "place": place, "path": mutant.path, "line": mutant.line,
                "key": mutant.key, "verdict": one.verdict, "tests": one.tests,
                "seconds": round(one.seconds, 2),
            }
        )  # fmt: skip

    def _write(self, line: dict[str, Any]) -> None:
        if self.path is None:
            return
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass
class RoomResults:
    """The logged results of one room. verdicts: by place and key; the latest file wins."""

    seed: int
    mutants: int
    verdicts: dict[tuple[int, str], str] = field(default_factory=dict)

    @property
    def not_noticed(self) -> set[str]:
        """Return the keys of mutants that no test noticed."""
        passed = NOTICED | {NO_CHANGE}
        return {key for (_, key), verdict in self.verdicts.items() if verdict not in passed}

    def score(self, room: str, known: set[str]) -> Score:
        """Compute the score, dated today. known: keys of mutants that behave like the original."""
        now = datetime.datetime.now(datetime.UTC)
        counted = [verdict for (_, key), verdict in self.verdicts.items()
                if key not in known and verdict != NO_CHANGE]  # fmt: skip
        killed = sum(verdict in NOTICED for verdict in counted)
        return Score(
            room, f"{now.day} {now:%B %Y}", self.seed, self.mutants, len(counted), killed,
            len(self.verdicts) - len(counted),
        )  # fmt: skip


def read_results(paths: Iterable[Path]) -> dict[str, RoomResults]:
    """Read the logged results by room. If a room has several seeds, only the last counts."""
    rooms: dict[str, RoomResults] = {}
    for line in _lines(paths):
        if "place" not in line:
            before = rooms.get(line["room"])
            if before is None or before.seed != line["seed"]:
                rooms[line["room"]] = RoomResults(line["seed"], line["mutants"])
            continue
        rooms[line["room"]].verdicts[line["place"], line["key"]] = line["verdict"]
    return rooms


def _lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        for text in path.read_text().splitlines():
            yield json.loads(text)


def passed(mutant: Mutant) -> Judged:
    """Make the result of a mutant that needs no test: it behaves like the original."""
    return Judged(mutant, NO_CHANGE, 0, 0.0)
