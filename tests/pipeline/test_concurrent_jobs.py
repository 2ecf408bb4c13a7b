"""Two jobs on one run, each with two tasks in flight, in lockstep; a real ledger, no cropping."""

import io
import random
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.job import skip_recorded_elsewhere
from pipeline.ledger.figures import Figures
from pipeline.ledger.layout import new_attempt
from pipeline.ledger.ledger import Ledger
from pipeline.report.progress import Log
from pipeline.stages.task import TaskSummary
from pipeline.storage.store import open_store
from tests.support.tasks import done, make_inputs, open_ledger

TASKS = 60
IN_FLIGHT = 2


def work(ledger: Ledger, pending: deque[int], attempts: list[int]) -> Iterator[TaskSummary]:
    """Stand in for `TaskWorkers.work`: do one task after the other, and note each in `attempts`."""
    started: deque[int] = deque()
    while pending or started:
        while pending and len(started) < IN_FLIGHT:
            started.append(pending.popleft())
        number, name = started.popleft(), new_attempt()
        tables, figures = done(ledger.task_inputs(number)), Figures(bytes=number)
        record = ledger.commit_task(number, tables, figures, attempt=name)
        attempts.append(number)
        yield TaskSummary(number, record.metrics, {"score": (0, 1)}, record.attempt != name)


def run_in_lockstep(uri: str, told: io.StringIO) -> tuple[list[list[TaskSummary]], list[int]]:
    """Return the summaries that each of two jobs receives, and the numbers of the tasks done.

    told: where both jobs log
    """
    received: list[list[TaskSummary]] = [[], []]
    attempts: list[int] = []
    jobs = []
    for _ in received:
        ledger = open_ledger(open_store(uri), make_inputs(TASKS), task_images=1)
        pending = deque(ledger.pending())
        tasks = work(ledger, pending, attempts)
        jobs.append(skip_recorded_elsewhere(tasks, pending, ledger, Log(stream=told)))
    running = dict(enumerate(jobs))
    while running:
        for number, job in list(running.items()):
            summary = next(job, None)
            if summary is None:
                del running[number]
            else:
                received[number].append(summary)
    return received, attempts


def test_jobs_in_lockstep_share_tasks_and_receive_each_once(s3: str) -> None:
    random.seed(7)
    told = io.StringIO()
    received, attempts = run_in_lockstep(f"{s3}/out", told)
    assert {*attempts} == {*range(TASKS)}
    assert len(attempts) < 1.5 * TASKS, "in lockstep to the end, each task would be done twice"
    for summaries in received:
        assert sorted(one.task for one in summaries) == [*range(TASKS)]
        assert all(one.metrics.bytes == one.task for one in summaries)
    own = [sum(bool(one.spans) for one in summaries) for summaries in received]
    assert sum(own) == len(attempts), "tasks of the other job do not count as this job's work"
    assert min(own) > TASKS / 4, "both jobs do a share"
    lines = told.getvalue().splitlines()
    assert 1 <= len(lines) <= 2, "each job says it at most once"
    assert all(line.startswith("WARNING: another job does this run at the") for line in lines)


def test_a_job_that_runs_alone_keeps_its_order_and_lists_records_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    original = Ledger.pending

    def counted(ledger: Ledger) -> list[int]:
        calls["pending"] += 1
        return original(ledger)

    monkeypatch.setattr(Ledger, "pending", counted)
    attempts: list[int] = []
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(9), task_images=1)
    pending = deque(ledger.pending())
    told = io.StringIO()
    tasks = work(ledger, pending, attempts)
    summaries = skip_recorded_elsewhere(tasks, pending, ledger, Log(stream=told))
    assert [one.task for one in summaries] == attempts == [*range(9)]
    assert calls["pending"] == 1
    assert told.getvalue() == ""
