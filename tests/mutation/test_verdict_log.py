"""Verdicts are written as they come and merged again; workers share the work."""

import time
from pathlib import Path
from threading import Barrier
from typing import cast

import pytest

from tests.mutation.__main__ import path_matches
from tests.mutation.judge import Judged, Worker
from tests.mutation.mutate import Mutant, mutants_of
from tests.mutation.verdict_log import VerdictLog, passed, read_results
from tests.mutation.worker_pool import WorkerPool

MUTANTS = mutants_of("pipeline/a.py", "def f(x):\n    return x < 3 and x != 2 and not x\n")


class Named:
    """Replaces a worker, whose fork server takes seconds to start."""

    def __init__(self, name: str) -> None:
        self.name = self.folder = name


def pool_of(*names: str) -> WorkerPool:
    return WorkerPool([cast(Worker, Named(name)) for name in names])


def write(path: Path, verdicts: list[str], seed: int = 5) -> None:
    log = VerdictLog(path)
    log.room("ledger", seed, 90)
    for place, (mutant, verdict) in enumerate(zip(MUTANTS, verdicts, strict=False)):
        log.judged("ledger", place, Judged(mutant, verdict, 4, 1.234))


def test_verdicts_are_read_back_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "one", ["killed", "survived", "late", "not run", "no change"])
    results = read_results([tmp_path / "one"])["ledger"]
    assert results.not_noticed == {MUTANTS[1].key, MUTANTS[3].key}
    score = results.score("ledger", known=set())
    assert (score.seed, score.all_mutants, score.tried, score.killed, score.same) == (
        5,
        90,
        4,
        2,
        1,
    )
    score = results.score("ledger", known={MUTANTS[3].key})  # found since then to change nothing
    assert (score.tried, score.killed, score.same) == (3, 2, 2)


def test_a_later_file_has_the_last_word(tmp_path: Path) -> None:
    write(tmp_path / "one", ["killed", "survived"])
    write(tmp_path / "again", ["killed", "killed"])
    results = read_results([tmp_path / "one", tmp_path / "again"])["ledger"]
    assert results.not_noticed == set()
    assert len(results.verdicts) == 2
    write(tmp_path / "other", ["survived"], seed=6)
    results = read_results([tmp_path / "one", tmp_path / "other"])["ledger"]
    assert (results.seed, len(results.verdicts)) == (6, 1)


def test_what_nobody_needs_to_judge_is_no_survivor(tmp_path: Path) -> None:
    VerdictLog(tmp_path / "one").room("photo", 1, 2)
    VerdictLog(tmp_path / "one").judged("photo", 0, passed(MUTANTS[0]))
    assert read_results([tmp_path / "one"])["photo"].not_noticed == set()
    VerdictLog(None).judged("photo", 0, passed(MUTANTS[0]))  # no file, no error


def test_workers_work_at_the_same_time() -> None:
    both = Barrier(2)

    def work(worker: Worker, item: int) -> int:
        both.wait(30)  # raises if the other never comes
        return item

    assert sorted(pool_of("a", "b").share([1, 2], work)) == [1, 2]


def test_a_worker_does_one_thing_at_a_time() -> None:
    busy: set[str] = set()

    def work(worker: Worker, item: int) -> str:
        name = cast(Named, worker).name
        assert name not in busy
        busy.add(name)
        time.sleep(0.01)
        busy.discard(name)
        return name

    assert len([*pool_of("a", "b").share(range(8), work)]) == 8


def test_what_is_not_begun_in_time_is_left_out() -> None:
    end = time.monotonic() + 0.2

    def work(worker: Worker, item: int) -> int:
        while time.monotonic() < end:
            time.sleep(0.01)
        return item

    assert [*pool_of("a").share([1, 2, 3], work, end)] == [1]


def test_an_error_of_one_worker_is_not_swallowed() -> None:
    def work(worker: Worker, item: int) -> int:
        raise SystemExit("the tests do not run")

    with pytest.raises(SystemExit):
        [*pool_of("a").share([1], work)]


@pytest.mark.parametrize(
    ("parts", "named"), [("", True), ("a.py", True), ("b.py", False), ("b.py,pipeline/", True)]
)
def test_modules_are_named_by_parts_of_their_path(parts: str, named: bool) -> None:
    mutant: Mutant = MUTANTS[0]
    assert path_matches(mutant, parts) is named
