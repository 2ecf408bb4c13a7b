"""The failed images of a run, by kind; of a repaired run, only those that still fail."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.ledger.retry import failed_inputs
from pipeline.storage.store import open_store
from tests.support.tasks import make_inputs, open_ledger, run_all


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
