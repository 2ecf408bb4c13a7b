"""The failed images of a run, by kind; of a repaired run, only those that still fail."""

from pathlib import Path

import pytest

from pipeline.errors import NothingToDoError, UsageError
from pipeline.ledger.channels.channel import channel_name
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.retry import failed_inputs
from pipeline.storage.store import open_store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

MANUAL = {"promote": "manual", "trial": False}


def test_failures_by_kind(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    inputs = make_inputs(6)
    run_id = run_all(open_ledger(store, inputs), {0: "transient", 2: "permanent"}).run_id
    assert failed_inputs(store, run_id).equals(inputs.take([0, 3]))
    assert failed_inputs(store, run_id, "permanent").equals(inputs.take([2, 5]))
    assert failed_inputs(store, run_id, "all").equals(inputs.take([0, 2, 3, 5]))


def test_circumstances_are_a_kind_of_their_own(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    inputs = make_inputs(6)
    failed = {0: "transient", 1: "circumstances", 2: "permanent"}
    run_id = run_all(open_ledger(store, inputs), failed).run_id
    assert failed_inputs(store, run_id, "circumstances").equals(inputs.take([1, 4]))
    assert failed_inputs(store, run_id, "permanent").equals(inputs.take([2, 5]))


def test_a_retry_of_a_retry(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first = run_all(open_ledger(store, make_inputs(6)), {0: "transient"}).run_id
    left = failed_inputs(store, first)
    second = run_all(open_ledger(store, left, parent=first), {1: "transient"}).run_id
    left = failed_inputs(store, second)
    assert left.equals(make_inputs(1, start=3))
    third = run_all(open_ledger(store, left, parent=second)).run_id
    with pytest.raises(UsageError, match="no transient failures"):
        failed_inputs(store, third)


def test_failures_that_a_retry_left_alone_are_found_in_the_first_run_s_list(tmp_path: Path) -> None:
    """The list of the second run holds the transient failures only."""
    store = open_store(str(tmp_path))
    inputs = make_inputs(6)
    first = run_all(open_ledger(store, inputs), {0: "transient", 2: "permanent"}).run_id
    second = run_all(open_ledger(store, failed_inputs(store, first), parent=first)).run_id
    assert failed_inputs(store, second, "permanent").equals(inputs.take([2, 5]))


def test_photos_that_a_retry_repaired_are_not_done_again(tmp_path: Path) -> None:
    """Photos 0, 3 and 2, 5 fail; a retry of the first two repairs 0, and another one 3."""
    store = open_store(str(tmp_path))
    inputs = make_inputs(6)
    first = run_all(open_ledger(store, inputs), {0: "transient", 2: "permanent"}, **MANUAL).run_id
    left = failed_inputs(store, first)
    second = run_all(open_ledger(store, left, parent=first), {1: "transient"}, **MANUAL).run_id
    assert failed_inputs(store, first).equals(inputs.take([3]))
    assert failed_inputs(store, first, "all").equals(inputs.take([2, 3, 5]))
    third = run_all(open_ledger(store, inputs.take([3]), parent=second), **MANUAL).run_id
    text = rf"run {first} has no transient failures; its latest retry is run {third} \(candidate\)"
    with pytest.raises(NothingToDoError, match=text):
        failed_inputs(store, first)
    assert failed_inputs(store, first, "permanent").equals(inputs.take([2, 5]))


def test_a_retry_that_is_a_trial_or_was_rolled_back_repairs_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first = run_all(open_ledger(store, make_inputs(3)), {0: "transient"}, **MANUAL).run_id
    left = failed_inputs(store, first)
    run_all(open_ledger(store, left, parent=first), **{**MANUAL, "trial": True})
    assert failed_inputs(store, first).equals(left)
    second = run_all(open_ledger(store, left, parent=first, generation=1), **MANUAL).run_id
    promote(store, second, Request())
    with pytest.raises(NothingToDoError, match=rf"{second} \(live\)"):
        failed_inputs(store, first)
    rollback(store, channel_name(SPEC.settings))
    assert failed_inputs(store, first).equals(left)


def test_a_later_live_run_in_which_every_photo_failed_has_done_none(tmp_path: Path) -> None:
    """Of its two tasks, one has failures only; the other has done photo 3, which had failed."""
    store = open_store(str(tmp_path))
    inputs = make_inputs(6)
    first = run_all(open_ledger(store, inputs), {0: "transient"}).run_id  # photos 0 and 3
    ledger = open_ledger(store, inputs, settings={**SPEC.settings, "webp_method": 4})
    for task, failed in enumerate([dict.fromkeys(range(3), "permanent"), {}]):
        ledger.commit_task(task, done(ledger.task_inputs(task), failed))
    ledger.finish({})
    assert failed_inputs(store, first).equals(inputs.take([0]))
