"""What is removed and when, rows looked up by photo, and recorded numbers."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger import erasing, pinned
from pipeline.ledger.audit import describe_run
from pipeline.ledger.author import whoami
from pipeline.ledger.channels.live import standing
from pipeline.ledger.erasing import Erasure, erase, find_erasures
from pipeline.ledger.figures import Cost, Figures
from pipeline.ledger.forgetting import (
    ForgottenVersion,
    forget,
    prune,
    read_forgotten,
    take_back,
)
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.layout import run_key, task_key
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.pinned import _as_record_error, input_key, pin, read_spec
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion.crop_files import LiveFile, live_files, old_files
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.promotion.publishing import PublishedFiles, publish_files
from pipeline.ledger.records import Manifest
from pipeline.ledger.stored_rows import rows_of_task
from pipeline.ledger.table_formats.iceberg_files import WantedFile, write_copy
from pipeline.ledger.table_formats.published_rows import write_delta_copy
from pipeline.ledger.totals import RunTotals
from pipeline.ledger.versions import Versions
from pipeline.schema import CROP_FILES
from pipeline.storage.store import Store
from tests.support.forgotten import with_one_forgotten
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

IDS = make_inputs(9)["image_id"].to_pylist()
AGE_S = 1e9


def whys(store: Store, older_than_s: float = AGE_S) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in look_for_garbage(store, older_than_s).garbage:
        found[one.why] = found.get(one.why, 0) + 1
    return found


def test_what_is_left_of_a_collection_that_was_killed_goes_at_any_age(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of the new file is there, and the old one is not deleted yet."""
    _, erasures = with_one_forgotten(store)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "delete", lambda *_: None)
        for one in erasures:
            erase(store, one)
    assert whys(store) == {"replaced file": 3}
    remove_garbage(store, look_for_garbage(store, AGE_S).garbage)
    assert whys(store, -60) == {}


def test_a_file_that_somebody_else_has_written_again_is_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, (one, *_) = with_one_forgotten(store)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "delete", lambda *_: None)
        erase(store, one)
    before = {info.key for info in store.list("")}
    assert erase(store, one) >= 0
    assert {info.key for info in store.list("")} == before - {one.key}
    for key in ("elsewhere/x", "runs/x"):
        store.write(key, store.read(run_key(run.run_id, "spec.json")))
    with pytest.raises(LedgerError, match="is no data file"):
        erasing._new_key(Erasure("r", "elsewhere/x", "elsewhere/x", ("a",)))


def test_no_object_is_overwritten_by_a_file_that_is_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, (one, *_) = with_one_forgotten(store)
    taken = run_key(run.run_id, "input/taken.parquet")
    store.write(taken, b"another's")
    monkeypatch.setattr(erasing, "_new_key", lambda _: taken)
    with pytest.raises(LedgerError, match="was there before, though its name is drawn"):
        erase(store, one)
    assert store.read(taken) == b"another's"
    assert store.exists(one.key)


def test_ages_are_counted_from_the_last_writing(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(2))
    for mark in "ab":
        ledger.commit_task(0, done(ledger.task_inputs(0), mark=mark))
    ledger.finish({})
    for file in Path(store.uri).rglob("*"):
        os.utime(file, (1000.0, 1000.0))
    assert look_for_garbage(store, 10, now_s=1010.0).garbage == []
    assert {one.why for one in look_for_garbage(store, 10, now_s=1010.5).garbage} == {"orphan"}
    begun = open_ledger(store, make_inputs(2, start=5))
    for file in Path(store.uri, "runs", begun.run_id).rglob("*"):
        os.utime(file, (2000.0, 2000.0))
    assert "abandoned run" not in {
        one.why for one in look_for_garbage(store, 10, now_s=2010.0).garbage
    }
    found = look_for_garbage(store, 10, now_s=2010.5).garbage
    left = [one.info.key for one in found if one.why == "abandoned run"]
    assert [key.split("/")[2] for key in left] == ["input"]  # its spec stays


