"""The complete results of describing, verifying and comparing, for runs small enough to count."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.ledger.audit import Verification, describe_run, verify_run
from pipeline.ledger.channels.channel import channel_name
from pipeline.ledger.channels.live import standing
from pipeline.ledger.differences import RunPair, compare_runs
from pipeline.ledger.erasing import erase
from pipeline.ledger.figures import Figures
from pipeline.ledger.layout import data_key, manifest_key
from pipeline.ledger.manifest import data_files
from pipeline.ledger.records import Manifest
from pipeline.ledger.row_balance import RowBalance
from pipeline.ledger.tables import parquet_bytes
from pipeline.storage.store import Store
from tests.support.forgotten import with_one_forgotten
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

IDS = make_inputs(60)["image_id"].to_pylist()
IDS_OF_NOBODY = "ff" * 16
NINTH = f"the one with image_id {IDS[9]}"  # in no list of three photos


def changed(store: Store, manifest: Manifest, **names: Any) -> None:
    """Write a manifest again with other values."""
    document = {**dict(manifest.document), **names}
    Path(store.uri, manifest_key(manifest.run_id)).write_text(json.dumps(document))


def test_a_committed_run_is_described_in_full(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(4))
    tables = [done(ledger.task_inputs(n), {0: "transient"} if n else None) for n in range(2)]
    for n, statuses in enumerate(({"ok": 3}, {"throttled": 1})):
        ledger.commit_task(n, tables[n], Figures(statuses=statuses))
    job = {"input": "s3://in/", "promote": "auto", "channel": "shop"}
    run = ledger.finish({"job": job, "session": {"wall_s": 2.5}, "verdict": "fine"})
    sizes = {
        table: sum(file.bytes for file in data_files(store, run, table))
        for table in ("images", "crops")
    }
    assert describe_run(store, run.run_id, standing(store)) == {
        "run_id": run.run_id, "images": 4, "tasks": 2, "parent": None, "state": "committed",
        "standing": "candidate", "channel": "shop", "live": {}, "verdict": "fine",
        "committed_at": run.committed_at,
        "tables": {
            "images": {"files": 2, "rows": 4, "bytes": sizes["images"]},
            "crops": {"files": 2, "rows": 3, "bytes": sizes["crops"]},
        },
        "statuses": {"ok": 3, "throttled": 1}, "unsettled": 1, "input": "s3://in/",
        "settings": dict(SPEC.settings), "wall_s": 2.5,
    }  # fmt: skip
    told = describe_run(store, run_all(open_ledger(store, make_inputs(1))).run_id, standing(store))
    assert told["channel"] == channel_name(SPEC.settings)


def test_what_a_verification_begins_with() -> None:
    assert asdict(Verification("run")) == {
        "run_id": "run", "files": 0, "bytes": 0, "rows": {}, "crop_files": 0, "collected": 0,
        "erased": 0, "problems": [],
    }  # fmt: skip


def test_a_data_file_that_is_gone_or_of_other_rows_is_named_with_what_it_costs(
    store: Store,
) -> None:
    run = run_all(open_ledger(store, make_inputs(4)))
    first = data_files(store, run, "images")[0]
    data = store.read(first.key)
    Path(store.uri, first.key).unlink()
    gone, lost = verify_run(store, run.run_id).problems
    assert gone == f"{first.key} is gone. Restore it from a copy."
    assert lost == "3 photos have no row, the first is s3://ugc/000000.jpg"
    Path(store.uri, first.key).write_bytes(b"\0" * len(data))  # as long as it was
    changed_one, _ = verify_run(store, run.run_id).problems
    assert changed_one == f"{first.key} was changed: its hash is not the committed one"
    Path(store.uri, first.key).write_bytes(data)
    listed = read_files(store, run)
    listed[0]["rows"] = 5
    write_files(store, run, listed)
    assert verify_run(store, run.run_id).problems == [
        f"{first.key} has 3 rows, not 5 as committed",
        "images: 6 rows, not 4 as committed",
        "3 photos have no row, the first is s3://ugc/000000.jpg",
    ]


def read_files(store: Store, run: Manifest) -> list[dict[str, Any]]:
    return [
        {"table": f.table, "key": f.key, "rows": f.rows, "bytes": f.bytes, "sha256": f.sha256}
        for f in data_files(store, run)
    ]


def write_files(store: Store, run: Manifest, rows: list[dict[str, Any]]) -> None:
    """Let a run's list of files say something else, with the hash that its manifest holds."""
    data = parquet_bytes(pa.Table.from_pylist(rows))
    Path(store.uri, run.files.key).write_bytes(data)
    entry = {**dict(run.document["files"]), "sha256": hashlib.sha256(data).hexdigest()}
    changed(store, run, files=entry)


def test_totals_of_a_manifest_that_its_files_do_not_have(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(4)))
    tables = dict(run.document["tables"])
    changed(store, run, tables={**tables, "crops": {**tables["crops"], "rows": 9}})
    assert verify_run(store, run.run_id).problems == ["crops: 4 rows, not 9 as committed"]


