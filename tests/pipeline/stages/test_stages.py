"""The stages without Ray: a whole job in this process, on the odd folder and on odd workers."""

import hashlib
import io
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import torch
from msgspec.structs import asdict
from PIL import Image

from pipeline import open_run, schema
from pipeline.cropping import build
from pipeline.detectors import Detections
from pipeline.errors import DecodeError, DetectError, FailureKind, ReadError
from pipeline.job import commit, plan
from pipeline.ledger.audit import verify_run
from pipeline.ledger.delta import publish_delta
from pipeline.ledger.figures import add_figures
from pipeline.ledger.records import Manifest
from pipeline.report.diff.compare import join_runs
from pipeline.report.gallery.build import write_gallery
from pipeline.report.progress import Log, summary_lines
from pipeline.settings import Settings
from pipeline.stages import guard
from pipeline.stages.attempt import attempt
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.meter import Meter
from pipeline.stages.read import read_decode
from pipeline.stages.task import PhotoRow
from pipeline.stages.wire import LEAST_BUFFER, unpack, unpack_summaries
from pipeline.stages.worker import Job, end_worker
from pipeline.storage.store import open_store
from tests.support.odd_photos import scene, write_odd_photos

torch.set_num_threads(1)
EDGES = ["x0", "y0", "x1", "y1"]


@pytest.fixture(autouse=True)
def _workers_end_with_the_test() -> Iterator[None]:
    yield
    end_worker()


def do(settings: Settings) -> Manifest:
    """A job as `pipeline.run` does it, one task after another, in this process."""
    log = Log("json", io.StringIO())
    job, ledger = plan(settings, log).begin()
    figures = []
    score = DetectScore(job, "cpu")
    for task in ledger.pending():
        decoded = handed_on(read_decode(pa.table({"task": [task]}), job))
        (done,) = unpack_summaries(cut_encode_commit(handed_on(score(decoded)), job))
        figures.append(ledger.record(done.task).metrics)
    commit(job, ledger, log, add_figures(figures), {})
    manifest = ledger.manifest
    assert manifest is not None
    return manifest


