"""The nightly run: its parts fit into the time, and its results are written into the page."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.mutation.rooms import ROOMS
from tests.nightly.__main__ import ROOT, rooms_of, run_part
from tests.nightly.parts import PARTS, Part
from tests.nightly.results import BEGIN, END, Result, read_report, write_results

REPORT = """<testsuites><testsuite>
<testcase name="test_a"><properties><property name="figures" value="5 runs, 9 kills"/></properties>
</testcase>
<testcase name="test_b"><failure message="no">no</failure></testcase>
<testcase name="test_c"><skipped message="not here"/></testcase>
<testcase name="test_d"/>
</testsuite></testsuites>"""


def test_the_parts_fit_into_eighty_minutes() -> None:
    assert sum(part.minutes for part in PARTS.values()) < 80


def test_every_room_has_its_turn() -> None:
    nights = [rooms_of(seed) for seed in range(len(ROOMS))]
    assert {room for night in nights for room in night} == set(ROOMS)
    assert all(one != other for one, other in nights)


def test_every_file_and_every_variable_that_a_part_names_is_there() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for part in PARTS.values():
        for word in part.words:
            path = word.removeprefix("--ignore=")
            assert not path.startswith("tests/") or (ROOT / path).exists(), path
        for name in part.environment:
            assert f'environ.get("{name}"' in sources, name


def test_every_chaos_test_has_a_part() -> None:
    chaos = {path.name for path in (ROOT / "tests" / "chaos").glob("test_*.py")}
    named = {Path(word).name for part in PARTS.values() for word in part.words}
    assert chaos - named == {"test_rgw.py"}, "it needs a download, see its first lines"


def test_a_report_is_counted_and_its_figures_are_read(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    counts, figures = read_report(tmp_path / "report.xml")
    assert counts == "1 failed, 2 passed, 1 skipped"
    assert figures == (("test_a", "5 runs, 9 kills"),)
    assert read_report(tmp_path / "none.xml") == ("", ())


def test_results_replace_those_of_their_part(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{BEGIN}\n{END}\nrest\n")
    one = Result("slow", "python -m pytest", "1 May 2026", 3.2, "passed", "5 passed")
    other = Result("ledger", "python -m pytest a|b", "1 May 2026", 1.0, "failed", "", (("t", "x"),))
    write_results(page, [one, other])
    write_results(page, [Result("ledger", "python", "3 May 2026", 0.1, "skipped", "3 skipped")])
    write_results(page, [Result("slow", "python -m pytest", "2 May 2026", 4, "not finished", "")])
    text = page.read_text()
    assert text.startswith("# Page\n")
    assert text.endswith(f"{END}\nrest\n")
    assert "| slow | 2 May 2026 | not finished | 4.0 | `python -m pytest` |  |" in text
    assert "1 May 2026 | failed | 1.0 | `python -m pytest a\\|b` | t: x |" in text
    assert len(re.findall(r"^\| slow ", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^\| ---", text, re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("words", "minutes", "ending"),
    [
        (("this",), 1, "passed"),
        (("no.such.module",), 1, "failed"),
        (("http.server", "--bind=127.0.0.1", "0"), 0.02, "not finished"),
    ],
)
def test_a_command_ends_in_one_of_three_ways(
    words: tuple[str, ...], minutes: float, ending: str, tmp_path: Path
) -> None:
    result = run_part(Part("one", minutes, words), tmp_path, seed=1)
    assert (result.ending, result.counts) == (ending, "")


@pytest.mark.parametrize(
    ("tests", "ending", "counts"),
    [(1, "passed", "1 passed, 1 skipped"), (0, "skipped", "1 skipped")],
)
def test_a_part_of_which_no_test_could_run_has_not_passed(
    tests: int, ending: str, counts: str, tmp_path: Path
) -> None:
    """Such as those that need a program which is not installed."""
    source = "import pytest\ndef test_a():\n    pytest.skip('needs bwrap')\n"
    (tmp_path / "test_it.py").write_text(source + "def test_b(): pass\n" * tests)
    words = ("pytest", "-q", str(tmp_path / "test_it.py"))
    result = run_part(Part("one", 1, words), tmp_path, seed=1)
    assert (result.ending, result.counts) == (ending, counts)


# Runs one part, a server.
NIGHT = """
import sys
from tests.nightly import __main__ as nightly
from tests.nightly.parts import Part

nightly.PARTS.clear()
nightly.PARTS["one"] = Part("one", 1, ("http.server", "--bind=127.0.0.1", "0"))
sys.argv = ["nightly"]
sys.exit(nightly.main())
"""


def test_a_nightly_run_that_is_told_to_end_ends_its_part() -> None:
    """Parts have a session of their own: no signal to the run's group reaches them."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", NIGHT]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert any(line.startswith(b"Serving HTTP") for line in run.stdout)
        (part,) = psutil.Process(run.pid).children()
        run.terminate()
        try:
            assert run.wait(60) == 128 + signal.SIGTERM
            assert not part.is_running()
        finally:
            with suppress(psutil.NoSuchProcess):
                part.kill()