def test_data_without_any_record_is_that_of_a_run_to_be_given_up(store: Store) -> None:
    stray = f"_data/crops/run={'a' * 20}/00000000-b.parquet"
    named = f"crops/{'a' * 20}/x.webp"
    for key in (stray, named):
        store.write(key, b"12")
    assert whys(store) == {}
    found = look_for_garbage(store, -60)
    assert [(one.info.key, one.run_id, one.why) for one in found.garbage] == [
        (key, "a" * 20, "abandoned run") for key in (stray, named)
    ]
    assert remove_garbage(store, found.garbage) == 4
    assert not Ledger(store, "a" * 20).is_committed


def test_galleries_of_runs_that_repair_a_run_go_with_its_forgotten_photos(store: Store) -> None:
    first = run_all(open_ledger(store, make_inputs(3)), failed={1: "transient", 2: "transient"})
    retry = run_all(open_ledger(store, make_inputs(1, start=1), parent=first.run_id))
    again = run_all(open_ledger(store, make_inputs(1, start=2), parent=retry.run_id))
    other = run_all(open_ledger(store, make_inputs(1, start=7)))
    for run in (first, retry, again, other):
        store.write(f"runs/{run.run_id}/gallery/index.html", b"<p>")
    forget(store, [IDS[0]])
    found = look_for_garbage(store, AGE_S).garbage
    shown = {one.run_id for one in found if one.why == "gallery"}
    assert shown == {first.run_id, retry.run_id, again.run_id}
    assert {one.why for one in found} == {"forgotten photos", "gallery"}


def named(store: Store, channel: str, names: dict[int, str], etag: str = "v1") -> Manifest:
    """A run whose crops are objects under names; by number of the photo."""
    inputs = pa.concat_tables([make_inputs(1, etag, n) for n in names])
    ledger = open_ledger(store, inputs)
    for n in ledger.pending():
        tables = done(ledger.task_inputs(n))
        crops, rows = tables["crops"], []
        for row in crops.to_pylist():
            name = names[int(row["uri"][-10:-4])]
            key = f"crops/{ledger.run_id}/{name}"
            store.write(key, f"{name} {etag}".encode())
            rows.append({**dict.fromkeys(CROP_FILES.names), "image_id": row["image_id"],
                         "ratio": "1:1", "rank": 0, "name": name, "key": key,
                         "sha256": row["sha256"]})  # fmt: skip
        place, field = crops.schema.get_field_index("file"), crops.schema.field("file")
        keys = pa.array([row["key"] for row in rows], field.type)
        tables["crops"] = crops.set_column(place, field, keys)
        tables["crop_files"] = pa.Table.from_pylist(rows, CROP_FILES)
        ledger.commit_task(n, tables)
    job = {"promote": "manual", "trial": False, "channel": channel}
    run = ledger.finish({"job": job})
    promote(store, run.run_id, Request())
    return run


def test_named_crops_are_published_kept_and_removed(store: Store) -> None:
    run = named(store, "web", {0: "a.webp", 1: "b.webp"})
    assert publish_files(store, "web") == PublishedFiles("web", copied=2, same=0, removed=0)
    assert publish_files(store, "web") == PublishedFiles("web", copied=0, same=2, removed=0)
    assert store.read("public/web/b.webp") == b"b.webp v1"
    assert [info.key for info in store.list("published/")] == ["published/web.parquet"]
    app = named(store, "app", {5: "a.webp"})
    assert publish_files(store, "app").copied == 1
    files = live_files(store, standing(store), "app")
    (crop,) = data_files(store, app, "crops")
    sha256 = pq.read_table(Path(store.uri, crop.key))["sha256"][0].as_py()
    key = f"crops/{app.run_id}/a.webp"
    assert files == {"a.webp": LiveFile(IDS[5], key, sha256)}
    assert list(old_files(store, standing(store))) == []
    forget(store, [IDS[0]])
    assert whys(store) == {"forgotten photos": 4, "crop file": 1, "published file": 1}
    remove_garbage(store, look_for_garbage(store, AGE_S).garbage)
    assert publish_files(store, "web") == PublishedFiles("web", copied=0, same=1, removed=0)
    assert [info.key for info in store.list("public/web/")] == ["public/web/b.webp"]
    store.write("public/web/b.webp", b"kept")
    rollback(store, "web")
    gone = [(one.why, one.run_id, one.info.key) for one in old_files(store, standing(store))]
    assert gone == [
        ("published file", "", "public/web/b.webp"),
        ("old crop file", run.run_id, f"crops/{run.run_id}/b.webp"),
    ]
    store.write(f"runs/{'b' * 20}/_MANIFEST.json", b"{")
    assert whys(store, -60) == {}, "nothing of this kind goes where a run is not known"
    assert publish_files(store, "web") == PublishedFiles("web", copied=0, same=0, removed=1)
    assert list(store.list("public/web/")) == []


