"""A run rendered again: the same decisions in other sizes, formats and ratios."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from msgspec.structs import asdict
from PIL import Image

from pipeline import open_run
from pipeline.cropping.derive import derived_box, derived_crop, nearest_shape
from pipeline.cropping.results import ScoredCrop
from pipeline.detectors import Detections
from pipeline.errors import SettingError, UsageError
from pipeline.job import PlannedRun, commit, plan
from pipeline.ledger.audit import verify_run
from pipeline.ledger.figures import add_figures
from pipeline.ledger.records import Manifest
from pipeline.photo.decode import Photo
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.shapes import parse_shape
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.recall import StoredDecisions, scored_crop
from pipeline.stages.task import PhotoRow
from pipeline.stages.wire import unpack_summaries
from pipeline.storage.store import open_store
from tests.support.odd_photos import scene

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

torch.set_num_threads(1)
# What is measured or encoded anew; everything else is a decision.
ANEW = {
    "images": ["read_s", "decode_s", "detect_s", "score_s", "encode_s", "run_id", "processed_at"],
    "crops": ["image", "sha256", "format", "width", "height", "file", "run_id",
              "processed_at"],
    "candidates": [], "previews": [],
}  # fmt: skip


def do(planned: PlannedRun) -> Manifest:
    """A planned run without Ray, one task after another."""
    log = Log("json", io.StringIO())
    job, ledger = planned.begin()
    figures = []
    score = None if job.decisions_of else DetectScore(job, "cpu")
    for task in ledger.pending():
        block = read_decode(pa.table({"task": [task]}), job)
        block = block if score is None else score(block)
        (done,) = unpack_summaries(cut_encode_commit(block, job))
        figures.append(ledger.record(done.task).metrics)
    commit(job, ledger, log, add_figures(figures), {})
    manifest = ledger.manifest
    assert manifest is not None
    return manifest


def crop_job(folder: Path, **more: Any) -> Settings:
    asked: dict[str, Any] = {
        "input": str(folder / "in"), "output": str(folder / "out"), "ratios": "1:1,16:9,circle",
        "thumbnail_size": 96, "task_images": 3, "candidates": True, "guards": "subject=0.99",
        "fallback": "pad", "preview": 64,
    }  # fmt: skip
    return Settings.of(**{**asked, **more})


def write_photos(folder: Path) -> None:
    (folder / "in").mkdir()
    for number in range(4):
        picture = np.roll(scene(300 + 20 * number, 200), 30 * number, axis=1)
        Image.fromarray(np.kron(picture, np.ones((3, 3, 1), np.uint8))).save(
            folder / "in" / f"{number}.png"
        )
    (folder / "in" / "broken.jpg").write_bytes(b"no picture")


def planned(settings: Settings) -> PlannedRun:
    return plan(settings, Log("json", io.StringIO()))


def tables(output: str, run_id: str) -> dict[str, pa.Table]:
    run = open_run(output, run_id)
    return {
        name: getattr(run, name)().drop_columns(ANEW[name]).sort_by("image_id") for name in ANEW
    }


def test_a_render_has_the_same_decisions_in_another_size_and_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path)
    output = str(tmp_path / "out")
    full = do(planned(crop_job(tmp_path)))
    wanted = do(planned(crop_job(tmp_path, thumbnail_size=48, format="jpeg")))
    changes = {"thumbnail_size": 48, "format": "jpeg"}
    rendering = plan_rendering(RenderRequest(output, full.run_id, changes))
    monkeypatch.setattr("pipeline.stages.crop.engine_of", None)  # nothing may score
    made = do(rendering)
    assert made.render_of == full.run_id
    assert made.parent is None
    # A job with that size asks for the same, so it finds the photos covered.
    assert dict(made.settings) == dict(wanted.settings)
    for name, table in tables(output, made.run_id).items():
        assert table.equals(tables(output, full.run_id)[name]), name
    assert verify_run(open_store(output), made.run_id).problems == []
    crops = open_run(output, made.run_id).crops().to_pylist()
    by_engine = open_run(output, wanted.run_id).crops().to_pylist()
    assert len(crops) == len(by_engine) == 12
    for one, other in zip(crops, by_engine, strict=True):
        picture, expected = (Image.open(io.BytesIO(c["image"])) for c in (one, other))
        assert (picture.format, picture.size) == ("JPEG", (one["width"], one["height"]))
        assert max(picture.size) == 48
        error = np.abs(np.asarray(picture, float) - np.asarray(expected, float))
        assert error.mean() < 4  # the views differ, and so does what they are reduced from
    statuses = made.metrics.statuses
    assert statuses == full.metrics.statuses == {"ok": 4, "unsupported_format": 1}
    with pytest.raises(UsageError, match="rendered so already"):
        plan_rendering(RenderRequest(output, full.run_id, {"thumbnail_size": 96}))
    with pytest.raises(UsageError, match="there is no run"):
        plan_rendering(RenderRequest(output, "0" * 20, changes))


def test_a_photo_that_changed_is_told_and_boxes_become_pictures(tmp_path: Path) -> None:
    write_photos(tmp_path)
    (tmp_path / "list.csv").write_text(
        "uri\n" + "".join(f"{tmp_path}/in/{number}.png\n" for number in range(4))
    )
    asked = {"input": str(tmp_path / "list.csv"), "boxes_only": True, "preview": 0}
    boxes = do(planned(crop_job(tmp_path, **asked, format="png")))
    Image.fromarray(scene(600, 600)).save(tmp_path / "in" / "2.png")
    output = str(tmp_path / "out")
    made = do(plan_rendering(RenderRequest(output, boxes.run_id, {"ratios": "16:9"})))
    images = open_run(output, made.run_id).images().to_pylist()
    assert [row["status"] for row in images] == ["ok", "ok", "changed", "ok"]
    crops = open_run(output, made.run_id).crops().to_pylist()
    assert [(c["ratio"], c["format"]) for c in crops] == [("16:9", "png")] * 3
    assert made.settings["ratios"] == "16:9"


def test_other_bytes_under_the_same_pin_are_told_too() -> None:
    """A list without ETags, or a web server, pins nothing: the content's hash does."""
    stored = {"status": "ok", "content_sha256": "aa", "kind": "photo", "frames": 1}
    decisions = StoredDecisions({"p": stored}, {}, {}, {}, Settings(), ["1:1"])
    for sha256, status in (("aa", "ok"), ("bb", "changed")):
        row = PhotoRow("p", "http://h/p.jpg", content_sha256=sha256)
        row.photo = Photo(np.zeros((4, 4, 3), np.uint8), 4, 4, "png", 1)
        decisions.apply_to(row)
        assert row.status == status
    unknown = PhotoRow("q", "http://h/q.jpg")
    decisions.end_failed(unknown)
    assert unknown.failure is not None
    assert (unknown.status, unknown.failure.kind) == ("not_decided", "permanent")


