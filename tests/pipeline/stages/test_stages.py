"""The stages without Ray: a whole job in this process, on the odd folder and on odd photos."""

import hashlib
import io
import json
import resource
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline import open_run, schema
from pipeline.errors import DecodeError, FailureKind, ReadError
from pipeline.job import plan
from pipeline.ledger.audit import verify_run
from pipeline.ledger.table_formats.delta import publish_delta
from pipeline.report.gallery.build import write_gallery
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.attempt import attempt
from pipeline.stages.meter import Meter
from pipeline.stages.read import read_decode
from pipeline.stages.task import PhotoRow
from pipeline.stages.wire import unpack
from pipeline.stages.worker import end_worker
from pipeline.storage.store import open_store
from tests.support.block_transfer import EDGES, run_with_transfers, write_scenes
from tests.support.compared import joined
from tests.support.odd_photos import scene, write_odd_photos

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")


def test_every_odd_file_is_a_row_with_its_status(tmp_path: Path) -> None:
    expected = write_odd_photos(tmp_path / "odd")
    manifest = run_with_transfers(
        Settings.of(
            input=str(tmp_path / "odd"), output=str(tmp_path / "out"), ratios="1:1,circle",
            task_images=7, thumbnail_size=64, decode_timeout_s=30,
        )
    )  # fmt: skip
    run = open_run(str(tmp_path / "out"))
    images = run.images()
    assert images.schema.names[: len(schema.IMAGES)] == schema.IMAGES.names
    statuses = {Path(row["uri"]).name: row["status"] for row in images.to_pylist()}
    assert statuses == expected
    assert manifest.rows == len(expected)
    good = sum(status == "ok" for status in expected.values())
    assert run.crops().num_rows == 2 * good
    for row in images.to_pylist():
        failed = row["status"] != "ok"
        assert failed == (row["error_stage"] is not None) == (row["error_message"] is not None)
        assert failed == (row["error_kind"] in get_args(FailureKind))
        assert failed == (row["content_sha256"] is None)  # local: a hash would tell of any file
        assert failed or (row["width_px"] > 0 and row["objects"] is not None)
        assert failed or (0 <= row["focus_x"] <= 1 and 0 <= row["focus_y"] <= 1)


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def test_a_run_tells_what_each_stage_cost(tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 4)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    end_worker()
    Meter()  # what this process did before is charged here
    started = cpu_s()
    manifest = run_with_transfers(
        Settings.of(
            input=str(tmp_path / "in"), output=str(tmp_path / "out"), ratios="1:1",
            task_images=2, thumbnail_size=64, crop_files=True,
        )
    )  # fmt: skip
    end_worker()
    spent_s = cpu_s() - started
    costs = manifest.metrics.costs
    assert set(costs) == {"read", "decode", "detect", "score", "encode", "commit", "hand_over"}
    assert all(costs[stage].cpu_s > 0 for stage in costs)
    charged_s = sum(cost.cpu_s for cost in costs.values())
    assert charged_s <= spent_s + 0.05, "nothing is charged twice"
    assert charged_s > 0.5 * spent_s, "planning and committing are nobody's, and little"
    assert costs["score"].cpu_s > costs["encode"].cpu_s
    files = [path.stat().st_size for path in (tmp_path / "in").iterdir()]
    assert costs["read"].read_bytes == sum(files), "a broken photo is read too"
    crops = sum(
        len(image) for image in open_run(str(tmp_path / "out")).crops()["image"].to_pylist()
    )
    assert (costs["encode"].requests, costs["encode"].written_bytes) == (4, crops)
    tables = sum(table.bytes for table in manifest.tables.values())
    assert costs["commit"].written_bytes == tables, "the record itself is written afterwards"
    puts = sum(table.files for table in manifest.tables.values()) + manifest.tasks
    assert costs["commit"].requests >= puts
    told = json.loads(next((tmp_path / "out" / "runs").glob("*/metrics.json")).read_text())
    assert told["costs"]["read"]["read_bytes"] == sum(files)
    assert sum(told["crops_by_verdict"].values()) == told["crops"] == 4


def test_crops_hold_what_their_columns_say(tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 2)
    run_with_transfers(
        Settings.of(
            input=str(tmp_path / "in"), output=str(tmp_path / "out"), ratios="16:9,free,circle",
            top_k=2, thumbnail_size=80, candidates=True, crop_files=True,
        )
    )  # fmt: skip
    run = open_run(str(tmp_path / "out"))
    sizes = {r["image_id"]: (r["width_px"], r["height_px"]) for r in run.images().to_pylist()}
    crops = run.crops().to_pylist()
    for crop in crops:
        width, height = sizes[crop["image_id"]]
        assert 0 <= crop["x0"] < crop["x1"] <= width
        assert 0 <= crop["y0"] < crop["y1"] <= height
        picture = Image.open(io.BytesIO(crop["image"]))
        assert picture.size == (crop["width"], crop["height"])
        assert max(picture.size) <= 80
        assert picture.format == "WEBP"
        assert (picture.mode == "RGBA") == (crop["ratio"] == "circle")
        assert hashlib.sha256(crop["image"]).hexdigest() == crop["sha256"]
        assert (tmp_path / "out" / crop["file"]).read_bytes() == crop["image"]
    assert {(c["ratio"], c["rank"]) for c in crops} >= {("16:9", 0), ("16:9", 1), ("circle", 0)}
    table = run.candidates().to_pandas()
    for crop in crops:
        mine = table[(table.image_id == crop["image_id"]) & (table.ratio == crop["ratio"])]
        assert len(mine) > 1
        itself = mine[(mine[EDGES] == [crop[e] for e in EDGES]).all(axis=1)]
        assert itself.score.tolist() == pytest.approx([crop["score"]])