def test_two_photos_of_one_name_and_the_same_one_twice(store: Store) -> None:
    named(store, "web", {0: "a.webp"})
    named(store, "web", {0: "a.webp"}, etag="v2")  # the same photo again, which takes its place
    assert len(live_files(store, standing(store), "web")) == 1
    named(store, "web", {1: "a.webp"})
    with pytest.raises(LedgerError, match="two live photos of channel web have the crop name"):
        live_files(store, standing(store), "web")


def test_crops_of_forgotten_photos_stay_where_a_run_is_not_known(store: Store) -> None:
    named(store, "web", {0: "a.webp"})
    forget(store, [IDS[0]])
    assert "crop file" in whys(store)
    store.write(f"runs/{'b' * 20}/_MANIFEST.json", b"{")
    assert "crop file" not in whys(store)
    assert look_for_garbage(store, 0).damaged.keys() == {"b" * 20}


@pytest.mark.parametrize("change", [forget, prune])
def test_who_forgets_is_told_where_nobody_says(store: Store, change: Any) -> None:
    change(store, ["a"])
    take_back(store, ["a"], why="again")
    versions = Versions(store, "forgotten/")
    first, second = (versions.read(n, ForgottenVersion) for n in (1, 2))
    assert (first.who, first.why) == (whoami(), "")
    assert (second.who, second.why) == (whoami(), "again")


def test_files_have_groups_of_a_hundred_rows(store: Store) -> None:
    inputs = make_inputs(250)
    run = run_all(open_ledger(store, inputs, task_images=250))
    forget(store, [inputs["image_id"][0].as_py()])

    def groups() -> Iterator[list[int]]:
        for folder in ("images", "crops"):
            (info,) = store.list(f"_data/{folder}/")
            yield groups_of(info.key)

    def groups_of(key: str) -> list[int]:
        about = pq.ParquetFile(Path(store.uri, key)).metadata
        return [about.row_group(n).num_rows for n in range(about.num_row_groups)]

    assert list(groups()) == [[100, 100, 50]] * 2
    for one in [*find_erasures(store, run, read_forgotten(store))]:
        erase(store, one)
    assert list(groups()) == [[100, 100, 49]] * 2
    rows = pa.table({"image_id": [str(n) for n in range(101)]})
    kept = write_delta_copy(store, "others", "x", rows)
    assert groups_of(f"_data/others/{kept.path}") == [100, 1]
    (info,) = store.list("_data/crops/")
    assert write_copy(store, WantedFile("_iceberg/a.parquet", info.key))
    assert groups_of("_iceberg/a.parquet") == [100, 100, 49]


def test_rows_of_some_photos_of_a_task(store: Store) -> None:
    spec = {"settings": {**SPEC.settings, "picture_column": "struct"}}
    run = run_all(open_ledger(store, make_inputs(4), **spec), failed={1: "permanent"})
    found = rows_of_task(store, run.run_id, 0, "crops", {IDS[0], IDS[1], IDS[3]})
    assert list(found) == [IDS[0]]
    (row,) = found[IDS[0]]
    assert (row["image"], row["ratio"]) == (b"s3://ugc/000000.jpg", "1:1")
    second = rows_of_task(store, run.run_id, 1, "images", IDS[:4])
    assert [(name, rows[0]["status"]) for name, rows in second.items()] == [(IDS[3], "ok")]
    for task, table in ((2, "crops"), (0, "previews")):
        assert rows_of_task(store, run.run_id, task, table, IDS) == {}
    open_one = open_ledger(store, make_inputs(1, start=8))
    assert rows_of_task(store, open_one.run_id, 0, "crops", IDS) == {}


