"""The ledger on every kind of store: a write counts once, and nothing counts partially."""

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from pipeline.errors import LedgerError
from pipeline.ledger.figures import Figures
from pipeline.ledger.identity import input_sha256
from pipeline.ledger.layout import run_key, task_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files, unsettled_ids
from pipeline.ledger.pinned import pin
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.reader import open_run
from pipeline.storage.store import open_store
from tests.support.faultproxy import FaultProxy
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all


def test_a_run_from_plan_to_commit(store_uri: str) -> None:
    store = open_store(store_uri)
    ledger = open_ledger(store, make_inputs(7), task_images=3)
    assert ledger.task_count == 3
    assert ledger.pending() == [0, 1, 2]
    assert ledger.task_inputs(2)["uri"].to_pylist() == ["s3://ugc/000006.jpg"]
    ledger.commit_task(1, done(ledger.task_inputs(1)), Figures(bytes=5))
    assert ledger.pending() == [0, 2]
    assert not ledger.is_committed
    manifest = run_all(ledger)
    assert ledger.is_committed
    assert manifest.rows == 7
    assert manifest.tables["images"].rows == 7
    assert manifest.metrics.requests["put"] >= 9  # two tables and a record for each task
    run = open_run(store_uri, ledger.run_id)
    assert sorted(run.images()["uri"].to_pylist()) == make_inputs(7)["uri"].to_pylist()
    assert run.crops().num_rows == 7


def test_a_worker_reopens_the_ledger_from_a_pickle(store_uri: str) -> None:
    if store_uri.startswith("memory"):
        pytest.skip("the memory store lives in one process")
    ledger = open_ledger(open_store(store_uri), make_inputs(4), task_images=2)
    worker = pickle.loads(pickle.dumps(ledger))
    worker.commit_task(0, done(worker.task_inputs(0)))
    assert ledger.pending() == [1]


def test_the_loser_of_a_race_leaves_an_orphan(store_uri: str) -> None:
    store = open_store(store_uri)
    ledger = open_ledger(store, make_inputs(2))
    first = ledger.commit_task(0, done(ledger.task_inputs(0), mark="a"))
    second = ledger.commit_task(0, done(ledger.task_inputs(0), mark="b"))
    assert second == first
    assert len(list(store.list("_data/"))) == 4
    manifest = ledger.finish({})
    assert data_files(store, manifest) == list(first.files)


def test_the_same_job_again_changes_nothing(store_uri: str) -> None:
    store = open_store(store_uri)
    ledger = open_ledger(store, make_inputs(5))
    manifest = run_all(ledger)
    before = {info.key: info.etag for info in store.list()}
    again = open_ledger(store, make_inputs(5))
    assert again.pending() == []
    assert again.finish({"other": 1}) == manifest
    assert {info.key: info.etag for info in store.list()} == before


def test_a_resume_with_other_task_sizes_keeps_the_plan(store_uri: str) -> None:
    store = open_store(store_uri)
    first = open_ledger(store, make_inputs(7), task_images=3)
    first.commit_task(0, done(first.task_inputs(0)))
    second = open_ledger(store, make_inputs(7), task_images=7)
    assert second.task_count == 3
    assert second.pending() == [1, 2]


def test_two_beginners_with_other_task_sizes_end_with_one_plan(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(7), task_images=2)
    inputs = make_inputs(7)
    late = pin(
        store, replace(SPEC, input_sha256=input_sha256(inputs)), inputs, cut_tasks(inputs, 7)
    )
    assert late == ledger.spec
    assert late.plan.tasks == 4


def test_a_resume_says_what_differs(store_uri: str) -> None:
    store = open_store(store_uri)
    ledger = open_ledger(store, make_inputs(2))
    other = replace(SPEC, settings={"ratios": "1:1", "top_k": 2}, weights_sha256="bb" * 32)
    with pytest.raises(LedgerError) as refused:
        Ledger.resume(store, ledger.run_id, other)
    message = str(refused.value)
    assert "top_k was 1 and is now 2" in message
    assert "the weights was aaaa" in message
    for same in ("ratios", "detector", "code", "list"):
        assert same not in message
    assert Ledger.resume(store, ledger.run_id, SPEC).pending() == [0]
    with pytest.raises(LedgerError, match="there is no run nonsense"):
        Ledger.resume(store, "nonsense", SPEC)


