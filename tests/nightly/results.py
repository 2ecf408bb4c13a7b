"""The result of each part of a nightly run, and their tables in docs/RELIABILITY.md."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- nightly: begin -->", "<!-- nightly: end -->"
SKIPPED = "skipped"
ROW = re.compile(r"^\| (?P<name>\w[\w-]*) \| .*$", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """The result of one part.

    ending:  "passed", "failed", "not finished", or SKIPPED if no test could run here
    counts:  tests by outcome, in words; "" for a command that runs no tests
    figures: figures that tests have reported, by the name of the test
    """

    name: str
    command: str
    day: str
    minutes: float
    ending: str
    counts: str
    figures: tuple[tuple[str, str], ...] = ()

    def row(self) -> str:
        """Format the part's line of the table."""
        reported = "; ".join(f"{test}: {figures}" for test, figures in self.figures)
        what = ", ".join(word for word in (self.ending, self.counts) if word)
        command = self.command.replace("|", "\\|")
        return (
            f"| {self.name} | {self.day} | {what} | {self.minutes:.1f} | `{command}` "
            f"| {reported.replace('|', '/')} |"
        )


def read_report(path: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Read counts and figures from pytest's JUnit report; empty if there is none."""
    if not path.exists():
        return "", ()
    cases = list(ET.parse(path).getroot().iter("testcase"))
    outcome = {"failure": "failed", "error": "failed", "skipped": "skipped"}
    found: dict[str, int] = {}
    figures = []
    for case in cases:
        tags = [outcome[child.tag] for child in case if child.tag in outcome]
        word = tags[0] if tags else "passed"
        found[word] = found.get(word, 0) + 1
        for entry in case.iter("property"):
            if entry.get("name") == "figures":
                figures.append((str(case.get("name")), str(entry.get("value"))))
    counts = ", ".join(f"{count} {word}" for word, count in sorted(found.items()))
    return counts, tuple(figures)


def write_results(page: Path, new: Iterable[Result]) -> str:
    """Replace the results of the same parts in the page; returns the table.

    A part that was skipped keeps its last result: nothing was tested.
    """
    text = page.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    rows = {found["name"]: found[0] for found in ROW.finditer(text[len(before) : -len(after)])}
    rows.pop("part", None)
    rows |= {result.name: result.row() for result in new if result.ending != SKIPPED}
    lines = [
        "| part | last run | result | minutes | command | figures |",
        "| --- | --- | --- | --- | --- | --- |",
        *(rows[name] for name in sorted(rows)),
    ]
    table = "\n".join(lines)
    page.write_text(f"{before}{BEGIN}\n{table}\n{after}")
    return table
