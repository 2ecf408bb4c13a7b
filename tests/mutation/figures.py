"""The mutation score: a table in docs/RELIABILITY.md that the command updates."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"
ROW = re.compile(
    r"^\| (?P<room>[\w.]+) \| (?P<day>[^|]+) \| (?P<seed>\d+) \| (?P<all>\d+) \| (?P<tried>\d+) "
    r"\| (?P<killed>\d+) \| (?P<same>\d+) \|",
    re.MULTILINE,
)
Z = 1.96  # 95 %


@dataclass(frozen=True)
class Score:
    """How one room's tests did on a sample of its mutants.

    all_mutants: mutants of the room; tried: those of the sample that a test could notice
    same:        those of the sample that a person found to behave like the original
    """

    room: str
    day: str
    seed: int
    all_mutants: int
    tried: int
    killed: int
    same: int

    def row(self) -> str:
        """Format the room's line of the table."""
        share = f"{self.killed / self.tried:.1%}" if self.tried else "-"
        low, high = interval(self.killed, self.tried)
        return (
            f"| {self.room} | {self.day} | {self.seed} | {self.all_mutants} | {self.tried} "
            f"| {self.killed} | {self.same} | {share} ({low:.0%} to {high:.0%}) |"
        )


def interval(hits: int, tries: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share (Wilson 1927)."""
    if not tries:
        return 0.0, 1.0
    share, squared = hits / tries, Z**2 / tries
    middle = (share + squared / 2) / (1 + squared)
    half = Z * (share * (1 - share) / tries + squared / (4 * tries)) ** 0.5 / (1 + squared)
    return middle - half, middle + half


def read_scores(page: str) -> dict[str, Score]:
    """Read the scores in a page."""
    block = page[page.index(BEGIN) : page.index(END)]
    return {
        found["room"]: Score(
            found["room"], found["day"], int(found["seed"]), int(found["all"]),
            int(found["tried"]), int(found["killed"]), int(found["same"]),
        )
        for found in ROW.finditer(block)
    }  # fmt: skip


def table(scores: Mapping[str, Score]) -> str:
    """Format the scores as a table, with a line for all rooms, each weighted by its size."""
    lines = [
        "| room | measured | seed | mutants | tried | noticed | no change | score (95 %) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(scores[room].row() for room in sorted(scores)),
    ]
    known = [score for score in scores.values() if score.tried]
    tried, killed = sum(s.tried for s in known), sum(s.killed for s in known)
    size = sum(score.all_mutants for score in known)
    by_size = sum(score.all_mutants * score.killed / score.tried for score in known)
    low, high = interval(killed, tried)
    if known:
        lines += [
            "",
            f"Over all rooms {killed} of {tried} were noticed: {killed / tried:.1%} ({low:.1%} to "
            f"{high:.1%}); each room counted by its mutants, {by_size / size:.1%}.",
        ]
    return "\n".join(lines)


def write_scores(page: Path, new: Iterable[Score]) -> str:
    """Replace the scores of the same rooms in the page; returns the table."""
    text = page.read_text()
    scores = read_scores(text) | {score.room: score for score in new}
    block = table(scores)
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    page.write_text(f"{before}{BEGIN}\n{block}\n{after}")
    return block
