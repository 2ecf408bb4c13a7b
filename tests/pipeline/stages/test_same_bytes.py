"""Photos of a task with the same bytes share one result, and have separate rows."""

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
from pipeline.inputs.listing import image_id
from pipeline.job import plan
from pipeline.ledger.audit import verify_run
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.report.progress import Log, summary_lines
from pipeline.stages.read import read_decode
from pipeline.stages.same_bytes import SameBytes, copy_result
from pipeline.stages.task import PhotoRow
from pipeline.stages.wire import unpack
from pipeline.stages.worker import end_worker
from pipeline.storage.store import open_store
from tests.support.odd_photos import scene
from tests.support.one_process import run_here, settings_of

OWN = {"image_id", "uri", "etag", "same_as"}
TIMES = {"processed_at", *(f"{stage}_s" for stage in ("read", "decode", "detect", "score"))}
TIMES |= {"encode_s"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """a and c are the same photo, b another; x and z are the same broken file, y is a photo."""
    photos = tmp_path / "in"
    photos.mkdir()
    for name, side in (("a", 120), ("b", 160), ("y", 140)):
        Image.fromarray(scene(side, 100)).save(photos / f"{name}.jpg")
    shutil.copy(photos / "a.jpg", photos / "c.jpg")
    (photos / "x.jpg").write_bytes((photos / "b.jpg").read_bytes()[:300])
    shutil.copy(photos / "x.jpg", photos / "z.jpg")
    yield photos
    end_worker()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that were decoded."""
    sizes: list[int] = []
    plain = Decoder.decode

    def noted(self: Decoder, data: bytes, *more: Any) -> Any:
        sizes.append(len(data))
        return plain(self, data, *more)

    monkeypatch.setattr(Decoder, "decode", noted)
    return sizes


def by_name(rows: pa.Table) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        found.setdefault(Path(row["uri"]).stem, []).append(row)
    return found


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OWN | TIMES}


def test_the_later_one_has_the_result_of_the_first(folder: Path, decoded: list[int]) -> None:
    manifest = run_here(settings_of(folder))
    run = open_run(str(folder.parent / "out"))
    images = {name: rows[0] for name, rows in by_name(run.images()).items()}
    ids = {name: row["image_id"] for name, row in images.items()}
    told = {name: row["same_as"] for name, row in images.items() if row["same_as"] is not None}
    assert told == {"c": ids["a"]}  # and nothing of files that are no photos
    assert ids["a"] == image_id(images["a"]["uri"])
    assert len(decoded) == 5
    assert plain(images["c"]) == plain(images["a"])
    assert plain(images["z"]) == plain(images["x"])
    assert images["z"]["status"] != "ok" == images["c"]["status"]
    crops = by_name(run.crops())
    assert [plain(crop) for crop in crops["c"]] == [plain(crop) for crop in crops["a"]]
    assert {crop["image_id"] for crop in crops["c"]} == {ids["c"]}
    assert [len(crops[name]) for name in "abcy"] == [2, 2, 2, 2]
    assert list(crops) == ["a", "b", "c", "y"]  # in the order of the list
    previews = {row["image_id"]: row["image"] for row in run.previews().to_pylist()}
    assert previews[ids["c"]] == previews[ids["a"]]
    scored = run.candidates()["image_id"].to_pylist()
    assert scored.count(ids["c"]) == scored.count(ids["a"]) > 0
    assert manifest.metrics.shared == 1
    lines = summary_lines({"seconds": {}, "statuses": {}, "images": 6, "crops": 8, "shared": 2})
    assert "same bytes as another photo, result shared: 2 photos" in lines


def test_what_a_person_said_of_one_photo_is_not_shared(folder: Path, decoded: list[int]) -> None:
    overrides = folder.parent / "people.csv"
    overrides.write_text(f"uri,focus_x,focus_y\n{folder / 'a.jpg'},0.9,0.9\n")
    shutil.copy(folder / "a.jpg", folder / "d.jpg")
    run_here(settings_of(folder, overrides=str(overrides)))
    images = by_name(open_run(str(folder.parent / "out")).images())
    told = {name: rows[0]["same_as"] for name, rows in images.items()}
    assert (told["a"], told["c"]) == (None, None)
    assert told["d"] == images["c"][0]["image_id"]
    assert len(decoded) == 6


def test_boxes_of_the_list_are_shared_where_they_are_the_same(folder: Path) -> None:
    one, other = [[10.0, 10.0, 60.0, 60.0]], [[20.0, 20.0, 90.0, 90.0]]
    uris = [str(folder / f"{name}.jpg") for name in "acd"]
    shutil.copy(folder / "a.jpg", folder / "d.jpg")
    table = pa.table({"uri": uris, "boxes": [one, other, one]})
    pq.write_table(table, folder.parent / "list.parquet")
    output = str(folder.parent / "boxed")
    run_here(
        settings_of(
            folder, input=str(folder.parent / "list.parquet"), output=output, detector="boxes"
        )
    )
    images = by_name(open_run(output).images())
    told = [images[name][0]["same_as"] for name in "acd"]
    assert told == [None, None, images["a"][0]["image_id"]]


def test_photos_with_box_files_of_their_own_share_nothing(folder: Path) -> None:
    """Now and on later nights; boxes of the list come before those files, and are shared."""
    files, listed = folder.parent / "files", folder.parent / "list.parquet"
    files.mkdir()
    for name, y1 in (("a", 10), ("c", 20), ("d", 30)):  # y1 x1 y2 x2
        (files / f"{name}.txt").write_text(f"{y1} 5 90 60\n")
    output, asked = str(folder.parent / "boxed"), {"detector": f"boxes:{files}"}
    shutil.copy(folder / "a.jpg", folder / "d.jpg")
    shutil.copy(folder / "a.jpg", folder / "e.jpg")
    for names in ("ac", "acde"):
        boxes = [[[0.0, 0.0, 50.0, 50.0]] if name in "e" else None for name in names]
        uris = [str(folder / f"{name}.jpg") for name in names]
        pq.write_table(pa.table({"uri": uris, "boxes": boxes}), listed)
        run_here(settings_of(folder, input=str(listed), output=output, **asked))
    images = by_name(open_run(output).images())
    assert {name: rows[0]["same_as"] for name, rows in images.items()} == dict.fromkeys("acde")
    found = {name: [one["y0"] for one in rows[0]["objects"]] for name, rows in images.items()}
    assert found == {"a": [10.0], "c": [20.0], "d": [30.0], "e": [0.0]}


def test_each_photo_has_its_own_file(folder: Path) -> None:
    run_here(settings_of(folder, crop_files="{stem}/{ratio}.{format}"))
    output = folder.parent / "out"
    crops = by_name(open_run(str(output)).crops())
    for name in "ac":
        for crop in crops[name]:
            assert f"/{name}/" in crop["file"]
            assert (output / crop["file"]).read_bytes() == crop["image"]


def test_an_attempt_again_gives_the_same_rows(folder: Path) -> None:
    job, _ = plan(settings_of(folder), Log()).begin()
    attempts = [unpack(read_decode(pa.table({"task": [0]}), job)).rows for _ in range(2)]
    first, again = (
        [(r.uri, r.same_as, r.awaits_result, r.status) for r in rows] for rows in attempts
    )
    assert first == again
    assert sum(awaits_result for *_, awaits_result, _ in first) == 1
    assert all(row.photo is None for row in attempts[0] if row.awaits_result)


def test_forgetting_the_first_leaves_the_other(folder: Path) -> None:
    run_here(settings_of(folder))
    store = open_store(str(folder.parent / "out"))
    before = by_name(open_run(store.uri).crops())
    forget(store, [image_id(str(folder / "a.jpg"))], why="asked by its owner")
    for _ in ("hidden", "erased"):
        run = open_run(store.uri)
        assert sorted(by_name(run.images())) == ["b", "c", "x", "y", "z"]
        assert by_name(run.crops())["c"] == before["c"]
        remove_garbage(store, look_for_garbage(store, 0).garbage)
    run_id = open_run(store.uri).manifest["run_id"]
    assert verify_run(store, run_id).problems == []
    assert str(folder / "a.jpg") not in str(open_run(store.uri).images().to_pylist())


def test_a_failure_to_score_is_taken_over() -> None:
    first, other = PhotoRow("1", "a"), PhotoRow("2", "b")
    same = SameBytes()
    assert not same.mark_if_duplicate(first, "digest")
    assert same.mark_if_duplicate(other, "digest")
    first.fail("score", "timeout", "transient", "it took too long")
    copy_result(other, first)
    assert (other.status, other.same_as, other.awaits_result) == ("timeout", "1", False)
    assert (other.image_id, other.uri) == ("2", "b")


def test_nothing_is_shared_between_tasks(folder: Path) -> None:
    run_here(settings_of(folder, task_images=1))
    images = open_run(str(folder.parent / "out")).images(["same_as"])
    assert images["same_as"].null_count == images.num_rows == 6


def test_photos_far_apart_that_are_the_same_bytes_are_one_task_and_keep_their_order(
    folder: Path, decoded: list[int], s3: str
) -> None:
    paths = sorted(folder.iterdir())  # a b c x y z; a is c, x is z
    for path in paths:
        boto3.client("s3").upload_file(str(path), s3[5:], f"in/{path.name}")
    output = f"{s3}/out"
    manifest = run_here(
        settings_of(folder, input=f"{s3}/in/", output=output, task_images=2, preview=0)
    )
    assert manifest.tasks == 4
    run = open_run(output)
    images = {name: rows[0] for name, rows in by_name(run.images()).items()}
    assert list(images) == list("abcxyz")
    assert images["c"]["same_as"] == images["a"]["image_id"]
    assert len(decoded) == 5
    assert list(by_name(run.crops())) == ["a", "b", "c", "y"]
    assert run.crops(["ratio"]).column_names == ["ratio"]
    assert run.images(["status"])["status"].to_pylist() == [
        images[name]["status"] for name in "abcxyz"
    ]
    by_task = [part["uri"].to_pylist() for part in run.batches("images", ["uri"])]
    names = [[Path(uri).stem for uri in uris] for uris in by_task]
    assert names == [["a", "c"], ["b"], ["x", "z"], ["y"]]
