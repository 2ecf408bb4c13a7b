"""What a mutation run told, one JSON object a line, written as it comes.

For each room first {"room", "seed", "mutants"}, then for each mutant {"room", "place", "path",
"line", "key", "verdict", "tests", "seconds"}; place is the mutant's in the order of the sample.
Runs that were stopped, or were made on several machines, are put together from their files.
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
class Notes:
    """A file that workers of several threads write to; nothing is written where there is none."""

    path: Path | None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def room(self, name: str, seed: int, mutants: int) -> None:
        """A room is begun."""
        self._write({"room": name, "seed": seed, "mutants": mutants})

    def judged(self, room: str, place: int, one: Judged) -> None:
        """A mutant is judged."""
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
class Told:
    """What files told of one room. verdicts: by place and key; a later file's word counts."""

    seed: int
    mutants: int
    verdicts: dict[tuple[int, str], str] = field(default_factory=dict)

    @property
    def not_noticed(self) -> set[str]:
        """Keys of those that the tests let pass."""
        passed = NOTICED | {NO_CHANGE}
        return {key for (_, key), verdict in self.verdicts.items() if verdict not in passed}

    def score(self, room: str, known: set[str]) -> Score:
        """The figures, dated today. known: keys that behave as the original does."""
        now = datetime.datetime.now(datetime.UTC)
        told = [verdict for (_, key), verdict in self.verdicts.items()
                if key not in known and verdict != NO_CHANGE]  # fmt: skip
        killed = sum(verdict in NOTICED for verdict in told)
        return Score(
            room, f"{now.day} {now:%B %Y}", self.seed, self.mutants, len(told), killed,
            len(self.verdicts) - len(told),
        )  # fmt: skip


def read_told(paths: Iterable[Path]) -> dict[str, Told]:
    """What files tell, by room. Of a room's several seeds the last counts alone."""
    rooms: dict[str, Told] = {}
    for line in _lines(paths):
        if "place" not in line:
            before = rooms.get(line["room"])
            if before is None or before.seed != line["seed"]:
                rooms[line["room"]] = Told(line["seed"], line["mutants"])
            continue
        rooms[line["room"]].verdicts[line["place"], line["key"]] = line["verdict"]
    return rooms


def _lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        for text in path.read_text().splitlines():
            yield json.loads(text)


def passed(mutant: Mutant) -> Judged:
    """A mutant that nobody needs to judge: it behaves as the original does."""
    return Judged(mutant, NO_CHANGE, 0, 0.0)
