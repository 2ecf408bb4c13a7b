"""Runs described, verified byte by byte, and compared."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError, RecordError, UsageError
from pipeline.ledger.audit import describe_run, list_runs, verify_run
from pipeline.ledger.channels.channel import (
    channel_name,
)
from pipeline.ledger.channels.live import standing
from pipeline.ledger.differences import RunPair, _boxes, compare_runs
from pipeline.ledger.figures import Figures
from pipeline.ledger.known_runs import repair_chain
from pipeline.ledger.layout import run_key
from pipeline.ledger.reader import open_run
from pipeline.ledger.stored_runs import stored_runs
from pipeline.storage.store import Store, open_store
from tests.support.row_runs import commit_rows, crop_row, image_row
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all


def test_a_run_is_opened_by_its_id_or_through_its_channel(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    with pytest.raises(UsageError, match="choose one of the two"):
        open_run(store.uri, run.run_id, channel="web")
    with pytest.raises(UsageError, match="there is no run absent"):
        repair_chain(store, "absent")
    with pytest.raises(KeyError):
        open_run(store.uri).crops(["no such column"])


def test_committed_runs_come_latest_first_and_damaged_ones_are_named(store: Store) -> None:
    first = run_all(open_ledger(store, make_inputs(1)))
    second = run_all(open_ledger(store, make_inputs(2)))
    assert [run.run_id for run in stored_runs(store).committed] == [second.run_id, first.run_id]
    store.write(run_key(first.run_id, "_MANIFEST.json"), b"{")
    runs = stored_runs(store)
    assert [run.run_id for run in runs.committed] == [second.run_id]
    assert first.run_id in str(runs.damaged[first.run_id])


def test_every_state_of_a_run_is_described(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(4))
    for task, rows in ((0, {"ok": 2, "throttled": 1}), (1, {"ok": 1})):
        tables = done(ledger.task_inputs(task), {1: "transient"} if task == 0 else None)
        ledger.commit_task(task, tables, Figures(statuses=rows))
    done_run = ledger.finish({})
    open_one = open_ledger(store, make_inputs(5, start=50))
    open_one.commit_task(0, done(open_one.task_inputs(0)))
    given_up = open_ledger(store, make_inputs(2, start=80))
    store.create_once(
        run_key(given_up.run_id, "_MANIFEST.json"),
        b'{"format": 1, "verdict": "abandoned", "committed_at": 7.0}',
    )
    store.write("runs/_notes/x", b"")
    store.write(run_key("f" * 20, "_MANIFEST.json"), b"{")
    told = {line["run_id"]: line for line in list_runs(store)}
    assert told.keys() == {done_run.run_id, open_one.run_id, given_up.run_id, "f" * 20}
    line = told[done_run.run_id]
    assert (line["state"], line["images"], line["tasks"], line["parent"]) == (
        "committed",
        4,
        2,
        None,
    )
    assert (line["standing"], line["channel"]) == ("live", channel_name(SPEC.settings))
    assert line["statuses"] == {"ok": 3, "throttled": 1}
    assert (line["unsettled"], line["committed_at"]) == (1, done_run.committed_at)
    assert line["tables"]["images"]["rows"] == 4
    assert line["verdict"] == done_run.verdict
    assert told[open_one.run_id] == {
        "run_id": open_one.run_id, "images": 5, "tasks": 2, "parent": None, "state": "open",
        "tasks_done": 1,
    }  # fmt: skip
    assert told[given_up.run_id] == {
        "run_id": given_up.run_id, "state": "abandoned", "since": 7.0
    }  # fmt: skip
    assert told["f" * 20]["state"] == "damaged"
    with pytest.raises(RecordError):
        describe_run(store, "f" * 20, standing(store))


def test_a_whole_run_is_verified_and_counted(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(5)), failed={0: "permanent"})
    found = verify_run(store, run.run_id)
    files = [
        *store.list(f"_data/images/run={run.run_id}/"),
        *store.list(f"_data/crops/run={run.run_id}/"),
    ]
    assert (found.problems, found.erased) == ([], 0)
    assert (found.files, found.bytes) == (len(files), sum(info.bytes for info in files))
    assert found.rows == {"images": 5, "crops": 3}
    with pytest.raises(LedgerError):
        verify_run(store, open_ledger(store, make_inputs(1, start=90)).run_id)


def test_a_task_s_record_counts_its_own_requests(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(2))
    tables = done(ledger.task_inputs(0), {0: "transient", 1: "permanent"})
    before = store.requests["put"]
    record = ledger.commit_task(0, tables, Figures(crops=5), late=lambda: Figures(crop_bytes=7))
    assert store.requests["put"] - before == record.metrics.requests["put"] == 3  # and the record
    assert (record.metrics.crops, record.metrics.crop_bytes) == (5, 7)
    assert record.unsettled == (make_inputs(1)["image_id"][0].as_py(),)
    assert (record.task, record.images, len(record.files)) == (0, 2, 2)
    assert ledger.record(0) == record
    assert ledger.commit_task(0, tables) == record, "the first attempt counts"


def test_two_runs_are_compared(store: Store) -> None:
    """Photos 0 to 3 and 2 to 5: two in common; of these one failed later, one crop moved."""
    old = run_all(open_ledger(store, make_inputs(4)))
    ledger = open_ledger(store, make_inputs(4, start=2), weights_sha256="bb" * 32)
    for task in ledger.pending():
        tables = done(ledger.task_inputs(task), failed={0: "permanent"} if task == 0 else None)
        crops = tables["crops"]
        at = crops.schema.get_field_index("x1")
        moved = pa.array([1.004 if task else 1.5] * len(crops), crops.schema.field("x1").type)
        tables["crops"] = crops.set_column(at, crops.schema.field("x1"), moved)
        ledger.commit_task(task, tables)
    new = ledger.finish({})
    uris = make_inputs(6)["uri"].to_pylist()
    told = compare_runs(store, RunPair.of(store, old.run_id, new.run_id))
    assert (told["old"], told["new"]) == (old.run_id, new.run_id)
    assert told["settings"][0].startswith("the weights was ")
    assert told["images"] == {
        "both": 2, "only_old": 2, "only_new": 2, "status_changed": 1, "content_changed": 0,
    }  # fmt: skip
    assert told["status_examples"] == [{"uri": uris[2], "old": "ok", "new": "corrupt"}]
    assert told["crops"] == {
        "both": 1, "only_old": 3, "only_new": 2, "moved": 1, "of_changed_photos": 0,
    }  # fmt: skip
    assert told["moved_examples"] == [
        {"uri": uris[3], "ratio": "1:1", "rank": 0, "old": (0.0, 0.0, 1.0, 1.0),
         "new": (0.0, 0.0, 1.5, 1.0)}
    ]  # fmt: skip
    same = compare_runs(store, RunPair.of(store, old.run_id, old.run_id))
    assert (same["settings"], same["status_examples"], same["moved_examples"]) == ([], [], [])


def test_a_crop_of_a_photo_with_another_content_has_not_moved(tmp_path: Path) -> None:
    """One whose photo's content is not known in both runs has: the boxes are all there is."""
    contents = {"same": ("one", "one"), "other": ("one", "two"), "unknown": ("one", None)}
    runs = []
    for night, left in enumerate((0.0, 50.0)):
        images = [image_row(uri, content_sha256=both[night]) for uri, both in contents.items()]
        crops = [crop_row(uri, "1:1", (left, 0, left + 200, 200)) for uri in contents]
        crops.append(crop_row("other", "16:9", (0, 0, 320, 180)))  # the same place in each
        runs.append(commit_rows(tmp_path, images, crops, settings={"top_k": night + 1}))
    ids = [str(run.manifest["run_id"]) for run in runs]
    store = open_store(str(tmp_path))
    told = compare_runs(store, RunPair.of(store, *ids))
    assert told["images"]["content_changed"] == 1
    assert told["content_examples"] == [{"uri": "other", "old": "one", "new": "two"}]
    assert told["crops"] == {
        "both": 4, "only_old": 0, "only_new": 0, "moved": 2, "of_changed_photos": 2,
    }  # fmt: skip
    assert [one["uri"] for one in told["moved_examples"]] == ["same", "unknown"]


def test_a_box_differs_from_a_hundredth_of_a_pixel_on() -> None:
    row = {"uri": "u/a.jpg", "ratio": "1:1", "rank": 0, "x0": 1.004, "y0": 2.0, "x1": 3.0,
           "y1": 4.0}  # fmt: skip
    ((key, box),) = _boxes(pa.Table.from_pylist([row])).items()
    assert (key, box) == (("u/a.jpg", "1:1", 0), (1.0, 2.0, 3.0, 4.0))
    ((_, moved),) = _boxes(pa.Table.from_pylist([{**row, "x0": 1.006}])).items()
    assert moved == (1.01, 2.0, 3.0, 4.0)
