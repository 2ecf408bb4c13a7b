"""The mutation run: its changes, their order, the tests that judge them, and the report."""

from pathlib import Path

import pytest

from tests.mutation.__main__ import NO_CHANGE, no_change, stale
from tests.mutation.figures import BEGIN, END, Score, interval, read_scores, write_scores
from tests.mutation.judge import Trace
from tests.mutation.mutate import Mutant, mutants_of
from tests.mutation.order import evenly
from tests.mutation.rooms import ROOMS, ROOT

MODULE = '''"""What it is for."""

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    SIZE = 3

WAIT_S = 20
__all__ = ["area"]


@register(name="one")
def area(width: "int" = 2) -> int:
    """Multiply, at most 9 of them."""
    if width < 3 and ready:
        raise ValueError(f"{width} is not wide")
    note("it has begun", key="value")
    return max(width * width, 0)
'''


def changed(source: str) -> set[tuple[str, str]]:
    return {(mutant.before, mutant.after) for mutant in mutants_of("a.py", source)}


def test_all_changes_of_a_small_module() -> None:
    assert changed(MODULE) == {
        ("2", "4"),
        ("width < 3", "width <= 3"),
        ("3", "6"),
        ("width < 3 and ready", "width < 3 or ready"),
        ("width < 3 and ready", "width < 3"),
        ("width < 3 and ready", "ready"),
        ("raise ValueError(f'{width} is not wide')", "pass"),
        ("note('it has begun', key='value')", "pass"),
        ("note('it has begun', key='value')", "note('it has begun')"),
        ("'value'", "'valueXX'"),
        ("return max(width * width, 0)", "return None"),
        ("max(width * width, 0)", "min(width * width, 0)"),
        ("width * width", "width / width"),
        ("0", "1"),
    }


@pytest.mark.parametrize(
    ("source", "before", "after"),
    [
        ("x = [a for a in b if a if c]", "[a for a in b if a if c]", "[a for a in b if c]"),
        ("try:\n  f()\nexcept (A, B):\n  pass", "(A, B)", "(A,)"),
        ("scale(x_rel, y_rel)", "scale(x_rel, y_rel)", "scale(y_rel, x_rel)"),
        ("x = f'runs/{run}'", "f'runs/{run}'", "f'runs/XX{run}'"),
        ("x = not y", "not y", "y"),
        ("x = -y", "-y", "y"),
        ("x = True", "True", "False"),
        ("x = b'II'", "b'II'", "b'IIXX'"),
        ("self.a = 5", "self.a = 5", "pass"),
        ("total += one", "total += one", "pass"),
        ("for x in y:\n  continue", "continue", "break"),
    ],
)
def test_further_changes(source: str, before: str, after: str) -> None:
    assert (before, after) in changed(source)


@pytest.mark.parametrize(
    "source",
    [
        "x = min(a, b)",  # the order of min's arguments
        "x = cast('int', y)",
        "Name = list[str] | None",
        "x = zip(a, strict=True)",
        "READ_AHEAD = 2",
        "PIECE_ROWS = 5",
        "x = option(None, 'meaning', 'px', placeholder='SIDE')",
        "class A(B, frozen=True):\n    pass",
        "class A(B):\n    _fields_ = (('pad', c_int),)",
    ],
)
def test_what_no_test_could_tell_apart_is_left_alone(source: str) -> None:
    assert changed(source) <= {("min(a, b)", "max(a, b)")}


def test_none_in_place_of_false_is_no_change() -> None:
    assert changed("def f():\n    return False") == {("False", "True")}
    assert ("return 0", "return None") in changed("def f():\n    return 0")


def test_a_mutant_is_the_module_with_one_change() -> None:
    (mutant,) = [m for m in mutants_of("a.py", MODULE) if m.after == "width <= 3"]
    assert mutant.source == MODULE.replace("if width < 3 and", "if (width <= 3) and")
    assert (mutant.where, mutant.line) == ("area", 15)
    assert mutant.key == "a.py | area | width < 3 -> width <= 3"


def test_a_default_belongs_to_where_its_function_is_made() -> None:
    """It is evaluated at import, not during a test."""
    default, *inside = mutants_of("a.py", "def f(x=5):\n    return x + 7")
    assert (default.before, default.where) == ("5", "")
    assert {one.where for one in inside} == {"f"}