def test_a_view_is_as_large_as_its_smallest_crop_needs() -> None:
    """Three times the thumbnail, unless a crop is smaller than a third of its photo."""
    photo = {"width_px": 4000, "height_px": 3000, "frames": 1}
    asked = Settings.of(thumbnail_size=200, view_side=1600)
    for side, view in ((1500, 600), (1404, 600), (1300, 1600)):
        crop = {"image_id": "p", "x0": 0, "y0": 0, "x1": side, "y1": side}
        decisions = StoredDecisions({"p": photo}, {"p": [crop]}, {}, {}, asked, ["1:1"])
        assert decisions.view_side("p") == view, side
    every_frame = Settings.of(thumbnail_size=200, view_side=1600, animated="all")
    for frames, view in ((3, 1600), (1, 600), (None, 600)):
        one = {"p": {**photo, "frames": frames}}
        decisions = StoredDecisions(one, {}, {}, {}, every_frame, ["1:1"])
        assert decisions.view_side("p") == view, frames


def test_a_near_ratio_is_derived_and_a_far_one_refused(tmp_path: Path) -> None:
    write_photos(tmp_path)
    output = str(tmp_path / "out")
    full = do(planned(crop_job(tmp_path, guards="off", safe_areas="1 : 1=circle;16:9=a:0,0.9,1,1")))
    with pytest.raises(SettingError, match=r"^ratios 9:16: no shape .* is within 10% of it"):
        plan_rendering(RenderRequest(output, full.run_id, {"ratios": "1:1,9:16"}))
    made = do(plan_rendering(RenderRequest(output, full.run_id, {"ratios": "1:1,1.91:1"})))
    assert made.settings["derived"] == "1.91:1 from 16:9"
    assert made.settings["safe_areas"] == "1 : 1=circle"
    old = {(c["uri"], c["ratio"]): c for c in open_run(output, full.run_id).crops().to_pylist()}
    for crop in open_run(output, made.run_id).crops().to_pylist():
        source = old[crop["uri"], {"1.91:1": "16:9"}.get(crop["ratio"], crop["ratio"])]
        if crop["ratio"] == "1:1":
            assert [crop[e] for e in EDGES] == [source[e] for e in EDGES]
        else:
            wide, high = crop["x1"] - crop["x0"], crop["y1"] - crop["y0"]
            assert abs(wide / high - 1.91) < 0.02
            assert (crop["confidence"], crop["heads_cut"]) == (None, None)
            assert (source["verdict"], crop["verdict"]) == ("ok", None)  # judged with the caption
        assert crop["score"] == source["score"]
    # A job that asks for 1.91:1 itself is to decide about it itself.
    todo = planned(crop_job(tmp_path, guards="off", ratios="1:1,1.91:1", safe_areas="1:1=circle"))
    assert todo.todo.inputs.num_rows == 5


