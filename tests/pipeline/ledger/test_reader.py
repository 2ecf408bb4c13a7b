"""Readers see only committed rows, and of several runs the latest row of each image."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import LedgerError, UsageError
from pipeline.ledger.layout import run_key
from pipeline.ledger.reader import open_run
from pipeline.storage.store import open_store
from tests.support.tasks import done, make_inputs, open_ledger, run_all


def test_nothing_is_seen_before_the_commit(store_uri: str) -> None:
    ledger = open_ledger(open_store(store_uri), make_inputs(2))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    for run_id in (None, ledger.run_id):
        with pytest.raises(LedgerError, match="committed"):
            open_run(store_uri, run_id)


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    run_all(open_ledger(open_store(str(tmp_path)), make_inputs(5)))
    run = open_run(str(tmp_path))
    assert run.crops(["uri", "score"]).column_names == ["uri", "score"]
    assert run.candidates().num_rows == 0
    assert run.candidates(["score"]).column_names == ["score"]
    assert sum(part.num_rows for part in run.batches("crops")) == 5
    for read in (run.images, run.crops, lambda text: next(run.batches("crops", text))):
        with pytest.raises(UsageError, match=r"a list of names, for instance \['uri'\]"):
            read("uri")


def test_the_last_committed_row_of_each_image_counts(store_uri: str) -> None:
    store = open_store(store_uri)
    run_all(open_ledger(store, make_inputs(4)), mark=" first")
    newer = run_all(open_ledger(store, make_inputs(4, start=2)), mark=" second")
    run = open_run(store_uri)
    assert run.manifest == newer.document
    assert len(run.manifests) == 2
    assert sorted(run.images()["uri"].to_pylist()) == make_inputs(6)["uri"].to_pylist()
    pictures = {row["uri"][-8:-4]: row["image"] for row in run.crops().to_pylist()}
    assert {uri: image.split()[-1].decode() for uri, image in pictures.items()} == {
        "0000": "first", "0001": "first", "0002": "second", "0003": "second", "0004": "second",
        "0005": "second",
    }  # fmt: skip


def test_a_newer_failure_hides_the_older_crops(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    run_all(open_ledger(store, make_inputs(2)))
    run_all(open_ledger(store, make_inputs(2, etag="v2")), failed={0: "permanent"})
    run = open_run(str(tmp_path))
    assert sorted(run.images()["status"].to_pylist()) == ["corrupt", "ok"]
    assert run.crops()["uri"].to_pylist() == ["s3://ugc/000001.jpg"]


def test_a_retry_stands_before_its_parent(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    inputs = make_inputs(3)
    parent = run_all(open_ledger(store, inputs), failed={1: "transient"})
    retry = run_all(open_ledger(store, inputs.slice(1, 1), parent=parent.run_id))
    run_all(open_ledger(store, make_inputs(1, start=50)))
    repaired = open_run(str(tmp_path), retry.run_id)
    assert repaired.images()["status"].to_pylist() == ["ok"] * 3
    assert repaired.crops().num_rows == 3
    assert open_run(str(tmp_path), parent.run_id).crops().num_rows == 2


def test_an_abandoned_run_is_not_read_and_its_spec_begins_anew(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(2))
    store.create_once(
        run_key(ledger.run_id, "_MANIFEST.json"), b'{"format": 1, "verdict": "abandoned"}'
    )
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    with pytest.raises(LedgerError, match="was given up"):
        ledger.finish({})
    with pytest.raises(LedgerError, match="was given up"):
        open_run(str(tmp_path), ledger.run_id)
    again = open_ledger(store, make_inputs(2))
    assert again.run_id != ledger.run_id
    assert run_all(again).generation == 1
    assert open_run(str(tmp_path)).manifest["run_id"] == again.run_id


def test_a_path_opens_an_output_as_its_text_does(tmp_path: Path) -> None:
    run_all(open_ledger(open_store(str(tmp_path)), make_inputs(2)))
    assert open_run(tmp_path).manifest == open_run(str(tmp_path)).manifest


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"output_uri": None}, "output_uri must be a text, not None"),
        ({"output_uri": b"thumbs"}, "output_uri must be a text, not b'thumbs'"),
        ({"run_id": 5}, "run_id must be a text, not 5"),
        ({"channel": 5}, "channel must be a text, not 5"),
    ],
)
def test_an_argument_that_is_no_text_is_named(
    words: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        open_run(**{"output_uri": str(tmp_path), **words})
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ("crop", None, "no table 'crop': name one of images, crops, .*; did you mean crops"),
        (["crops"], None, r"no table \['crops'\]"),
        ("crops", 5, r"a list of names, for instance \['uri'\], not 5"),
        ("crops", ["uri", 5], r"a list of names, for instance \['uri'\], not \['uri', 5\]"),
        ("crops", ["uri", "score", "uri"], "columns names 'uri' twice"),
    ],
)
def test_a_wrong_table_or_list_of_columns_is_said(
    table: Any, columns: Any, told: str, tmp_path: Path
) -> None:
    run_all(open_ledger(open_store(str(tmp_path)), make_inputs(2)))
    run = open_run(str(tmp_path))
    with pytest.raises(UsageError, match=told):
        next(run.batches(table, columns))
    if table == "crops":
        with pytest.raises(UsageError, match=told):
            run.crops(columns)


def test_any_collection_of_names_is_a_list_of_columns(tmp_path: Path) -> None:
    run_all(open_ledger(open_store(str(tmp_path)), make_inputs(2)))
    run = open_run(str(tmp_path))
    for columns in (("uri", "score"), {"uri": 1, "score": 2}.keys(), iter(["uri", "score"])):
        assert run.crops(columns).column_names == ["uri", "score"]