def test_places_are_counted_in_bytes() -> None:
    (mutant,) = mutants_of("a.py", "x = 'größer' < 3, 'é é'\n")[:1]
    assert "'größer' <= 3" in mutant.source


def test_each_beginning_of_the_order_is_spread_evenly() -> None:
    order = evenly(range(1000), seed=3)
    assert sorted(order) == [*range(1000)]
    assert order != evenly(range(1000), seed=4)
    for count in (20, 50, 100):
        tenths = [sum(low <= place < low + 100 for place in order[:count])
                  for low in range(0, 1000, 100)]  # fmt: skip
        assert max(tenths) - min(tenths) <= 3, (count, tenths)


def mutant_at(line: int, where: str = "f", last: int = 0) -> Mutant:
    return Mutant("a.py", where, line, last or line, "", "", "", "")


def test_the_tests_that_run_a_line_judge_it_the_quickest_first() -> None:
    trace = Trace()
    trace.add(
        {
            "ran": {"a.py": {"3": ["slow", "quick", ""], "4": ["broken", "quick"], "9": ["other"]}},
            "seconds": {"slow": 2.0, "quick": 0.1, "broken": 0.1, "other": 0.2, "hours": 99.0},
            "failed": ["broken"],
        }
    )
    assert trace.tests_of(mutant_at(3)) == ["quick", "slow"]
    assert trace.tests_of(mutant_at(4)) == ["quick"]
    assert trace.tests_of(mutant_at(3, last=9)) == ["quick", "other", "slow"]
    assert trace.tests_of(mutant_at(5)) == []
    trace.seconds |= {"tests/test_a.py::one": 0.5, "tests/test_ba.py::one": 0.1}
    assert trace.tests_of(mutant_at(5)) == ["tests/test_a.py::one"]
    trace.seconds |= {"tests/test_a_edges.py::two": 0.4, "tests/test_ab.py::one": 0.1}
    assert trace.tests_of(mutant_at(5)) == [
        "tests/test_a_edges.py::two", "tests/test_a.py::one",
    ]  # fmt: skip
    trace.ran["a.py"][3].add("tests/test_a.py::one")
    assert trace.tests_of(mutant_at(3)) == ["tests/test_a.py::one", "quick", "slow"]
    own = "tests/test_a.py::one"
    assert trace.tests_of(mutant_at(1, where="")) == [own, "quick", "other", "slow"]
    trace.seconds["reads a value"] = 0.01
    assert trace.tests_of(mutant_at(1, where=""))[:2] == [own, "reads a value"]
    assert "reads a value" not in trace.tests_of(mutant_at(3))


def test_the_interval_is_wilsons() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, method 3."""
    assert interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_scores_replace_those_of_their_room(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    one = Score("ledger", "26 November 2026", 1, 3000, 100, 80, 2)
    other = Score("s2cnet", "26 November 2026", 1, 1000, 50, 50, 0)
    write_scores(page, [one, other])
    block = write_scores(page, [Score("ledger", "27 November 2026", 2, 3000, 200, 180, 1)])
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith(f"{END}\nafter\n")
    assert read_scores(page.read_text())["s2cnet"] == other
    assert read_scores(page.read_text())["ledger"].seed == 2
    assert "230 of 250 were noticed: 92.0%" in block
    assert "each room counted by its mutants, 92.5%" in block  # (3000 * .9 + 1000) / 4000


def test_the_page_holds_a_table_and_every_room_has_modules() -> None:
    read_scores((ROOT / "docs" / "RELIABILITY.md").read_text())
    for room in ROOMS.values():
        assert room.sources(), room.name
        assert room.test_files(), room.name


def test_mutants_said_to_change_nothing_are_named_and_have_a_reason() -> None:
    lines = NO_CHANGE.read_text().splitlines()
    assert lines[0].startswith("#")
    for key in no_change():
        path, _, change = key.split(" | ", 2)
        assert (ROOT / path).exists(), path
        assert " -> " in change
    groups = [line for line in lines if line.startswith("#")]
    assert len(groups) == len(set(groups)) > 1


def test_a_mutant_that_is_not_made_any_more_is_told() -> None:
    (mutant,) = mutants_of("a.py", "x = not y")
    assert stale({mutant.key, "a.py |  | gone -> away", "b.py |  | gone -> away"}, [mutant]) == [
        "a.py |  | gone -> away"
    ]
