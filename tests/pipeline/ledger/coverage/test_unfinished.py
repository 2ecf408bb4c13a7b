"""Unfinished runs that the next job does not resume."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.job import plan
from pipeline.job.plan_warnings import report_plan_conditions
from pipeline.ledger.coverage.incremental import Todo, uncovered
from pipeline.ledger.coverage.unfinished import UnfinishedRun
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.ledger import Ledger
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

NEXT = replace(SPEC, code_version="next")


@pytest.fixture
def store(s3: str) -> Store:
    return open_store(f"{s3}/out")


def start_run(store: Store, inputs: pa.Table, **changes: Any) -> Ledger:
    """Start a run and record its first task, of three photos."""
    ledger = open_ledger(store, inputs, **changes)
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    return ledger


def reported(todo: Todo) -> list[dict[str, Any]]:
    """Return the log lines about a plan."""
    output = io.StringIO()
    report_plan_conditions(todo, "out", Log("json", output))
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_an_unfinished_run_of_another_version_is_reported_with_what_to_do(store: Store) -> None:
    left = start_run(store, make_inputs(9))
    todo = uncovered(store, NEXT, make_inputs(9))
    assert todo.inputs.num_rows == 9, "its photos are done again"
    assert todo.unfinished == (UnfinishedRun(left.run_id, "test", 1, 3),)
    (line,) = reported(todo)
    assert line["message"] == (
        f"WARNING: run {left.run_id} is not finished, 1 of 3 tasks done: code version test started "
        "it, and this job, version next, does its photos again. `runs.py gc out` lists its "
        "files once they are old enough; with `--delete` it removes them"
    )
    assert (line["event"], line["run_id"], line["tasks"]) == ("unfinished", left.run_id, 3)


def test_a_job_reports_it_while_planning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(bytes(number + 1))
    about = {"input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
    given = Settings.of(**about, local=True, weights="untrained", task_images=1)
    _, ledger = plan(given, Log(stream=io.StringIO())).begin()
    for version, is_reported in ((ledger.spec.code_version, False), ("0.2.0+another", True)):
        monkeypatch.setattr("pipeline.job.planning.code_version", lambda version=version: version)
        output = io.StringIO()
        plan(given, Log(stream=output))
        text = f"run {ledger.run_id} is not finished, 0 of 3 tasks done: code version 0.1.0+"
        assert (f"WARNING: {text}" in output.getvalue()) == is_reported


def test_a_run_of_another_list_can_be_resumed(store: Store) -> None:
    left = start_run(store, make_inputs(9))
    (line,) = reported(uncovered(store, SPEC, make_inputs(10)))
    text = f"photos in both lists are done again. `--resume {left.run_id}` continues it"
    assert text in line["message"]


def test_the_run_itself_and_different_runs_are_not_reported(store: Store) -> None:
    start_run(store, make_inputs(9, start=3))
    assert uncovered(store, SPEC, make_inputs(9, start=3)).unfinished == (), "it is resumed"
    assert uncovered(store, NEXT, make_inputs(9, start=12)).unfinished == (), "other photos"
    around = pa.concat_tables([make_inputs(3), make_inputs(3, start=12)])
    assert uncovered(store, NEXT, around).unfinished == (), "photos before and after its own"
    assert uncovered(store, NEXT, make_inputs(0)).unfinished == (), "nothing to do"
    other = {"ratios": "2:1"}
    assert uncovered(store, replace(NEXT, settings=other), make_inputs(9)).unfinished == ()
    assert uncovered(store, replace(NEXT, parent="0" * 20), make_inputs(9)).unfinished == ()
    store.write(f"runs/{'f' * 20}/spec.json", b"no record")
    store.write("runs/notes/x.txt", b"somebody's own")
    assert len(uncovered(store, NEXT, make_inputs(9)).unfinished) == 1


def test_a_committed_or_abandoned_run_is_not_reported(store: Store) -> None:
    run_all(open_ledger(store, make_inputs(3)))
    left = start_run(store, make_inputs(9))
    remove_garbage(store, look_for_garbage(store, -60).garbage)
    assert uncovered(store, NEXT, make_inputs(9)).unfinished == ()
    assert left.pending() == [0, 1, 2], "gc has removed what it had written"
