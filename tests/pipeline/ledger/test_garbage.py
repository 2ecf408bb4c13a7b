"""Only files that no committed run can ever need are removed, even if a stalled job resumes."""

import os
import time
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.audit import list_runs, verify_run
from pipeline.ledger.erasing import erase
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.identity import RunSpec
from pipeline.ledger.layout import manifest_key, replaced_key, run_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.pinned import pin
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.reader import open_run
from pipeline.storage.store import open_store
from tests.support.forgotten import with_one_forgotten
from tests.support.tasks import done, make_inputs, open_ledger, run_all


def test_orphans_of_a_committed_run(store_uri: str) -> None:
    store = open_store(store_uri)
    ledger = open_ledger(store, make_inputs(2))
    ledger.commit_task(0, done(ledger.task_inputs(0), mark="a"))
    ledger.commit_task(0, done(ledger.task_inputs(0), mark="b"))
    # The run is open: all of it, if that old.
    assert look_for_garbage(store, older_than_s=-60).garbage != []
    ledger.finish({})
    garbage = look_for_garbage(store, older_than_s=-60).garbage
    assert [g.why for g in garbage] == ["orphan", "orphan"]
    assert remove_garbage(store, garbage) == sum(g.info.bytes for g in garbage)
    assert look_for_garbage(store, older_than_s=-60).garbage == []
    assert verify_run(store, ledger.run_id).problems == []


def test_lists_of_a_plan_that_lost_the_race_are_orphans(store_uri: str) -> None:
    """Another job has planned the same run with other tasks; only the plan's own list counts."""
    store = open_store(store_uri)
    inputs = make_inputs(4)
    ledger = open_ledger(store, inputs)
    pin(store, RunSpec.of(ledger.spec), inputs, cut_tasks(inputs, 2))
    run_all(ledger)
    forget(store, [inputs["image_id"][1].as_py()])
    assert [g.why for g in look_for_garbage(store, 3600).garbage] == ["forgotten photos"] * 3
    garbage = look_for_garbage(store, -60).garbage
    assert [g.why for g in garbage if not g.erase] == ["orphan"]
    remove_garbage(store, garbage)
    (left,) = store.list(f"runs/{ledger.run_id}/input/")
    rows = pq.read_table(BytesIO(store.read(left.key)))
    assert rows["uri"].to_pylist() == [inputs["uri"][0].as_py(), "", *inputs["uri"].to_pylist()[2:]]
    assert look_for_garbage(store, -60).garbage == []
    assert verify_run(store, ledger.run_id).problems == []