def test_task_size_changes_nothing_that_comes_out(tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 5)
    tables = []
    for task_images in (1, 2, 5):
        output = str(tmp_path / f"out{task_images}")
        settings = Settings.of(
            input=str(tmp_path / "in"), output=output, task_images=task_images, ratios="1:1,16:9"
        )
        run_with_transfers(settings)
        order = [("uri", "ascending"), ("ratio", "ascending")]
        crops = open_run(output).crops().sort_by(order)
        tables.append(crops.drop_columns(["processed_at"]))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_columns_of_a_list_pass_through_and_its_boxes_are_used(tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 2)
    (tmp_path / "list.csv").write_text(
        f'uri,user,boxes\n{tmp_path}/in/0.jpg,ann,"[[10,20,30,40]]"\n{tmp_path}/in/1.jpg,bob,\n'
    )
    run_with_transfers(
        Settings.of(
            input=str(tmp_path / "list.csv"), output=str(tmp_path / "out"), ratios="1:1",
            detector="boxes",
        )
    )  # fmt: skip
    first, second = open_run(str(tmp_path / "out")).images().to_pylist()
    assert (first["user"], first["status"], len(first["objects"])) == ("ann", "ok", 1)
    corners = [first["objects"][0][name] for name in ("x0", "y0", "x1", "y1")]
    assert corners == [10, 20, 30, 40]
    assert (second["user"], second["status"]) == ("bob", "boxes_missing")
    assert (second["error_stage"], second["error_kind"]) == ("detect", "permanent")


def test_boxes_alone_are_those_of_the_full_run(tmp_path: Path) -> None:
    """And what reads runs goes on working without the pictures."""
    write_scenes(tmp_path / "in", 3)
    output = str(tmp_path / "out")
    asked: dict[str, Any] = {"input": str(tmp_path / "in"), "output": output, "preview": 0}
    asked |= {"ratios": "1:1,9:16,circle", "guards": "subject=0.99", "fallback": "pad"}
    full = run_with_transfers(Settings.of(**asked))
    boxes = run_with_transfers(Settings.of(**asked, boxes_only=True))
    assert boxes.run_id != full.run_id
    with_pixels, without = (open_run(output, one.run_id).crops() for one in (full, boxes))
    pictures, others = ["image", "sha256", "format"], ["run_id", "processed_at"]
    left_out = pictures + others
    assert without.drop_columns(left_out).equals(with_pixels.drop_columns(left_out))
    assert {"pad"} <= {*without["fit"].to_pylist()}
    assert all(without[name].null_count == len(without) == 9 for name in pictures)
    assert with_pixels["image"].null_count == 0
    assert (boxes.metrics.crops, boxes.metrics.crop_bytes) == (9, 0)
    store = open_store(output)
    assert verify_run(store, boxes.run_id).problems == []
    compared = joined(*(open_run(output, one.run_id) for one in (full, boxes)))
    assert {*compared.crops["change"]} == {"same"}
    pages = open_store(str(tmp_path / "pages"))
    written = write_gallery(open_run(output, boxes.run_id), pages, "", "all")
    assert written.photos == 3
    assert not list(pages.list("data/crops/"))
    assert publish_delta(store, boxes.run_id) == {"images": 0, "crops": 0}


def test_a_photo_that_changed_after_the_plan_is_told(tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 2)
    settings = Settings.of(input=str(tmp_path / "in"), output=str(tmp_path / "out"))
    job, ledger = plan(settings, Log("json", io.StringIO())).begin()
    Image.fromarray(scene(64, 64)).save(tmp_path / "in" / "1.jpg")
    read = unpack(read_decode(pa.table({"task": ledger.pending()}), job))
    assert [row.status for row in read.rows] == ["ok", "changed"]


def test_a_large_thumbnail_gets_a_large_view(tmp_path: Path) -> None:
    """A crop of half a photo's side still has the thumbnail's pixels in the view."""
    (tmp_path / "in").mkdir()
    Image.fromarray(np.tile(scene(400, 300), (8, 8, 1))).save(tmp_path / "in/large.jpg")
    for thumbnail, view in ((512, 1600), (800, 1600), (1200, 3200)):
        settings = Settings.of(
            input=str(tmp_path / "in"), output=str(tmp_path / f"out{thumbnail}"),
            thumbnail_size=thumbnail,
        )  # fmt: skip
        job, ledger = plan(settings, Log("json", io.StringIO())).begin()
        block = read_decode(pa.table({"task": ledger.pending()}), job)
        (row,) = unpack(block).rows
        assert row.decoded.pixels.shape[1] == view, thumbnail


@pytest.mark.parametrize(
    ("error", "status", "stage", "kind"),
    [
        (ReadError("throttled", "slow down"), "throttled", "read", "transient"),
        (DecodeError("corrupt", "bits"), "corrupt", "decode", "permanent"),
        (MemoryError("4 GiB"), "out_of_memory", "encode", "transient"),
        (KeyError("colour"), "internal_error", "encode", "permanent"),
    ],
)
def test_whatever_an_image_does_becomes_its_status(
    error: Exception, status: str, stage: str, kind: str
) -> None:
    row = PhotoRow("a", "b")

    def work(_: PhotoRow) -> None:
        raise error

    attempt(row, "encode", work)
    assert row.failure is not None
    assert (row.status, row.failure.stage, row.failure.kind) == (status, stage, kind)
    assert row.seconds["encode"] >= 0
    attempt(row, "score", work)  # a failed photo goes no further
    assert "score" not in row.seconds
