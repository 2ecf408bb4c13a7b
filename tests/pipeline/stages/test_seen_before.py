"""A photo whose bytes an earlier run processed reuses that result, whatever its address."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import open_run
from pipeline.errors import UsageError
from pipeline.inputs.listing import image_id
from pipeline.inputs.lists import read_list
from pipeline.job import plan
from pipeline.ledger.audit import verify_run
from pipeline.ledger.coverage import seen
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.manifest import data_files, read_committed
from pipeline.ledger.pinned import input_rows, read_spec
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.report.progress import Log
from pipeline.stages.crop import DetectScore
from pipeline.stages.worker import end_worker
from pipeline.storage.store import open_store
from tests.support.odd_photos import scene
from tests.support.one_process import run_here, settings_of

OWN = {"image_id", "uri", "etag", "same_as", "run_id", "processed_at"}
OWN |= {f"{stage}_s" for stage in ("read", "decode", "detect", "score", "encode")}
TABLES = ("images", "crops", "candidates", "previews")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    photos = tmp_path / "in"
    photos.mkdir()
    for name, side in (("a", 120), ("b", 160), ("c", 140)):
        Image.fromarray(scene(side, 100)).save(photos / f"{name}.jpg")
    yield photos
    end_worker()


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many photos were decoded, and scored."""
    counts = {"decoded": 0, "scored": 0}
    decode, score = Decoder.decode, DetectScore.score

    def noted_decode(self: Decoder, data: bytes, *more: Any) -> Any:
        counts["decoded"] += 1
        return decode(self, data, *more)

    def noted_score(self: DetectScore, *given: Any) -> None:
        counts["scored"] += 1
        score(self, *given)

    monkeypatch.setattr(Decoder, "decode", noted_decode)
    monkeypatch.setattr(DetectScore, "score", noted_score)
    return counts


def rows_of(output: str, run_id: str, uri: str) -> dict[str, list[dict[str, Any]]]:
    """A photo's rows in one run by table, but for what is its own."""
    run, name = open_run(output, run_id), image_id(uri)
    found = {table: getattr(run, table)().to_pylist() for table in TABLES}
    return {
        table: [
            {key: value for key, value in row.items() if key not in OWN}
            for row in rows
            if row["image_id"] == name
        ]
        for table, rows in found.items()
    }


def told(output: str, run_id: str) -> dict[str, str | None]:
    rows = open_run(output, run_id).images(["uri", "same_as"]).to_pylist()
    return {Path(row["uri"]).stem: row["same_as"] for row in rows}


def test_moved_and_touched_photos_are_not_decoded_again(
    folder: Path, worked: dict[str, int]
) -> None:
    first = run_here(settings_of(folder))
    output, old = str(folder.parent / "out"), str(folder / "a.jpg")
    before = rows_of(output, first.run_id, old)
    shutil.move(old, folder / "moved.jpg")
    os.utime(folder / "b.jpg", (1, 1))
    Image.fromarray(scene(180, 100)).save(folder / "new.jpg")
    worked.update(decoded=0, scored=0)
    second = run_here(settings_of(folder))
    assert worked == {"decoded": 1, "scored": 1}
    ids = {name: image_id(str(folder / f"{name}.jpg")) for name in "ab"}
    assert told(output, second.run_id) == {"moved": ids["a"], "b": ids["b"], "new": None}
    assert second.metrics.shared == 2
    moved = rows_of(output, second.run_id, str(folder / "moved.jpg"))
    assert moved == before
    assert [len(moved[table]) > 0 for table in TABLES] == [True] * 4
    assert verify_run(open_store(output), second.run_id).problems == []
    images = open_run(output, second.run_id).images()
    assert images.column_names == open_run(output, first.run_id).images().column_names
    # Nothing is left to do, and a third night with another photo still sees through the second.
    assert plan(settings_of(folder), Log()).todo.inputs.num_rows == 0
    shutil.copy(folder / "moved.jpg", folder / "copy.jpg")
    third = run_here(settings_of(folder))
    assert worked == {"decoded": 1, "scored": 1}
    assert rows_of(output, third.run_id, str(folder / "copy.jpg")) == before