def test_a_replaced_file_stays_while_its_replacement_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another collection took the new file for an orphan, before a record named it."""
    store = open_store(str(tmp_path))
    run, erasures = with_one_forgotten(store)
    (own,) = (one for one in erasures if one.key.startswith("_data/images/"))
    create = store.create_once

    def create_late(key: str, data: bytes) -> bool:
        if "/replaced/" in key:
            found = look_for_garbage(store, -60).garbage
            remove_garbage(store, [one for one in found if one.why == "orphan"])
        return create(key, data)

    with monkeypatch.context() as patched:
        patched.setattr(store, "create_once", create_late)
        with pytest.raises(FileNotFoundError):
            erase(store, own)
    found = look_for_garbage(store, -60)
    record = replaced_key(own.key)
    assert f"Delete {record}" in str(found.damaged[run.run_id])
    remove_garbage(store, found.garbage)
    assert open_run(str(tmp_path), run.run_id).images().num_rows == 2
    store.delete(record or "")
    remove_garbage(store, look_for_garbage(store, -60).garbage)
    assert open_run(str(tmp_path), run.run_id).images().num_rows == 2
    assert not store.exists(own.key)
    assert verify_run(store, run.run_id).problems == []


def test_young_things_stay(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(2))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    assert look_for_garbage(store, older_than_s=3600).garbage == []


def test_a_run_at_work_is_not_given_up_for_its_old_tasks(tmp_path: Path) -> None:
    """It began three hours ago and has recorded a task a minute ago; only older runs may go."""
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(6))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    for file in tmp_path.rglob("*"):
        os.utime(file, (time.time() - 3 * 3600,) * 2)
    ledger.commit_task(1, done(ledger.task_inputs(1)))
    assert look_for_garbage(store, older_than_s=3600).garbage == []
    for file in (tmp_path / "_data").rglob("*"):
        os.utime(file, (time.time() - 3 * 3600,) * 2)  # its record alone is young
    assert look_for_garbage(store, older_than_s=3600).garbage == []


def test_an_old_open_run_is_given_up_before_it_is_removed(store_uri: str) -> None:
    store = open_store(store_uri)
    ledger = open_ledger(store, make_inputs(6))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    zombie = Ledger(store, ledger.run_id)
    rest = done(zombie.task_inputs(1))
    remove_garbage(store, look_for_garbage(store, older_than_s=-60).garbage)
    zombie.commit_task(1, rest)  # it wakes up and goes on
    with pytest.raises(LedgerError, match=r"was given up \(runs.py gc\)"):
        zombie.finish({})
    with pytest.raises(LedgerError, match="no run is committed"):
        open_run(store_uri)
    # What the zombie wrote goes the next time.
    late = look_for_garbage(store, older_than_s=-60).garbage
    assert {g.why for g in late} == {"abandoned run"}
    remove_garbage(store, late)
    left = {info.key.rpartition("/")[2] for info in store.list() if ledger.run_id in info.key}
    assert left == {"_MANIFEST.json", "spec.json"}


def test_when_a_run_was_given_up_is_told(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(2))
    before = time.time()
    remove_garbage(store, look_for_garbage(store, older_than_s=-60).garbage)
    (line,) = list_runs(store)
    assert (line["run_id"], line["state"]) == (ledger.run_id, "abandoned")
    assert before <= line["since"] <= time.time()


def test_a_run_that_commits_in_the_meantime_is_left_alone(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(2))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    garbage = look_for_garbage(store, older_than_s=-60).garbage
    assert {g.why for g in garbage} == {"abandoned run"}
    ledger.finish({})
    assert remove_garbage(store, garbage) == 0
    assert verify_run(store, ledger.run_id).problems == []


@pytest.mark.parametrize("lost", [["_MANIFEST.json"], ["_MANIFEST.json", "metrics.json"]])
def test_a_committed_run_whose_manifest_is_gone_is_kept(tmp_path: Path, lost: list[str]) -> None:
    """A copy of an output that has stopped halfway, say; restoring the manifest makes it whole."""
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(4))
    run_all(ledger, promote="manual", trial=False)
    promote(store, ledger.run_id, Request())
    whole = store.read(manifest_key(ledger.run_id))
    for name in lost:
        store.delete(run_key(ledger.run_id, name))

    found = look_for_garbage(store, older_than_s=-60)
    assert "it is gone, and the run was committed" in str(found.damaged[ledger.run_id])
    assert remove_garbage(store, found.garbage) == 0
    assert store.create_once(manifest_key(ledger.run_id), whole)
    assert open_run(str(tmp_path)).images().num_rows == 4


def test_temporary_files_of_killed_writers(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    run_all(open_ledger(store, make_inputs(2)))
    left = tmp_path / "_data" / "crops" / ".tmp-0123"
    left.write_bytes(b"half")
    garbage = look_for_garbage(store, older_than_s=-60).garbage
    assert [g.why for g in garbage] == ["temporary file"]
    assert remove_garbage(store, garbage) == 4
    assert not left.exists()


def test_files_of_others_stay_and_do_not_stop_a_collection(tmp_path: Path) -> None:
    """A file manager leaves files in folders that a person looks at; `Store.delete` takes none."""
    store = open_store(str(tmp_path / "out"))
    ledger, given_up = (open_ledger(store, make_inputs(2, start=start)) for start in (0, 9))
    for mark in "ab":  # no record names the second one's files
        ledger.commit_task(0, done(ledger.task_inputs(0), mark=mark))
    ledger.finish({})
    given_up.commit_task(0, done(given_up.task_inputs(0)))
    others = [
        tmp_path / "out" / folder / name
        for folder in (f"runs/{given_up.run_id}", f"_data/images/run={ledger.run_id}")
        for name in (".DS_Store", "my notes.txt")
    ]
    for file in others:
        file.write_text("a person's")
    garbage = look_for_garbage(store, older_than_s=-60).garbage
    assert {one.why for one in garbage} == {"orphan", "abandoned run"}
    remove_garbage(store, garbage)
    assert look_for_garbage(store, older_than_s=-60).garbage == []
    assert [file.read_text() for file in others] == ["a person's"] * 4
