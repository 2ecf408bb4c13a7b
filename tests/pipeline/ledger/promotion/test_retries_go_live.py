"""Retries go live with the runs that they repair: where these are put, and which never are."""

import os
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.cli.runs import main
from pipeline.ledger.channels.channel import read_channel
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.retry import failed_inputs
from pipeline.storage.store import Store
from tests.pipeline.ledger.promotion.test_promotion import CHANNEL, commit, go, marks
from tests.support.tasks import SPEC, make_inputs, run_all


def retry(store: Store, run: str, mark: str, **spec: Any) -> str:
    rows: pa.Table = failed_inputs(store, run, "transient")
    todo = uncovered(store, replace(SPEC, parent=run, **spec), rows, "full")
    ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs, 3))
    return run_all(ledger, None, mark, promote="auto", trial=False).run_id


def test_a_retry_puts_the_run_that_it_repairs_behind_later_ones(store: Store) -> None:
    """The first night waits for the gate; the second does photos from 30 on anew."""
    commit(store, make_inputs(1, start=90), mark=" base")
    go(store)
    first = commit(store, make_inputs(60), failed={0: "transient"}, mark=" A")  # one in three
    assert go(store) == [(first, "gate")]
    second = commit(store, make_inputs(60, etag="v2").slice(30), mark=" B")
    assert (second, "promoted") in go(store)
    repaired = retry(store, first, " R")
    assert (repaired, "promoted") in go(store)
    assert read_channel(store, CHANNEL).runs[:3] == (repaired, second, first)
    found = marks(store)
    assert {n: mark for n, mark in found.items() if n < 60} == {
        n: "B" if n >= 30 else "A" if n % 3 else "R" for n in range(60)
    }


def test_a_person_may_put_a_retry_with_all_that_it_repairs_in_front(store: Store) -> None:
    first = commit(store, make_inputs(3), failed={0: "transient"}, mark=" A", promote="manual")
    second = commit(store, make_inputs(3, etag="v2").slice(1), mark=" B")
    go(store)
    repaired = retry(store, first, " R")
    assert promote(store, repaired, Request()).decision == "promoted"
    assert read_channel(store, CHANNEL).runs == (repaired, first, second)
    assert promote(store, repaired, Request(behind=True)).decision == "live already"


def test_no_job_brings_a_run_that_was_rolled_back_to_life_by_its_retry(store: Store) -> None:
    commit(store, make_inputs(3), mark=" OLD")
    go(store)
    bad = commit(store, make_inputs(3, etag="v2"), failed={0: "transient"}, mark=" BAD")
    promote(store, bad, Request())
    rollback(store, CHANNEL)
    fixed = retry(store, bad, " R", code_version="fixed")
    assert go(store) == [(fixed, "rolled back")]
    other = commit(store, make_inputs(1, start=9), mark=" other", spec={"code_version": "fixed"})
    promote(store, other, Request(who="me"))  # which forgives runs like the one rolled back
    assert go(store) == [(fixed, "rolled back")]
    assert {n: mark for n, mark in marks(store).items() if n < 3} == dict.fromkeys(range(3), "OLD")
    assert promote(store, fixed, Request(who="me")).decision == "promoted"


def test_mending_a_damaged_version_forgives_no_run(store: Store) -> None:
    commit(store, make_inputs(3), mark=" OLD")
    go(store)
    bad = commit(store, make_inputs(3, etag="v2"), mark=" BAD")
    go(store)
    rollback(store, CHANNEL)
    commit(store, make_inputs(1, start=9), spec={"code_version": "other"})
    go(store)
    live = read_channel(store, CHANNEL)
    path = f"{store.uri.removeprefix('file://')}/channels/{CHANNEL}/{live.number:08d}.json"
    assert os.path.exists(path)
    with open(path, "w") as file:
        file.write("{")
    mended = rollback(store, CHANNEL)
    assert mended.suspect == mended.withdrawn == (bad,)
    alike = commit(store, make_inputs(3, etag="v3"), mark=" BAD")
    assert (alike, "rolled back") in go(store)


def test_history_names_the_front_of_a_long_list(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of more runs than a version holds is stored apart."""
    monkeypatch.setattr("pipeline.ledger.channels.moves.RECENT", 2)
    for night in range(3):
        last = commit(store, make_inputs(1, start=night))
        go(store)
    version = read_channel(store, CHANNEL).version
    assert version is not None
    assert (version.recent, version.earlier is None) == ((), False)
    assert main(["history", store.uri, "--last", "1"]) == 0
    assert f"in front: {last}" in capsys.readouterr().out
    assert main(["rollback", store.uri]) == 0
    assert "in front: " in capsys.readouterr().out