def test_lost_rows_are_not_committed(tmp_path: Path) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(3))
    tables = done(ledger.task_inputs(0))
    with pytest.raises(LedgerError, match="3 photos gave 2 rows"):
        ledger.commit_task(0, {**tables, "images": tables["images"].slice(1)})
    doubled = pa.concat_tables([tables["images"], tables["images"].slice(0, 1)])
    with pytest.raises(LedgerError, match="rows of `images`"):
        ledger.commit_task(0, {**tables, "images": doubled})
    with pytest.raises(LedgerError, match="must have rank: int32"):
        ledger.commit_task(0, {**tables, "crops": tables["crops"].drop_columns(["rank"])})
    other = done(make_inputs(1, start=99))["crops"]
    with pytest.raises(LedgerError, match="another task"):
        ledger.commit_task(0, {**tables, "crops": other})
    assert ledger.pending() == [0]


def test_no_commit_while_tasks_are_open(store_uri: str) -> None:
    ledger = open_ledger(open_store(store_uri), make_inputs(6))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    with pytest.raises(LedgerError, match="1 of 2 tasks are not done"):
        ledger.finish({})
    with pytest.raises(LedgerError, match="no run is committed"):
        open_run(ledger.store.uri)


def test_no_commit_when_a_file_is_gone_or_short(tmp_path: Path) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(2))
    record = ledger.commit_task(0, done(ledger.task_inputs(0)))
    file = tmp_path / record.files[0].key
    data = file.read_bytes()
    file.write_bytes(data[:-10])
    with pytest.raises(LedgerError, match="missing or cut short"):
        ledger.finish({})
    file.unlink()
    with pytest.raises(LedgerError, match="missing or cut short"):
        ledger.finish({})
    file.write_bytes(data)
    assert ledger.finish({}).rows == 2


def test_transient_failures_are_unsettled(tmp_path: Path) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(5), task_images=3)
    manifest = run_all(ledger, failed={1: "transient", 2: "permanent"})
    failed = [make_inputs(5)["image_id"][row].as_py() for row in (1, 4)]  # second of either task
    assert unsettled_ids(ledger.store, manifest).to_pylist() == failed


def test_a_changed_list_of_files_is_noticed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    manifest = run_all(open_ledger(store, make_inputs(2)))
    path = tmp_path / manifest.files.key
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(LedgerError, match="was changed after the run was committed"):
        data_files(store, manifest)


def test_the_footer_names_run_weights_and_settings(tmp_path: Path) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(1))
    record = ledger.commit_task(0, done(ledger.task_inputs(0)))
    footer = json.loads(pq.read_schema(tmp_path / record.files[0].key).metadata[b"s2cnet"])
    assert footer["run_id"] == ledger.run_id
    assert footer["weights_sha256"] == "aa" * 32
    assert footer["settings"] == {"ratios": "1:1", "top_k": 1}


def test_a_changed_input_file_is_noticed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(2))
    entry = ledger.spec.plan.files[0]
    file = tmp_path / run_key(ledger.run_id, f"input/{entry.sha256}.parquet")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(LedgerError, match="was changed"):
        Ledger(store, ledger.run_id).task_inputs(0)


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(2))
    store.write(task_key(ledger.run_id, 0), b'{"format": 99}')
    with pytest.raises(LedgerError, match="upgrade"):
        ledger.record(0)


def test_a_run_is_not_begun_in_a_store_that_overwrites(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(s3_server, lambda request: "deaf") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        store = open_store(s3)
        with pytest.raises(LedgerError, match="overwrote an object"):
            open_ledger(store, make_inputs(2))
        assert [o.key for o in store.list() if not o.key.startswith("runs/_probe/")] == []