@pytest.mark.parametrize(
    ("found", "erased", "problems"),
    [
        ([[0, 1], [2]], (), []),
        ([[0, 2]], (1,), []),
        ([[0], [2]], (), ["1 photo has no row, the first is s3://ugc/000001.jpg"]),
        ([[0, 1, 2, 1]], (), ["1 photo has too many rows, the first is s3://ugc/000001.jpg"]),
        ([[0, 1, 2]], (2,), ["1 photo has too many rows, the first is s3://ugc/000002.jpg"]),
        ([[1, 2, 9]], (), ["1 photo has no row, the first is s3://ugc/000000.jpg",
                           f"1 photo has too many rows, the first is {NINTH}"]),
        ([[1, 1, 9]], (), ["2 photos have no row, the first is s3://ugc/000000.jpg",
                           "2 photos have too many rows, the first is s3://ugc/000001.jpg"]),
    ],
)  # fmt: skip
def test_each_photo_of_the_list_has_one_row(
    store: Store, found: list[list[int]], erased: tuple[int, ...], problems: list[str]
) -> None:
    ledger = open_ledger(store, make_inputs(3))
    balance = RowBalance(store, ledger.spec)
    for number, rows in enumerate([*found, erased]):
        balance.take_off(data_key(ledger.run_id, "images", number, "a"), [IDS[n] for n in rows])
    assert balance.problems() == problems


def test_few_ids_are_in_memory_while_rows_are_counted(store: Store) -> None:
    """200 tasks of three photos, in input files of 64 tasks; in any order the result is the same.

    The expected numbers are those of the whole list at once.
    """
    inputs = make_inputs(600)
    ledger = open_ledger(store, inputs)
    ids = inputs["image_id"].to_pylist()
    rows = [ids[3 * task : 3 * task + 3] for task in range(200)]
    del rows[150][1]  # photo 451 has no row, 21 has two, and one is in no list
    rows[199] += [ids[21], IDS_OF_NOBODY]
    counts = Counter(ids)
    counts.subtract(one for task in rows for one in task)
    assert {one: count for one, count in counts.items() if count} == {
        ids[451]: 1, ids[21]: -1, IDS_OF_NOBODY: -1
    }  # fmt: skip
    problems = [
        "1 photo has no row, the first is s3://ugc/000451.jpg",
        "2 photos have too many rows, the first is s3://ugc/000021.jpg",
    ]
    for backwards in (False, True):
        balance, most = RowBalance(store, ledger.spec), 0
        for task in sorted(range(200), reverse=backwards):
            balance.take_off(data_key(ledger.run_id, "images", task, "a"), rows[task])
            most = max(most, balance.held)
        assert backwards or most == 63 * 3, "one input file, less its first task"
        assert balance.problems() == problems


def test_a_run_verifies_after_each_file_that_a_photo_is_erased_from(store: Store) -> None:
    run, erasures = with_one_forgotten(store)
    found = sorted(erasures, key=lambda one: one.key)
    assert [one.is_list for one in found] == [False, False, True]
    for one in (found[1], found[0], found[2]):  # the rows of `images` first, then those of `crops`
        erase(store, one)
        verified = verify_run(store, run.run_id)
        assert (verified.problems, verified.erased) == ([], 1)


def test_lists_of_failed_photos_that_are_gone_or_of_another_length(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(4)), failed={0: "transient"})  # 0 and 3
    assert run.failures is not None
    lists = {name: dict(run.document[name]) for name in ("unsettled", "failures")}
    longer = {name: {**entry, "rows": 7} for name, entry in lists.items()}
    changed(store, run, **longer)
    assert verify_run(store, run.run_id).problems == [
        f"{run.unsettled.key} has 2 photos, not 7 as committed",
        f"{run.failures.key} has 2 photos, not 7 as committed",
    ]
    changed(store, run)
    for key in (run.unsettled.key, run.failures.key):
        Path(store.uri, key).unlink()
    problems = verify_run(store, run.run_id).problems
    assert [problem.split()[0] for problem in problems] == [run.unsettled.key, run.failures.key]
    assert run.unsettled.key.startswith(f"runs/{run.run_id}/unsettled-")
    assert run.failures.key.startswith(f"runs/{run.run_id}/failures-")
    assert run.files.key.startswith(f"runs/{run.run_id}/files-")


def test_a_comparison_names_twenty_of_each_sort(store: Store) -> None:
    """Of 42 photos 21 failed later, and the crops of the other 21 moved."""
    old = run_all(open_ledger(store, make_inputs(42), task_images=42))
    ledger = open_ledger(store, make_inputs(43), task_images=43, code_version="next")
    tables = done(ledger.task_inputs(0), dict.fromkeys(range(21), "permanent"))
    crops = tables["crops"]
    place, field = crops.schema.get_field_index("y1"), crops.schema.field("y1")
    tables["crops"] = crops.set_column(place, field, pa.array([7.0] * len(crops), field.type))
    ledger.commit_task(0, tables)
    told = compare_runs(store, RunPair.of(store, old.run_id, ledger.finish({}).run_id))
    assert told["images"] == {
        "both": 42, "only_old": 0, "only_new": 1, "status_changed": 21, "content_changed": 0,
    }  # fmt: skip
    assert told["crops"] == {
        "both": 21, "only_old": 21, "only_new": 1, "moved": 21, "of_changed_photos": 0,
    }  # fmt: skip
    uris = make_inputs(43)["uri"].to_pylist()
    assert [one["uri"] for one in told["status_examples"]] == uris[:20]
    assert [one["uri"] for one in told["moved_examples"]] == uris[21:41]
    assert told["moved_examples"][0]["new"] == (0.0, 0.0, 1.0, 7.0)


def test_a_run_without_photos_is_whole(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(0)))
    assert (run.rows, run.tasks, dict(run.tables)) == (0, 0, {})
    found = verify_run(store, run.run_id)
    assert (found.problems, found.files, found.rows) == ([], 0, {})