def test_the_bytes_decide_and_not_their_number(folder: Path, worked: dict[str, int]) -> None:
    run_here(settings_of(folder))
    data = bytearray((folder / "a.jpg").read_bytes())
    data[-20] ^= 1
    (folder / "like_a.jpg").write_bytes(data)
    planned = plan(settings_of(folder), Log())
    assert "1 photo in 1 task (1 new), 1 of which look like bytes that are done" in planned.message
    assert planned.todo.inputs["_seen_in"].to_pylist()[0].endswith(image_id(str(folder / "a.jpg")))
    worked.update(decoded=0, scored=0)
    second = run_here(settings_of(folder))
    assert worked == {"decoded": 1, "scored": 1}
    assert told(str(folder.parent / "out"), second.run_id) == {"like_a": None}


def test_two_new_photos_of_bytes_that_are_known(folder: Path, worked: dict[str, int]) -> None:
    template = "{stem}/{ratio}.{format}"
    first = run_here(settings_of(folder, crop_files=template))
    for name in ("x", "y"):
        shutil.copy(folder / "a.jpg", folder / f"{name}.jpg")
    worked.update(decoded=0, scored=0)
    second = run_here(settings_of(folder, crop_files=template))
    assert worked == {"decoded": 0, "scored": 0}
    output = folder.parent / "out"
    ids = {name: image_id(str(folder / f"{name}.jpg")) for name in "ax"}
    assert told(str(output), second.run_id) == {"x": ids["a"], "y": ids["x"]}
    wanted = rows_of(str(output), first.run_id, str(folder / "a.jpg"))
    for name in ("x", "y"):
        rows = rows_of(str(output), second.run_id, str(folder / f"{name}.jpg"))
        for mine, theirs in zip(rows["crops"], wanted["crops"], strict=True):
            ratio = theirs["ratio"].replace(":", "x")
            assert mine["file"] == f"crops/{second.run_id}/{name}/{ratio}.webp"
        assert [{**crop, "file": 0} for crop in rows.pop("crops")] == [
            {**crop, "file": 0} for crop in wanted["crops"]
        ]
        assert rows == {table: wanted[table] for table in rows}
        for crop in open_run(str(output), second.run_id).crops().to_pylist():
            assert (output / crop["file"]).read_bytes() == crop["image"]


@pytest.mark.parametrize(
    ("changes", "photos", "decoded"),
    [
        ({"thumbnail_size": 40}, 4, 3),  # another result of all; x is a, in this run
        ({"mode": "full"}, 4, 3),  # asked to do all again
        ({"preview": 24}, 1, 1),  # the same crops, but another preview
        ({"preview": 0}, 1, 0),
    ],
)
def test_other_results_and_a_full_run_share_nothing(
    folder: Path, worked: dict[str, int], changes: dict[str, Any], photos: int, decoded: int
) -> None:
    run_here(settings_of(folder))
    shutil.copy(folder / "a.jpg", folder / "x.jpg")
    worked.update(decoded=0, scored=0)
    second = run_here(settings_of(folder, **changes))
    assert (second.rows, worked["decoded"]) == (photos, decoded)
    assert second.metrics.statuses == {"ok": photos}


