"""The contents of a gallery's files: order, records, strangers' text, runs of any age."""

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import s3fs
from PIL import Image

from pipeline import open_run
from pipeline.cli.runs import main
from pipeline.ledger.reader import Run
from pipeline.report.canvases import Canvases
from pipeline.report.gallery.build import gallery_prefix, write_gallery
from pipeline.report.gallery.contents import contents_of
from pipeline.report.gallery.overview import describe_weights
from pipeline.report.pictures import compose
from pipeline.storage.store import open_store
from tests.support.row_runs import Row, commit_rows, crop_row, flat_picture, image_row, preview_row

GOLDEN = Path(__file__).parents[2] / "golden" / "runs" / "release_0_1_0"
EVIL = "</script><script>alert(1)</script>\u2028\u2029&<!--"
LOW = "low_confidence"
CALL = re.compile(rb"S2\.take\((\"[^\"]*\"),(.*)\);\n", re.DOTALL)


def value_in(folder: Path, name: str) -> Any:
    found = CALL.fullmatch((folder / "data" / f"{name}.js").read_bytes())
    assert found is not None
    assert json.loads(found[1]) == name
    return json.loads(found[2])


def judged(
    uri: str, verdict: str, reason: str | None, confidence: float, first: Row | None = None
) -> list[Row]:
    """Two crops of one photo, of which the second has the verdict."""
    good = crop_row(uri, "1:1", (0, 0, 300, 300), **(first or {"verdict": "ok"}), confidence=0.9)
    other = crop_row(
        uri, "16:9", (0, 20, 320, 200), verdict=verdict, reason=reason, confidence=confidence
    )
    return [good, other]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Seven photos that need eyes for different reasons, or not."""
    names = ["a/fine", "a/head", "a/worse", "b/low", "b/fallback", "c/torn", "c/fine"]
    images = [image_row(name, kind="photo") for name in names]
    images[5] = image_row("c/torn", None, status="truncated", error_message="ends early")
    crops = [
        *judged("a/fine", "ok", None, 0.8),
        *judged("a/head", "review", "head_cut", 0.7),
        *judged("a/worse", "review", "head_cut", 0.4, {"verdict": "review", "reason": LOW}),
        *judged("b/low", "review", "low_confidence", 0.1),
        *judged("b/fallback", "fallback", "fallback_pad", 0.5),
        *reversed(judged("c/fine", "ok", None, 0.95)),
    ]
    previews = [preview_row(name, (40, 160, 60)) for name in names if name != "c/torn"]
    return commit_rows(tmp_path / "out", images, crops, previews)


def test_what_needs_eyes_comes_first(run: Run) -> None:
    contents = contents_of(run)
    assert contents.images["uri"].to_pylist() == [
        "a/worse", "a/head", "b/low", "b/fallback", "a/fine", "c/fine", "c/torn",
    ]  # fmt: skip
    assert contents.shapes == ["1:1", "16:9"]
    assert np.diff(contents.bounds).tolist() == [2, 2, 2, 2, 2, 2, 0]
    rows = contents.crops.slice(contents.bounds[3], 2).to_pylist()
    assert [row["reason"] for row in rows] == [None, "fallback_pad"]


def test_the_files_say_what_the_run_says(run: Run, tmp_path: Path) -> None:
    made = write_gallery(run, open_store(str(tmp_path / "page")))
    assert (tmp_path / "page" / made.index).is_file()
    about = value_in(tmp_path / "page", "run")
    groups = [(g["kind"], g["reason"], g["count"], g["first"]) for g in about["groups"]]
    assert groups == [
        ("review", "head_cut", 2, [0, 1]),
        ("review", "low_confidence", 2, [0, 2]),
        ("fallback", "fallback_pad", 1, [3]),
        ("close", "", 2, [4, 5]),
        ("error", "truncated", 1, [6]),
    ]
    overview = about["overview"]
    assert [overview[name] for name in ("photos", "crops", "all_crops")] == [7, 12, 12]
    assert overview["statuses"] == [["ok", 6], ["truncated", 1]]
    pairs = [tuple(pair) for pair in about["pairs"]]
    counts = dict(zip(pairs, zip(*overview["decisions"], strict=True), strict=True))
    assert counts[("review", "head_cut")] == (0, 2)  # none of 1:1, two of 16:9
    assert counts[("ok", None)] == (5, 2)
    # The centre of 0, 20, 320, 200 in 400 x 300 is at .4 and .367: column 6 and row 5 of 16.
    assert overview["places"][1]["centres"][5][6] == 6
    assert overview["places"][1]["median"] == pytest.approx([0, 20 / 300, 0.8, 200 / 300], abs=1e-4)
    index = value_in(tmp_path / "page", "index/000")
    uris = [index["prefix"] + end for end in index["uris"]]
    assert uris == contents_of(run).images["uri"].to_pylist()
    letters = "abcdef"
    verdicts = [[about["pairs"][letters.index(letter)][0] for letter in index["crops"][0]]]
    assert verdicts == [["review", "review"]]
    assert index["crops"][6] == "--"


def test_a_photos_record(run: Run, tmp_path: Path) -> None:
    write_gallery(run, open_store(str(tmp_path / "page")))
    first = value_in(tmp_path / "page", "photos/00000")[0]
    assert (first["uri"], first["width_px"], first["kind"]) == ("a/worse", 400, "photo")
    crop = first["crops"][1]
    assert (crop["ratio"], crop["box"]) == ("16:9", [0, 20, 320, 200])
    assert (crop["verdict"], crop["reason"], crop["confidence"]) == ("review", "head_cut", 0.4)
    assert base64.b64decode(first["gaze"]) == bytes([0] * 255 + [255])
    shown = Image.open(io.BytesIO(base64.b64decode(first["preview"].partition(",")[2])))
    assert shown.size == (200, 150)
    pictures = value_in(tmp_path / "page", f"crops/{first['crops_at']:05d}")[first["id"]]
    assert [(ratio, rank) for ratio, rank, _ in pictures] == [("1:1", 0), ("16:9", 0)]
    assert base64.b64decode(pictures[1][2].partition(",")[2]) == flat_picture(
        (200, 30, 40), (320, 180)
    )


def test_crops_are_left_out_where_asked(run: Run, tmp_path: Path) -> None:
    write_gallery(run, open_store(str(tmp_path / "page")), whole_crops="none")
    assert not (tmp_path / "page" / "data" / "crops").exists()
    assert value_in(tmp_path / "page", "photos/00000")[0]["crops_at"] is None


def test_a_gallery_written_again_keeps_nothing_of_forgotten_photos(tmp_path: Path) -> None:
    """Six photos fill two files of crops; the two that are left fill one, or none."""
    out, page = tmp_path / "out", tmp_path / "page"
    names = [f"{n}.jpg" for n in range(6)]
    crops = [crop_row(name, "1:1", (0, 0, 30, 30)) for name in names]
    previews = [preview_row(name, (40, 160, 60)) for name in names]
    run = commit_rows(out, [image_row(name) for name in names], crops, previews)
    write_gallery(run, open_store(str(page)))
    assert sorted(path.name for path in (page / "data" / "crops").iterdir()) == [
        "00000.js", "00001.js",
    ]  # fmt: skip
    assert main(["forget", str(out), *names[:4], "--why", "asked"]) == 0
    left = open_run(str(out), run.manifest["run_id"])
    write_gallery(left, open_store(str(page)))
    assert [path.name for path in (page / "data" / "crops").iterdir()] == ["00000.js"]
    write_gallery(left, open_store(str(page)), whole_crops="none")
    assert [*(page / "data" / "crops").glob("*")] == []


def test_of_a_large_run_only_what_needs_eyes_keeps_its_crops(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.report.gallery.build.MOST_CROP_BYTES", 10)
    monkeypatch.setattr("pipeline.report.gallery.contents.LEAST_CLOSE", 0)
    monkeypatch.setattr("pipeline.report.gallery.contents.CLOSE_SHARE", 0)
    write_gallery(run, open_store(str(tmp_path / "page")))
    records = value_in(tmp_path / "page", "photos/00000")
    kept = [record["uri"] for record in records if record["crops_at"] is not None]
    assert kept == ["a/worse", "a/head", "b/low", "b/fallback"]


def test_strangers_text_cannot_leave_its_place(tmp_path: Path) -> None:
    images = [
        image_row(
            EVIL, None, status="corrupt", error_message=EVIL, **{"__proto__": EVIL, "<b>": "x"}
        )
    ]
    extra = [pa.field("__proto__", pa.string()), pa.field("<b>", pa.string())]
    run = commit_rows(tmp_path / "out", images, [], extra=extra)
    write_gallery(run, open_store(str(tmp_path / "page")))
    for path in (tmp_path / "page" / "data").rglob("*.js"):
        text = path.read_text()
        assert not set(text) & set("<>&\u2028\u2029"), path
    (record,) = value_in(tmp_path / "page", "photos/00000")
    assert (record["uri"], record["error_message"]) == (EVIL, EVIL)
    assert record["extra"] == [["__proto__", EVIL], ["<b>", "x"]]
    assert "__proto__" not in record


def test_a_run_of_an_old_release_is_shown_from_its_crops(tmp_path: Path) -> None:
    """No previews, no verdicts: the whole photo is put together, close calls are looked at."""
    folder = shutil.copytree(GOLDEN, tmp_path / "made")
    run = open_run(str(folder / "out"))
    run_id = run.manifest["run_id"]
    made = write_gallery(run, open_store(str(folder / "out")), gallery_prefix(run_id))
    page = folder / "out" / made.index.removesuffix("/index.html")
    about = value_in(page, "run")
    kinds = {(group["kind"], group["reason"]) for group in about["groups"]}
    assert kinds >= {("error", "truncated"), ("error", "unsupported_format")}
    assert about["pairs"] == [[None, None]]
    records = {record["uri"]: record for record in value_in(page, "photos/00000")}
    scene = records["photos/scene_0.jpg"]
    assert scene["pieced"]
    assert "gaze" not in scene
    shown = Image.open(io.BytesIO(base64.b64decode(scene["preview"].partition(",")[2])))
    assert shown.size == (scene["width_px"], scene["height_px"])
    assert scene["extra"] == [["owner", "ada"], ["votes", "3"]]
    candidates = value_in(page, f"candidates/{scene['candidates_at']:05d}")[scene["id"]]
    assert {ratio for ratio, _ in candidates} == {"1:1", "16:9", "circle"}
    scores = candidates[0][1]["scores"]
    assert scores == sorted(scores, reverse=True)
    assert "preview" not in records["photos/notes.png"]


def test_pieces_lie_where_they_were_cut() -> None:
    red = crop_row("a", "1:1", (0, 0, 200, 200), (220, 20, 20))
    blue = crop_row("a", "free", (100, 100, 200, 200), (20, 20, 220))
    padded = {**crop_row("a", "9:16", (0, 0, 400, 200), (20, 220, 20)), "fit": "pad"}
    padded |= {"image": _padded((20, 220, 20)), "width": 90, "height": 160}
    made = Image.open(io.BytesIO(compose([blue, red], (400, 200), Canvases({})))).convert("RGBA")
    assert made.size == (256, 128)
    pixels = np.asarray(made).astype(int)
    assert pixels[20, 20, 0] > 180 > pixels[20, 20, 2]
    assert pixels[100, 100, 2] > 180 > pixels[100, 100, 0]  # the smaller one lies above
    assert pixels[60, 200, 3] == 0  # no crop shows that part
    whole = np.asarray(
        Image.open(io.BytesIO(compose([padded], (400, 200), Canvases({})))).convert("RGB")
    )
    assert (whole.astype(int)[:, :, 1] > 180).all()
    assert (whole.astype(int)[:, :, 0] < 90).all()  # the white bars are no part of it


def _padded(colour: tuple[int, int, int]) -> bytes:
    """A photo of 400 x 200 in 90 x 160: 45 pixels high, white above and below."""
    picture = Image.new("RGB", (90, 160), "white")
    picture.paste(colour, (0, 57, 90, 103))
    stream = io.BytesIO()
    picture.save(stream, "png")
    return stream.getvalue()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="of Linux, where no folder can be made")
def test_pages_go_where_folders_can_be_made(tmp_path: Path, capsys: Any) -> None:
    run = commit_rows(tmp_path, [image_row("a")], [crop_row("a", "1:1", (0, 0, 30, 30))])
    run_id = run.manifest["run_id"]
    there = "/proc/nope"  # where the system makes no folders, whoever asks
    for command in (["gallery", "--into", there], ["diff", run_id, run_id, "--html", there]):
        assert main([command[0], str(tmp_path), *command[1:]]) == 1
        said = capsys.readouterr().err
        assert "/proc/nope: no folder can be made there" in said
        assert said.endswith("choose another place\n")


def test_weights_in_words() -> None:
    assert describe_weights({"kind": "file", "sha256": "ab" * 32}) == "file abababababab"


def test_a_bucket_names_the_types_that_a_browser_asks_for(s3: str, s3_server: str) -> None:
    uri = "s3://x/a.jpg"
    run = commit_rows(
        f"{s3}/out", [image_row(uri)], [crop_row(uri, "1:1", (0, 0, 200, 200))],
        [preview_row(uri, (40, 160, 60))],
    )  # fmt: skip
    prefix = gallery_prefix(run.manifest["run_id"])
    made = write_gallery(run, open_store(f"{s3}/out"), prefix)
    assert made.index == f"{prefix}index.html"
    files = s3fs.S3FileSystem(endpoint_url=s3_server, skip_instance_cache=True)
    types = {
        name: files.info(f"{s3}/out/{prefix}{name}")["ContentType"]
        for name in ("index.html", "app/style.css", "data/run.js")
    }
    assert types == {
        "index.html": "text/html; charset=utf-8",
        "app/style.css": "text/css; charset=utf-8",
        "data/run.js": "text/javascript; charset=utf-8",
    }


def test_photos_with_a_rule_of_their_own_have_groups(tmp_path: Path) -> None:
    images = [
        image_row("a", kind="photo"),
        image_row("b", kind="screenshot", content=[0, 10, 400, 290]),
        image_row("torn", kind="photo", content=[0, 0, 400, 280], complete=0.93),
        image_row("whole", kind="photo", complete=1.0),
        image_row("c", kind="photo", override="c"),
        image_row("d", kind="photo", skipped=[{"ratio": "1:1", "reason": "never_crop"}]),
        image_row("e", None, status="corrupt"),
        image_row("f", kind="photo", skipped=[]),
    ]
    run = commit_rows(tmp_path / "out", images, [])
    write_gallery(run, open_store(str(tmp_path / "page")))
    special = value_in(tmp_path / "page", "run")["special"]
    index = value_in(tmp_path / "page", "index/000")
    found = {
        (group["kind"], group["reason"]): [index["uris"][place] for place in group["first"]]
        for group in special
    }
    assert found == {
        ("kind", "screenshot"): ["b"],
        ("mark", "overridden"): ["c"],
        ("mark", "skipped"): ["d"],
        ("mark", "borders"): ["b"],
        ("mark", "damaged"): ["torn"],
    }
    marks = dict(zip(index["uris"], index["marks"], strict=True))
    assert marks == {
        "a": 0, "b": 4, "torn": 8, "whole": 0, "c": 1, "d": 2, "e": 0, "f": 0,
    }  # fmt: skip


def test_counts_groups_and_filters_are_of_the_best_crops(tmp_path: Path) -> None:
    """Of two crops a photo, the second one's verdict is nothing that a page of photos shows."""
    cut = {"verdict": "review", "reason": "head_cut"}
    crops = []
    for name, verdicts in (("a", ({"verdict": "ok"}, cut)), ("b", (cut, cut))):
        for rank, verdict in enumerate(verdicts):
            crop = crop_row(name, "1:1", (0, 0, 30, 30), **verdict, confidence=0.9 - rank / 2)
            crops.append(crop | {"rank": rank})
    run = commit_rows(tmp_path / "out", [image_row(name) for name in "ab"], crops)
    write_gallery(run, open_store(str(tmp_path / "page")))
    about, index = (value_in(tmp_path / "page", name) for name in ("run", "index/000"))
    overview = about["overview"]
    assert (overview["crops"], overview["all_crops"]) == (2, 4)
    assert sum(map(sum, overview["decisions"])) == 2
    groups = [(g["kind"], g["reason"], g["count"], g["first"]) for g in about["groups"]]
    assert groups == [("review", "head_cut", 1, [0]), ("close", "", 1, [1])]
    assert (index["uris"], index["needs"]) == (["b", "a"], [1, 8])


