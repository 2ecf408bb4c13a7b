"""Edge cases of figures, rows and descriptions: small runs with known answers."""

import time
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.audit import describe_run
from pipeline.ledger.channels.channel import read_channels
from pipeline.ledger.channels.live import standing
from pipeline.ledger.contents import RunContents
from pipeline.ledger.coverage.covered import ROWS
from pipeline.ledger.coverage.covered_rows import latest_rows
from pipeline.ledger.coverage.incremental import resumed
from pipeline.ledger.figures import Figures
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.reader import open_run
from pipeline.ledger.totals import RunTotals
from pipeline.storage.store import open_store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all


def test_totals_count_each_task_once() -> None:
    now = [100.0]
    totals = RunTotals("run-x", 10, 3, lambda: now[0])
    assert (totals.started_s, totals.last_task_s) == (100, 100)
    now[0] = 103.0
    totals.task_done(1, Figures(requests={"get": 4, "retry_throttled": 1}))
    now[0] = 109.0
    totals.task_done(1, Figures(requests={"get": 4}))  # on record already
    assert totals.last_task_s == 103
    totals.add_requests({"list": 2})
    told = totals.as_dict()
    assert told["storage_requests"] == {"get": 4, "list": 2}
    assert told["storage_retries"] == {"throttled": 1}
    assert told["storage_requests_per_image"] == 6.0  # of no photo yet
    assert (told["tasks_done"], told["tasks_planned"], told["queue_depth_tasks"]) == (1, 3, 2)


def row(run: int, etag: str, tries: int, first: float, is_open: bool) -> dict[str, object]:
    blank = dict.fromkeys(ROWS.names)
    for field in ROWS:
        if pa.types.is_integer(field.type):
            blank[field.name] = 0
        if pa.types.is_floating(field.type):
            blank[field.name] = 0.0
        if pa.types.is_boolean(field.type):
            blank[field.name] = False
        if pa.types.is_string(field.type):
            blank[field.name] = ""
    given = {"image_id": "a", "run": run, "etag": etag, "tries": tries, "first": first}
    return {**blank, **given, "open": is_open}


@pytest.mark.parametrize(
    ("rows", "tries", "first"),
    [
        # run 0 is the latest; it says whether the count goes on through earlier runs
        ([(0, "v1", 1, 30.0, True), (1, "v1", 2, 10.0, False)], 3, 10.0),
        ([(0, "v1", 1, 30.0, False), (1, "v1", 2, 10.0, False)], 1, 30.0),
        ([(0, "v1", 1, 30.0, True), (1, "v2", 2, 10.0, False)], 1, 30.0),
        ([(0, "v1", 1, 30.0, True), (1, "v1", 0, 10.0, True)], 1, 30.0),
        ([(0, "v1", 1, 30.0, True), (1, "v1", 1, 20.0, True), (2, "v1", 1, 10.0, False)], 3, 10.0),
        ([(0, "v1", 1, 30.0, True), (1, "v1", 1, 20.0, False), (2, "v1", 1, 10.0, True)], 2, 20.0),
    ],
)
def test_failures_are_counted_through_runs_as_long_as_they_are_the_same(
    rows: list[tuple[int, str, int, float, bool]], tries: int, first: float
) -> None:
    table = pa.Table.from_pylist([row(*one) for one in rows], ROWS)
    (found,) = latest_rows(table).to_pylist()
    assert (found["run"], found["tries"], found["first"]) == (0, tries, first)


def test_a_run_that_goes_on_takes_its_own_list(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(4))
    todo = resumed(store, SPEC, ledger.run_id)
    assert (todo.inputs.num_rows, todo.covered) == (4, 0)
    assert sum(todo.reasons.values()) == 4


def test_a_described_run_names_its_input(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(6))
    assert describe_run(store, ledger.run_id, standing(store))["state"] == "open"
    ledger.commit_task(1, done(ledger.task_inputs(1)))
    assert describe_run(store, ledger.run_id, standing(store))["tasks_done"] == 1
    run_all(ledger, input="s3://photos/")
    told = describe_run(store, ledger.run_id, standing(store))
    assert (told["state"], told["input"]) == ("committed", "s3://photos/")
    assert abs(told["committed_at"] - time.time()) < 60
    assert (told["unsettled"], told["images"], told["tasks"]) == (0, 6, 2)


def test_rows_that_are_not_as_many_as_photos_are_no_run(tmp_path: Path) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(4))
    with pytest.raises(LedgerError, match="2 of 2 tasks are not done"):
        ledger.finish({})
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    ledger.commit_task(1, done(ledger.task_inputs(1)))
    again = Ledger(ledger.store, ledger.run_id)
    records = [again.record(number) for number in range(2)]
    where = (again.store, again.run_id, again.spec.plan)
    RunContents.of(records).check(*where)
    with pytest.raises(LedgerError, match="4 photos went in and 6 rows came out"):
        RunContents.of([records[0], records[0]]).check(*where)


def test_one_channel_of_runs_is_read_without_shapes(tmp_path: Path) -> None:
    """Columns that nobody asked for are read only where several channels overlap."""
    run_all(open_ledger(open_store(str(tmp_path)), make_inputs(4)))
    (batch, *more) = list(open_run(str(tmp_path)).batches("crops", ["score"]))
    assert batch.column_names == ["score"]
    assert batch.num_rows + sum(one.num_rows for one in more) == 4


def test_channels_without_a_version_are_none(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    run_all(open_ledger(store, make_inputs(2)))
    found, damaged = read_channels(store)
    assert (found, damaged) == ({}, {})