def handed_on(block: pa.Table) -> pa.Table:
    """A block as the next process gets it from Ray: in memory that it may only read."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, block.schema) as writer:
        writer.write_table(block)
    found = pa.ipc.open_stream(pa.py_buffer(sink.getvalue().to_pybytes())).read_all()
    pixels = [row.photo.pixels for row in unpack(found).rows if row.photo]
    assert not any(one.flags.writeable for one in pixels if one.nbytes >= LEAST_BUFFER)
    return found


def write_scenes(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.roll(scene(120 + 20 * number, 100), 9 * number, axis=1)).save(
            folder / f"{number}.jpg"
        )


def test_every_odd_file_is_a_row_with_its_status(tmp_path: Path) -> None:
    expected = write_odd_photos(tmp_path / "odd")
    manifest = do(
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
    manifest = do(
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
    do(
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
        do(settings)
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
    do(
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
    full = do(Settings.of(**asked))
    boxes = do(Settings.of(**asked, boxes_only=True))
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
    compared = join_runs(*(open_run(output, one.run_id) for one in (full, boxes)))
    assert {*compared.crops["change"]} == {"same"}
    pages = open_store(str(tmp_path / "pages"))
    written = write_gallery(open_run(output, boxes.run_id), pages, "", "all")
    assert written.photos == 3
    assert not list(pages.list("data/crops/"))
    assert publish_delta(store, boxes.run_id) == {"images": 0, "crops": 0}


def decoded_block(folder: Path, count: int) -> tuple[Job, pa.Table]:
    write_scenes(folder / "in", count)
    settings = Settings.of(input=str(folder / "in"), output=str(folder / "out"), ratios="1:1")
    job, ledger = plan(settings, Log("json", io.StringIO())).begin()
    return job, read_decode(pa.table({"task": ledger.pending()}), job)


def test_photos_of_a_block_are_detected_together_where_that_pays(tmp_path: Path) -> None:
    job, block = decoded_block(tmp_path, 3)
    score = DetectScore(job, "cpu")
    assert not score.batches  # on a CPU each photo alone
    alone = score(block)
    score.batches = True
    calls, one_call = [], score.engine.source.objects

    def objects(photos: Any, given: Any) -> Any:
        calls.append(len(photos))
        return one_call(photos, given)

    score.engine.source.objects = objects  # type: ignore[method-assign]
    together = score(block)
    assert calls == [3]
    for row, other in zip(unpack(together).rows, unpack(alone).rows, strict=True):
        assert (row.status, row.crops) == (other.status, other.crops)
        assert row.objects is not None
        assert other.objects is not None
        assert row.objects.labels == other.objects.labels
        np.testing.assert_array_equal(row.objects.boxes, other.objects.boxes)
        np.testing.assert_array_equal(row.objects.scores, other.objects.scores)


def test_a_photo_that_changed_after_the_plan_is_told(tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 2)
    settings = Settings.of(input=str(tmp_path / "in"), output=str(tmp_path / "out"))
    job, ledger = plan(settings, Log("json", io.StringIO())).begin()
    Image.fromarray(scene(64, 64)).save(tmp_path / "in" / "1.jpg")
    read = unpack(read_decode(pa.table({"task": ledger.pending()}), job))
    assert [row.status for row in read.rows] == ["ok", "changed"]


def test_a_batch_that_fails_is_done_again_one_by_one(tmp_path: Path) -> None:
    job, block = decoded_block(tmp_path, 3)
    score = DetectScore(job, "cpu")
    score.batches = True
    calls, one_call = [], score.engine.source.objects

    def objects(photos: Any, given: Any) -> Any:
        calls.append(len(photos))
        if len(calls) in (1, 3):  # all of them, and then the second alone
            raise DetectError("no_luck", "a bad picture")
        return one_call(photos, given)

    score.engine.source.objects = objects  # type: ignore[method-assign]
    done = score(block)
    assert calls == [3, 1, 1, 1]
    assert [row.status for row in unpack(done).rows] == ["ok", "no_luck", "ok"]


def test_after_a_worker_died_on_a_task_nothing_is_batched(tmp_path: Path) -> None:
    job, block = decoded_block(tmp_path, 2)
    score = DetectScore(job, "cpu")
    score.batches = True
    task = unpack(block)
    next(guard.one_by_one(task, "score", job.run_id, 60))  # and it never comes back
    assert guard.died_before(task, "score", job.run_id)
    calls, one_call = [], score.engine.source.objects

    def objects(photos: Any, given: Any) -> Any:
        calls.append(len(photos))
        return one_call(photos, given)

    score.engine.source.objects = objects  # type: ignore[method-assign]
    score(block)
    assert calls == [1, 1]
    assert not guard.died_before(task, "score", job.run_id)


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


def write_text_photo(path: Path) -> None:
    """A photo of 320 × 180."""
    Image.fromarray(np.tile(scene(160, 90), (2, 2, 1))).save(path)


def jobs_with_lines(tmp_path: Path, **settings: Any) -> tuple[list[Any], list[Any]]:
    """Rows of images and crops of a job with the one photo of `write_text_photo`.

    It is full of text: cropped like a photo, since guards and fallbacks are to decide.
    """
    settings = {"text_heavy": "crop", **settings}
    write_text_photo(tmp_path / "0.png")
    (tmp_path / "list.csv").write_text(f"uri\n{tmp_path}/0.png\n")
    output = str(tmp_path / "out")
    do(Settings.of(input=str(tmp_path / "list.csv"), output=output, thumbnail_size=100, **settings))
    run = open_run(output)
    return run.images().to_pylist(), run.crops().to_pylist()


class ThreeLines:
    """A source that sees three lines of text, which fill each photo: only all of it cuts none.

    Each is a third of the photo high but for three pixels. The smallest crops of 1:1 and 4:3 are
    higher, 72 pixels, and too narrow to show 92 % of a line, which would count as whole.
    """

    identity = "three-lines"

    def detector_input(self, photo: Any) -> None:
        """Nothing is detected."""

    def objects(self, photos: Any, given: Any) -> list[Detections]:
        rows = np.array([[0, 0, 320, 58], [0, 61, 320, 119], [0, 122, 320, 180]], np.float32)
        return [Detections(rows, np.ones(3, np.float32), ["text"] * 3) for _ in photos]


@pytest.fixture
def three_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "make_source", lambda *_, **__: ThreeLines())


@pytest.mark.parametrize(
    ("ratio", "size"), [("1:1", (100, 100)), ("4:3", (100, 75)), ("circle", (100, 100))]
)
def test_a_photo_that_no_crop_can_show_is_padded(
    three_lines: None, tmp_path: Path, ratio: str, size: tuple[int, int]
) -> None:
    """What was written has the ratio exactly, and shows the photo whole."""
    pad = {"ratios": ratio, "fallback": "next,largest,pad", "format": "png", "background": "0a141e"}
    _, (crop,) = jobs_with_lines(tmp_path, **pad)
    assert (crop["verdict"], crop["reason"], crop["fit"]) == ("fallback", "fallback_pad", "pad")
    assert [crop[edge] for edge in EDGES] == [0, 0, 320, 180]
    assert (crop["text_cut"], crop["choice"], crop["margin"]) == (0, None, None)
    picture = Image.open(io.BytesIO(crop["image"]))
    assert picture.size == (crop["width"], crop["height"]) == size
    rgb = np.asarray(picture.convert("RGB"))
    x, y = size[0] // 2, 3 if ratio != "circle" else 20
    assert rgb[y, x].tolist() == [10, 20, 30]
    high = size[0] * 180 / 320 if ratio != "circle" else 180 * 100 / np.hypot(320, 180)
    photo_rows = (np.abs(rgb[:, x].astype(int) - (10, 20, 30)).max(axis=1) > 0).sum()
    assert photo_rows == pytest.approx(high, abs=1.5)


def test_a_blurred_ground_is_the_photo_itself(three_lines: None, tmp_path: Path) -> None:
    blur = {"ratios": "1:1", "fallback": "blur", "format": "png"}
    _, (crop,) = jobs_with_lines(tmp_path, **blur)
    assert (crop["verdict"], crop["reason"], crop["fit"]) == ("fallback", "fallback_blur", "blur")
    rgb = np.asarray(Image.open(io.BytesIO(crop["image"])).convert("RGB")).astype(int)
    assert rgb.shape == (100, 100, 3)
    assert np.abs(np.diff(rgb[:20], axis=1)).max() < 25  # soft
    assert rgb[:20].std() > 0  # and no plain colour


def test_a_shape_that_is_skipped_is_told(three_lines: None, tmp_path: Path) -> None:
    (image,), crops = jobs_with_lines(tmp_path, ratios="1:1,16:9", fallback="next,skip")
    assert [crop["ratio"] for crop in crops] == ["16:9"]
    assert image["skipped"] == [{"ratio": "1:1", "reason": "text_cut"}]
    assert image["status"] == "ok"


def test_a_crop_that_breaks_a_guard_is_marked(three_lines: None, tmp_path: Path) -> None:
    """The default gives up before it shows less than a crop: a person is to look at it."""
    _, (crop,) = jobs_with_lines(tmp_path, ratios="1:1")
    assert (crop["verdict"], crop["reason"], crop["fit"]) == ("review", "text_cut", "crop")
    assert crop["text_cut"] >= 1
    _, (free,) = jobs_with_lines(tmp_path, ratios="1:1", guards="off")
    assert (free["verdict"], free["reason"]) == ("ok", None)
    assert free["text_cut"] >= 1, "it is measured whatever is asked"


def test_verdicts_are_counted_and_told(three_lines: None, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_text_photo(tmp_path / "in" / "0.png")
    manifest = do(
        Settings.of(
            input=str(tmp_path / "in"), output=str(tmp_path / "out"), ratios="1:1,16:9,4:3",
            fallback="next,largest", thumbnail_size=64, text_heavy="crop",
        )
    )  # fmt: skip
    assert manifest.metrics.verdicts == {"1:1|review": 1, "16:9|ok": 1, "4:3|review": 1}
    assert manifest.metrics.reasons == {"review|text_cut": 2}
    lines = summary_lines({**asdict(manifest.metrics), "images": 1})
    assert "verdicts 1 ok, 2 review (2 text_cut)" in lines