def test_broken_guards_come_before_low_confidence_however_many(tmp_path: Path) -> None:
    reasons = {"a": LOW, "b": LOW, "c": "text_cut", "d": "head_cut", "e": "head_cut"}
    crops = [
        crop_row(name, "1:1", (0, 0, 30, 30), verdict="review", reason=reason, confidence=0.2)
        for name, reason in reasons.items()
    ]
    run = commit_rows(tmp_path / "out", [image_row(name) for name in reasons], crops)
    write_gallery(run, open_store(str(tmp_path / "page")))
    groups = value_in(tmp_path / "page", "run")["groups"]
    assert [(group["reason"], group["count"]) for group in groups] == [
        ("head_cut", 2), ("text_cut", 1), (LOW, 2),
    ]  # fmt: skip


def test_shapes_are_in_the_order_asked_for_whatever_the_first_photo_lacks(tmp_path: Path) -> None:
    first, second = "s3://x/a.jpg", "s3://x/b.jpg"
    skipped = [{"ratio": "1:1", "reason": "head_cut"}]
    crops = [
        crop_row(name, ratio, (0, 0, 200, 200))
        for name, ratio in ((first, "16:9"), (second, "1:1"), (second, "circle"), (second, "16:9"))
    ]
    images = [image_row(first, skipped=skipped), image_row(second)]
    asked = {"ratios": "4:3, 1:1,16 : 9,Circle"}
    run = commit_rows(tmp_path, images, crops, settings=asked)
    assert contents_of(run).shapes == ["1:1", "16:9", "circle"]
