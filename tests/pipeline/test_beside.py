"""Two jobs at one run, each with two tasks at once, in step; a real ledger, nothing is cropped."""

import random
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.job import beside_others
from pipeline.ledger.figures import Figures
from pipeline.ledger.layout import new_attempt
from pipeline.ledger.ledger import Ledger
from pipeline.stages.task import TaskSummary
from pipeline.storage.store import open_store
from tests.support.tasks import done, make_inputs, open_ledger

TASKS = 60
AT_ONCE = 2


def work(ledger: Ledger, pending: deque[int], attempts: list[int]) -> Iterator[TaskSummary]:
    """As `TaskWorkers.work`, one task after the other; what is done is noted."""
    begun: deque[int] = deque()
    while pending or begun:
        while pending and len(begun) < AT_ONCE:
            begun.append(pending.popleft())
        number, name = begun.popleft(), new_attempt()
        tables, figures = done(ledger.task_inputs(number)), Figures(bytes=number)
        record = ledger.commit_task(number, tables, figures, attempt=name)
        attempts.append(number)
        yield TaskSummary(number, record.metrics, {"score": (0, 1)}, record.attempt != name)


def in_step(uri: str) -> tuple[list[list[TaskSummary]], list[int]]:
    """What each of two jobs is told, and the numbers of the tasks that were done."""
    told: list[list[TaskSummary]] = [[], []]
    attempts: list[int] = []
    jobs = []
    for _ in told:
        ledger = open_ledger(open_store(uri), make_inputs(TASKS), task_images=1)
        pending = deque(ledger.pending())
        jobs.append(beside_others(work(ledger, pending, attempts), pending, ledger))
    at_work = dict(enumerate(jobs))
    while at_work:
        for number, job in list(at_work.items()):
            summary = next(job, None)
            if summary is None:
                del at_work[number]
            else:
                told[number].append(summary)
    return told, attempts


def test_jobs_in_step_part_and_each_hears_of_every_task_once(s3: str) -> None:
    random.seed(7)
    told, attempts = in_step(f"{s3}/out")
    assert {*attempts} == {*range(TASKS)}
    assert len(attempts) < 1.5 * TASKS, "one after the other they would do each task twice"
    for summaries in told:
        assert sorted(one.task for one in summaries) == [*range(TASKS)]
        assert all(one.metrics.bytes == one.task for one in summaries)
    here = sum(bool(one.spans) for one in told[0]), sum(bool(one.spans) for one in told[1])
    assert sum(here) == len(attempts), "what another job did counts as no work of this one"
    assert min(here) > TASKS / 4, "each did its part"


def test_a_job_alone_keeps_its_order_and_looks_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: Counter[str] = Counter()
    pending_of = Ledger.pending

    def counted(ledger: Ledger) -> list[int]:
        looks["pending"] += 1
        return pending_of(ledger)

    monkeypatch.setattr(Ledger, "pending", counted)
    attempts: list[int] = []
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(9), task_images=1)
    pending = deque(ledger.pending())
    found = [one.task for one in beside_others(work(ledger, pending, attempts), pending, ledger)]
    assert found == attempts == [*range(9)]
    assert looks["pending"] == 1