def test_a_list_is_pinned_in_files_of_sixty_four_tasks(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(65), task_images=1)
    plan = ledger.spec.plan
    assert (plan.rows, plan.tasks, plan.tasks_per_file) == (65, 65, 64)
    uris = make_inputs(65)["uri"].to_pylist()
    assert [(f.rows, f.first_uri, f.last_uri) for f in plan.files] == [
        (64, uris[0], uris[63]), (1, uris[64], uris[64]),
    ]  # fmt: skip
    for file in plan.files:
        assert file.bytes == len(store.read(input_key(ledger.run_id, file.sha256)))
    assert ledger.task_inputs(64)["uri"].to_pylist() == uris[64:]
    with pytest.raises(LedgerError, match="the plan has 65 rows and the input list 3"):
        pin(store, SPEC, make_inputs(3), cut_tasks(make_inputs(65)))
    assert pinned.TASKS_PER_FILE == 64
    for error in (IndexError("no group"), pa.ArrowInvalid("odd")):
        with (
            pytest.raises(RecordError, match=r"is not what the plan says: (no group|odd)"),
            _as_record_error("r", plan.files[0]),
        ):
            raise error
    assert read_spec(store, ledger.run_id).footer == {
        "run_id": ledger.run_id, "settings": dict(SPEC.settings), "detector": "none 1",
        "weights_sha256": "aa" * 32, "code_version": "test",
    }  # fmt: skip


def test_a_record_of_a_task_too_many_is_ignored(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(4))
    store.write(task_key(ledger.run_id, 2), b"?")
    assert ledger.pending() == [0, 1]
    assert run_all(ledger).rows == 4


def test_seconds_are_told_to_the_thousandth() -> None:
    totals = RunTotals("r", 3, 1)
    costs = {"read": Cost(cpu_s=0.12345, requests=2)}
    statuses = {"ok": 3}
    requests = {"get": 1}
    totals.task_done(
        0, Figures(seconds={"read": 1.23456}, costs=costs, statuses=statuses, requests=requests)
    )
    told = totals.as_dict()
    assert told["stage_seconds"] == {"read": 1.235}
    assert told["costs"] == {"read": {"cpu_s": 0.123, "requests": 2}}
    assert told["storage_requests_per_image"] == 0.3333
    order = {"10": 1, "9": 2, "0.5": 3}
    totals.task_done(1, Figures(confidence=order, reasons={"b": 1, "a": 2}))
    assert list(totals.as_dict()["crops_by_confidence"]) == ["0.5", "9", "10"]
    assert list(totals.as_dict()["crops_by_reason"]) == ["a", "b"]


def test_a_run_given_up_by_an_earlier_release_says_no_time(store: Store) -> None:
    ledger = open_ledger(store, make_inputs(1))
    stone = b'{"format": 1, "verdict": "abandoned"}'
    store.create_once(run_key(ledger.run_id, "_MANIFEST.json"), stone)
    assert describe_run(store, ledger.run_id, standing(store)) == {
        "run_id": ledger.run_id, "state": "abandoned", "since": 0.0,
    }  # fmt: skip


def test_the_types_of_a_list_are_told_beside_those_of_the_run_s_own_channel(store: Store) -> None:
    def night(channel: str, start: int, values: pa.Array) -> Manifest:
        inputs = make_inputs(1, start=start).append_column("shop", values)
        run = run_all(open_ledger(store, inputs), promote="manual", trial=False, channel=channel)
        promote(store, run.run_id, Request())
        return run

    night("web", 0, pa.array(["a"]))
    assert "unified" not in night("app", 1, pa.array([1])).document
    last = night("web", 2, pa.array([1])).document
    assert last["unified"]["shop"]["type"] == "string"


def test_the_same_footer_gives_the_same_bytes(store: Store) -> None:
    run = run_all(open_ledger(store, make_inputs(1)))
    (file,) = data_files(store, run, "images")
    footer = pq.read_schema(Path(store.uri, file.key)).metadata[b"s2cnet"]
    assert footer.startswith(b'{"code_version": "test", "detector": "none 1", "run_id": ')
    again = read_committed(store, run.run_id)
    assert again is not None
    assert replace(again, rows=1).committed_at <= time.time()