EDGES = ("x0", "y0", "x1", "y1")


def test_a_run_that_was_rendered_covers_the_photos_of_its_settings(tmp_path: Path) -> None:
    write_photos(tmp_path)
    full = do(planned(crop_job(tmp_path)))
    request = RenderRequest(str(tmp_path / "out"), full.run_id, {"thumbnail_size": 48})
    do(plan_rendering(request))
    again = planned(crop_job(tmp_path, thumbnail_size=48))
    assert (again.todo.inputs.num_rows, again.todo.covered) == (0, 5)
    # The same request is the same run.
    _, ledger = plan_rendering(request).begin()
    assert ledger.is_committed


def test_an_old_spec_keeps_its_run_id(tmp_path: Path) -> None:
    """A field that is newer than a run has no part in its id."""
    write_photos(tmp_path)
    spec = planned(crop_job(tmp_path)).todo.spec
    text = {name: value for name, value in asdict(spec).items() if name != "render_of"}
    said = json.dumps(text, sort_keys=True, separators=(",", ":"))
    assert spec.run_id == hashlib.sha256(said.encode()).hexdigest()[:20]


def test_a_shape_that_an_earlier_release_wrote_with_spaces_is_the_same_shape() -> None:
    edges = dict.fromkeys(EDGES, 0.0)
    row = {"ratio": "16 : 9", "rank": 0, **edges, "score": 0.5, "confidence": 0.25}
    stored = scored_crop(row)
    assert stored.ratio == "16:9"
    assert derived_crop(stored, parse_shape("16:9"), (9, 9), None, {}) is stored


def test_boxes_of_near_ratios_by_hand() -> None:
    # 1600 x 900 in the middle of 4000 x 3000, to 2:1: 1800 wide, all of it stays.
    assert derived_box((1000, 1000, 2600, 1900), 2.0, (4000, 3000)).tolist() == [
        900, 1000, 2700, 1900,
    ]  # fmt: skip
    # At the left edge it is slid; at full width it is trimmed around its middle.
    assert derived_box((0, 0, 1600, 900), 2.0, (4000, 3000)).tolist() == [0, 0, 1800, 900]
    assert derived_box((0, 375, 4000, 2625), 2.0, (4000, 3000)).tolist() == [0, 500, 4000, 2500]
    # Narrower: 1600 x 900 to 1.6:1 is 1000 high.
    assert derived_box((1000, 1000, 2600, 1900), 1.6, (4000, 3000)).tolist() == [
        1000, 950, 2600, 1950,
    ]  # fmt: skip


def test_shapes_that_are_near() -> None:
    stored = ["1:1", "4:3", "16:9", "circle", "free"]
    near = {name: nearest_shape(parse_shape(name), stored) for name in
            ("4:3", "1.91:1", "5:4", "3:2", "9:16", "free", "640:480")}  # fmt: skip
    assert near == {
        "4:3": "4:3", "1.91:1": "16:9", "5:4": "4:3", "3:2": None, "9:16": None, "free": "free",
        "640:480": "4:3",
    }  # fmt: skip
    assert nearest_shape(parse_shape("free"), ["1:1"]) is None


def test_a_trimmed_crop_has_no_verdict() -> None:
    crop = ScoredCrop(
        "16:9", 0, (0.0, 375.0, 4000.0, 2625.0), 0.5, 0.1, 0.2, [1.0], 0, heads_cut=0,
        verdict="fallback", reason="fallback_next", confidence=0.5,
    )  # fmt: skip
    objects = Detections(
        np.array([[0, 375, 4000, 500], [10, 600, 20, 700]], np.float32), np.ones(2, np.float32),
        ["", "face"],
    )  # fmt: skip
    trimmed = derived_crop(crop, parse_shape("2:1"), (4000, 3000), objects, {})
    assert (trimmed.ratio, trimmed.verdict, trimmed.reason, trimmed.margin) == ("2:1",) + (
        None,
    ) * 3
    assert (trimmed.object_shares, trimmed.objects_cut) == ([0.0, 1.0], 0)
    whole = derived_crop(replace(crop, box_px=(1000, 1000, 2600, 1900)), parse_shape("2:1"),
                         (4000, 3000), None, {})  # fmt: skip
    assert (whole.verdict, whole.reason) == ("fallback", "fallback_next")
    assert whole.confidence is None
    padded = derived_crop(replace(crop, fit="pad"), parse_shape("2:1"), (4000, 3000), None, {})
    assert (padded.box_px, padded.verdict) == (crop.box_px, "fallback")
