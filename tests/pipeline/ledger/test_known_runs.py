"""A run id from a user: of a committed run, of an open one, or unknown."""

import re
import time
from pathlib import Path

import pytest

from pipeline.errors import LedgerError, RecordError, UsageError
from pipeline.ledger.coverage.incremental import resumed
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.known_runs import check_known, committed_run, repair_chain, started_run
from pipeline.ledger.layout import manifest_key, spec_key
from pipeline.ledger.retry import failed_inputs
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all


def test_each_state_of_a_run_has_its_own_words(memory: Store) -> None:
    run = run_all(open_ledger(memory, make_inputs(2)))
    assert committed_run(memory, run.run_id) == started_run(memory, run.run_id) == run
    begun = open_ledger(memory, make_inputs(7))  # three tasks
    begun.commit_task(1, done(begun.task_inputs(1)))
    assert started_run(memory, begun.run_id) is None
    told = f"run {begun.run_id} is not committed: 1 of 3 tasks are done. Start its job again"
    with pytest.raises(LedgerError, match=told):
        committed_run(memory, begun.run_id)
    remove_garbage(memory, look_for_garbage(memory, 0, time.time() + 60).garbage)
    for call in (committed_run, started_run):
        with pytest.raises(LedgerError, match=r"was given up \(runs.py gc\) and has no results"):
            call(memory, begun.run_id)
    check_known(memory, begun.run_id)
    memory.delete(spec_key(run.run_id))
    check_known(memory, run.run_id)  # a damaged run is no misspelt one


@pytest.mark.parametrize(
    "of", [committed_run, started_run, check_known, repair_chain, failed_inputs]
)
def test_a_run_that_is_not_there_is_wrong_usage(memory: Store, of: object) -> None:
    run_id = run_all(open_ledger(memory, make_inputs(2))).run_id
    assert callable(of)
    with pytest.raises(UsageError) as error:
        of(memory, run_id[:14])
    assert str(error.value) == (
        f"there is no run {run_id[:14]} in {memory.uri}, see `runs.py list {memory.uri}`; did you "
        f"mean {run_id}?"
    )
    assert isinstance(error.value, LedgerError), "whoever goes on without a run catches that"
    with pytest.raises(UsageError, match=f"did you mean {run_id}"):
        of(memory, run_id[:8])  # as a page shows it
    with pytest.raises(
        UsageError, match=r"no run - in memory://\w+, see `runs.py list memory://\w+`$"
    ):
        of(memory, "-")


def test_an_empty_id_is_seen_in_the_message(memory: Store) -> None:
    with pytest.raises(UsageError, match=f"^there is no run '' in {memory.uri}, see "):
        check_known(memory, "")


def test_an_output_with_a_space_is_quoted(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "my thumbs"))
    with pytest.raises(UsageError, match=re.escape(f"see `runs.py list '{store.uri}'`")):
        check_known(store, "ab")


def test_a_run_to_resume_that_is_not_there_or_was_given_up(memory: Store) -> None:
    with pytest.raises(UsageError, match="there is no run typo"):
        resumed(memory, SPEC, "typo")
    begun = open_ledger(memory, make_inputs(2)).run_id
    remove_garbage(memory, look_for_garbage(memory, 0, time.time() + 60).garbage)
    with pytest.raises(LedgerError, match="was given up"):
        resumed(memory, SPEC, begun)


def test_a_damaged_manifest_is_told_as_such(memory: Store) -> None:
    run_id = run_all(open_ledger(memory, make_inputs(2))).run_id
    memory.write(manifest_key(run_id), b"{")
    with pytest.raises(RecordError):
        committed_run(memory, run_id)


def test_a_run_that_a_retry_repairs_and_that_is_gone(memory: Store) -> None:
    parent = run_all(open_ledger(memory, make_inputs(2)), {0: "transient"}).run_id
    retry = run_all(open_ledger(memory, make_inputs(1), parent=parent)).run_id
    memory.delete(manifest_key(parent))
    with pytest.raises(LedgerError, match=f"run {retry} repairs run {parent}, which is not"):
        repair_chain(memory, retry)
