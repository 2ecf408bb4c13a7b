"""A whole job without Ray on photos with special treatment, and on people's decisions."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import open_run
from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings
from tests.support.block_transfer import run_with_transfers
from tests.support.drawn_pictures import framed, lens, moving_file, page, screen
from tests.support.odd_photos import saved

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

torch.set_num_threads(1)
Rows = dict[str, dict[str, Any]]


def moving_scenes() -> list[Image.Image]:
    scenes = [lens(120, 90, seed) for seed in range(3)]
    return [Image.fromarray(scene) for scene in scenes]


def tables(out: Path) -> tuple[Rows, dict[tuple[str, str], dict[str, Any]]]:
    """Rows of images by file name, of crops by file name and ratio."""
    run = open_run(str(out))
    images = {Path(row["uri"]).name: row for row in run.images().to_pylist()}
    crops = {(Path(row["uri"]).name, row["ratio"]): row for row in run.crops().to_pylist()}
    return images, crops


def opened(crop: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(crop["image"]))


def test_each_kind_has_its_rule(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    clear = np.dstack([lens(120, 90), np.full((90, 120), 128, np.uint8)])
    for name, data in {
        "film.png": saved(framed(lens(320, 180), 0, 60, 0, 60, 0), "PNG"),
        "page.png": saved(page(600, 800, 20), "PNG"),
        "long screen.png": saved(screen(400, 1600), "PNG"),
        "panorama.jpg": saved(lens(600, 150), "JPEG"),
        "moving.gif": moving_file("GIF", moving_scenes(), [40, 80, 120], 0),
        "clear.png": saved(clear, "PNG"),
    }.items():
        (folder / name).write_bytes(data)
    asked = {"input": str(folder), "ratios": "1:1,16:9", "thumbnail_size": 64}
    manifest = run_with_transfers(
        Settings.of(output=str(tmp_path / "out"), animated="all", **asked)
    )
    images, crops = tables(tmp_path / "out")
    assert {name: row["kind"] for name, row in images.items()} == {
        "film.png": "photo", "page.png": "text-heavy", "long screen.png": "long",
        "panorama.jpg": "long", "moving.gif": "animated", "clear.png": "photo",
    }  # fmt: skip
    assert manifest.metrics.kinds == {"photo": 2, "text-heavy": 1, "long": 2, "animated": 1}

    film = images["film.png"]
    assert film["content"] == [0, 60, 320, 240]
    assert 60 / 300 <= film["focus_y"] <= 240 / 300
    assert all(60 <= one["y0"] < one["y1"] <= 240 for one in film["objects"])
    for ratio in ("1:1", "16:9"):
        crop = crops["film.png", ratio]
        assert 60 <= crop["y0"] < crop["y1"] <= 240
        assert np.asarray(opened(crop).convert("L")).min() > 30  # no bar in it

    for ratio, size in (("1:1", (64, 64)), ("16:9", (64, 36))):
        crop = crops["page.png", ratio]
        assert (crop["fit"], crop["verdict"], crop["reason"]) == ("pad", "fallback", "text_pad")
        assert [crop[edge] for edge in ("x0", "y0", "x1", "y1")] == [0, 0, 600, 800]
        assert opened(crop).size == size
        top = crops["long screen.png", ratio]
        assert (top["x0"], top["y0"], top["x1"]) == (0, 0, 400)
        assert top["reason"] in ("long_top", "text_cut")
        assert crops["panorama.jpg", ratio]["fit"] == "crop"

        moves = crops["moving.gif", ratio]
        picture = opened(moves)
        assert (moves["frames"], getattr(picture, "n_frames", 1)) == (3, 3)
        times = []
        for index in range(3):
            picture.seek(index)
            picture.load()
            times.append(picture.info["duration"])
        assert times == [40, 80, 120]
        assert crops["film.png", ratio]["frames"] == 1

        glass = opened(crops["clear.png", ratio])
        assert glass.mode == "RGBA"
        assert np.asarray(glass)[..., 3].mean() == pytest.approx(128, abs=2)


def test_what_a_person_decided_is_obeyed_and_said(tmp_path: Path) -> None:
    folder, out, table = tmp_path / "in", tmp_path / "out", tmp_path / "overrides.csv"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(saved(lens(200, 120, number), "JPEG"))
    film = framed(lens(320, 180), 0, 60, 0, 60, 0)
    (folder / "film.png").write_bytes(saved(film, "PNG"))
    asked = {"input": str(folder), "output": str(out), "ratios": "1:1,16:9", "thumbnail_size": 64}
    run_with_transfers(Settings.of(**asked))
    table.write_text(
        "uri,ratio,x0,y0,x1,y1,focus_x,focus_y,never_crop\n"
        f"{folder}/0.jpg,1:1,30,10,130,110,,,\n"
        f"{folder}/1.jpg,,,,,,0.1,0.5,\n"
        f"{folder}/2.*,,,,,,,,true\n"
        f"{folder}/film.png,16:9,0,30,320,210,,,\n"
    )
    settings = Settings.of(overrides=str(table), **asked)
    planned = plan(settings, Log("json", io.StringIO()))
    assert planned.todo.reasons == {"override changed": 4}
    assert "overrides apply to 4 photos" in planned.message
    strange = tmp_path / "strange.csv"
    strange.write_text(f"uri,never_crop\n{folder}x/0.jpg,true\n")
    for given, told in ((table, False), (strange, True)):
        said = io.StringIO()
        plan(Settings.of(overrides=str(given), **asked), Log("json", said))
        one = f"no photo of {folder}: addresses are whole, for instance {folder}/0.jpg"
        assert (one in said.getvalue()) == told
        assert "lock boxes" not in said.getvalue()
    said = io.StringIO()
    plan(Settings.of(overrides=str(table), **{**asked, "ratios": "1:1"}), Log("json", said))
    assert "the overrides lock boxes of 16:9, which this job does not make" in said.getvalue()
    manifest = run_with_transfers(settings)
    assert manifest.metrics.overridden == 4
    images, crops = tables(out)

    def box(name: str, ratio: str) -> list[float]:
        return [crops[name, ratio][edge] for edge in ("x0", "y0", "x1", "y1")]

    assert box("0.jpg", "1:1") == [30, 10, 130, 110]
    assert crops["0.jpg", "1:1"]["override"] == f"{folder}/0.jpg"
    assert crops["0.jpg", "16:9"]["override"] is None
    assert box("1.jpg", "1:1") == [0, 0, 120, 120]  # the point is near the left edge
    assert images["1.jpg"]["focus_source"] == "override"
    assert images["1.jpg"]["focus_x"] == pytest.approx(0.1)
    assert crops["2.jpg", "1:1"]["fit"] == "pad"
    assert box("2.jpg", "1:1") == [0, 0, 200, 120]
    assert images["2.jpg"]["override"] == f"{folder}/2.*"
    assert images["3.jpg"]["override"] is None
    assert images["3.jpg"]["focus_source"] == "gaze"
    assert box("film.png", "16:9") == [0, 30, 320, 210]  # it holds some of the bars
    assert images["film.png"]["content"] is None
    assert plan(settings, Log("json", io.StringIO())).todo.reasons == {}

    (folder / "4.jpg").unlink()  # a pattern finds it in the live table
    table.write_text(f"uri,forget\n{folder}/[34].*,true\n")
    planned = plan(settings, Log("json", io.StringIO()))
    assert planned.removal.forgotten == (f"{folder}/3.jpg", f"{folder}/4.jpg")
    planned.apply_removals(Log("json", io.StringIO()))
    assert set(tables(out)[0]) == {"0.jpg", "1.jpg", "2.jpg", "film.png"}