def test_another_version_of_the_code_shares_nothing(
    folder: Path, worked: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_here(settings_of(folder))
    shutil.copy(folder / "a.jpg", folder / "x.jpg")
    monkeypatch.setattr("pipeline.job.planning.code_version", lambda: "0.0.1+000000000000")
    worked.update(decoded=0, scored=0)
    assert run_here(settings_of(folder)).rows == worked["decoded"] == 1


def test_a_word_of_a_person_and_boxes_are_not_shared(folder: Path, worked: dict[str, int]) -> None:
    people = folder.parent / "people.csv"
    people.write_text(f"uri,focus_x,focus_y\n{folder / 'a.jpg'},0.9,0.9\n{folder / 'x.jpg'},0,0\n")
    asked = {"overrides": str(people)}
    run_here(settings_of(folder, **asked))
    for old, new in ("az", "bx"):  # a has an override, and x another
        shutil.copy(folder / f"{old}.jpg", folder / f"{new}.jpg")
    worked.update(decoded=0, scored=0)
    second = run_here(settings_of(folder, **asked))
    assert told(str(folder.parent / "out"), second.run_id) == {"z": None, "x": None}
    assert worked == {"decoded": 2, "scored": 2}


def test_photos_with_boxes_of_a_list(folder: Path, worked: dict[str, int]) -> None:
    output, listed = str(folder.parent / "boxed"), folder.parent / "list.parquet"
    shutil.copy(folder / "a.jpg", folder / "x.jpg")
    shutil.copy(folder / "b.jpg", folder / "y.jpg")
    for names in ("ab", "abxy"):
        boxes = [None if name in "by" else [[10.0, 10.0, 60.0, 60.0]] for name in names]
        uris = [str(folder / f"{name}.jpg") for name in names]
        pq.write_table(pa.table({"uri": uris, "boxes": boxes, "shop": list(names)}), listed)
        worked.update(decoded=0, scored=0)
        run = run_here(settings_of(folder, input=str(listed), output=output))
    assert told(output, run.run_id) == {"x": None, "y": image_id(str(folder / "b.jpg"))}
    assert worked["decoded"] == 1
    shops = open_run(output, run.run_id).images(["shop"])["shop"].to_pylist()
    assert shops == ["x", "y"]  # a photo's own columns stay its own


@pytest.fixture
def bucket(folder: Path, s3: str) -> str:
    """The folder's photos as s3://…/in/, of which a run was made; a.jpg again as in/x.jpg."""
    for path in sorted(folder.iterdir()):
        boto3.client("s3").upload_file(str(path), s3[5:], f"in/{path.name}")
    run_here(settings_of(folder, input=f"{s3}/in/", output=f"{s3}/out"))
    boto3.client("s3").upload_file(str(folder / "a.jpg"), s3[5:], "in/x.jpg")
    return s3


def test_objects_are_known_by_their_etags(
    folder: Path, worked: dict[str, int], bucket: str
) -> None:
    old = folder / "c.jpg"  # the size of a photo is not enough for an object
    data = bytearray(old.read_bytes())
    data[-20] ^= 1
    old.write_bytes(data)
    boto3.client("s3").upload_file(str(old), bucket[5:], "in/like_c.jpg")
    settings = settings_of(folder, input=f"{bucket}/in/", output=f"{bucket}/out")
    todo = plan(settings, Log()).todo.inputs
    places = dict(zip(todo["uri"].to_pylist(), todo["_seen_in"].to_pylist(), strict=True))
    assert places[f"{bucket}/in/like_c.jpg"] is None
    worked.update(decoded=0, scored=0)
    second = run_here(settings)
    assert worked == {"decoded": 1, "scored": 1}
    assert told(settings.running.output, second.run_id) == {
        "x": image_id(f"{bucket}/in/a.jpg"), "like_c": None,
    }  # fmt: skip
    # A render of it and a run that goes on with its list have columns of the list alone.
    store = open_store(settings.running.output)
    pinned = pa.concat_tables(input_rows(store, read_spec(store, second.run_id)))
    assert pinned.column_names == ["image_id", "uri", "etag", "bytes"]
    smaller = RenderRequest(store.uri, second.run_id, {"thumbnail_size": 24})
    assert "_seen_in" not in plan_rendering(smaller).todo.inputs.column_names


@pytest.mark.parametrize("lost", ["forgotten", "rows", "list"])
def test_what_is_lost_is_done_again(
    folder: Path, worked: dict[str, int], bucket: str, lost: str
) -> None:
    settings = settings_of(folder, input=f"{bucket}/in/", output=f"{bucket}/out")
    store = open_store(settings.running.output)
    if lost == "forgotten":
        forget(store, [image_id(f"{bucket}/in/a.jpg")], why="asked by its owner")
    elif lost == "list":
        for info in list(store.list("runs/")):
            if "/input/" in info.key:
                store.write(info.key, b"damaged")
    else:
        plan(settings, Log()).begin()
        for manifest in [read_committed(store, run) for run in store.folders("runs/")]:
            for file in data_files(store, manifest, "images") if manifest else ():
                store.delete(file.key)
    worked.update(decoded=0, scored=0)
    second = run_here(settings)
    rows = open_run(store.uri, second.run_id).images().to_pylist()
    names = {Path(row["uri"]).stem: row for row in rows}
    assert second.metrics.statuses == {"ok": len(names)}
    if lost == "list":  # nothing is covered, and x has the result of a in this run
        assert (sorted(names), worked["decoded"]) == (["a", "b", "c", "x"], 3)
    else:
        assert (names["x"]["same_as"], sorted(names), worked["decoded"]) == (None, ["x"], 1)


def test_the_copy_stays_when_the_first_is_forgotten(folder: Path, bucket: str) -> None:
    settings = settings_of(folder, input=f"{bucket}/in/", output=f"{bucket}/out")
    second = run_here(settings)
    store, uri = open_store(settings.running.output), f"{bucket}/in/x.jpg"
    before = rows_of(store.uri, second.run_id, uri)
    forget(store, [image_id(f"{bucket}/in/a.jpg")], why="asked by its owner")
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert rows_of(store.uri, second.run_id, uri) == before
    for run in store.folders("runs/"):
        if not run.startswith("_"):
            assert verify_run(store, run).problems == []


def test_a_plan_looks_at_so_many_rows_of_earlier_lists(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_here(settings_of(folder))
    shutil.copy(folder / "a.jpg", folder / "x.jpg")

    assert plan(settings_of(folder), Log()).seen == 1
    for most, found in ((2, 0), (3, 1)):  # the earlier list has three
        monkeypatch.setattr(seen, "MAX_LISTED_ROWS", most)
        assert plan(settings_of(folder), Log()).seen == found


def test_a_plan_looks_at_the_latest_and_the_largest_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_here(settings_of(folder))
    for night, names in enumerate((("y", "y2"), ("z",))):
        for number, name in enumerate(names):
            photo = scene(150 + 40 * night + 20 * number, 90)
            Image.fromarray(photo).save(folder / f"{name}.jpg")
        run_here(settings_of(folder))
    for name in "ayz":  # of runs of three, two and one photos
        shutil.copy(folder / f"{name}.jpg", folder / f"copy of {name}.jpg")

    def seen_with(most_runs: int) -> set[str]:
        monkeypatch.setattr(seen, "MAX_RUNS", most_runs)
        rows = plan(settings_of(folder), Log()).todo.inputs.to_pylist()
        return {Path(row["uri"]).stem[-1] for row in rows if row.get("_seen_in")}

    assert [seen_with(most) for most in (0, 1, 2, 3, 4)] == [
        set(), {"a"}, {"a", "z"}, {"a", "y", "z"}, {"a", "y", "z"},
    ]  # fmt: skip


def test_a_list_may_not_say_where_its_photos_were_seen(tmp_path: Path) -> None:
    listed = tmp_path / "list.parquet"
    pq.write_table(pa.table({"uri": ["a.jpg"], "_seen_in": ["b"]}), listed)
    with pytest.raises(UsageError, match="_seen_in"):
        read_list(str(listed))
