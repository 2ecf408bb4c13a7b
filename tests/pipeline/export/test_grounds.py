"""Photos shown whole on a ground, rectangular and round: by hand, and in a real Chromium."""

import base64
import csv
import io
import json
import random
import re
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.runs import main
from pipeline.export.formats import FORMATS, write_lines
from pipeline.photo.encoding.thumbnail import encode
from pipeline.photo.encoding.whole import place_whole
from pipeline.shapes import parse_shape
from tests.pipeline.export.test_export_formats import READERS, crop_of
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row
from tests.support.services import of_css, of_wordpress

PADDED = {
    "imgproxy": "rs:fit:512:288/ex:1/bg:ffffff",
    "thumbor": "fit-in/512x288/filters:fill(ffffff)",
    "cloudinary": "b_rgb:ffffff,c_pad,h_288,w_512",
    "imgix": "fit=fill&fill=solid&fill-color=ffffff&w=512&h=288",
    "iiif": "full/162,288/0/default.jpg",
    "css": "aspect-ratio: 16 / 9; object-fit: contain; background-color: #ffffff",
}


def test_a_whole_photo_on_a_ground() -> None:
    whole = crop_of((0, 0, 900, 1600), photo_wh=(900, 1600), size_wh=(512, 288), fit="pad")
    assert {name: FORMATS[name](whole)["crop"] for name in PADDED} == PADDED  # type: ignore[index]
    assert all("focal" not in FORMATS[name](whole) for name in PADDED)  # type: ignore[index]
    assert FORMATS["wordpress"](whole) == {}
    for name, read in READERS.items():
        assert read(PADDED[name], (900, 1600)) == (0, 0, 900, 1600)
    content = crop_of((0, 100, 900, 1500), photo_wh=(900, 1600), size_wh=(512, 288), fit="blur")
    assert FORMATS["imgproxy"](content)["crop"].startswith("crop:900:1400:nowe:0:100/rs:fit:")
    assert FORMATS["thumbor"](content)["crop"] == (
        "0x100:900x1500/fit-in/512x288/filters:fill(blur)"
    )
    assert FORMATS["cloudinary"](content)["crop"].endswith("/b_blurred,c_pad,h_288,w_512")
    assert FORMATS["imgix"](content)["crop"] == "rect=0,100,900,1400&fit=fill&fill=blur&w=512&h=288"
    for name, read in READERS.items():
        text = FORMATS[name](content)["crop"]  # type: ignore[index]
        assert read(text, (900, 1600)) == (0, 100, 900, 1500)


@pytest.mark.parametrize("fit", ["pad", "blur"])
def test_borders_are_left_out_of_what_is_padded_on_a_page(fit: str) -> None:
    """100 of 1600 rows above and below are 6.25 %, the 1400 between them 87.5 %."""
    content = crop_of((0, 100, 900, 1500), photo_wh=(900, 1600), size_wh=(512, 288), fit=fit)
    fields = FORMATS["css"](content)
    assert fields == {
        "crop": "aspect-ratio: 16 / 9; object-fit: contain; "
        "object-view-box: inset(6.25% 0% 6.25% 0%); background-color: #ffffff"
    }
    assert of_css(fields["crop"], (900, 1600), (512, 288)) == (0, 100, 900, 1500)
    args = {"left": 0, "top": 6.25, "width": 100, "height": 87.5}
    edit = FORMATS["wordpress"](content)
    assert edit == {"edit": {"modifiers": [{"type": "crop", "args": args}]}}
    assert of_wordpress(edit["edit"], (900, 1600)) == (0, 100, 900, 1500)


def test_circles_are_round_where_a_service_can() -> None:
    circle = crop_of((0, 0, 300, 300), "circle", (400, 300), size_wh=(256, 256))
    assert FORMATS["cloudinary"](circle)["crop"].endswith("/c_fill,h_256,r_max,w_256")
    assert FORMATS["imgix"](circle)["crop"].endswith("&mask=ellipse")
    assert FORMATS["css"](circle)["focal"] == (
        "aspect-ratio: 1 / 1; object-fit: cover; object-position: 0% 50%; border-radius: 50%"
    )


# 400 x 300 has a diagonal of 500, so that in a circle of 256 it has 204.8 x 153.6.
ROUND = {
    "imgproxy": "rs:force:205:154/pd:51:26:51:25/bg:ffffff",
    "thumbor": "fit-in/256x256/filters:proportion(0.8):fill(ffffff)",
    "cloudinary": "c_scale,h_154,w_205/b_rgb:ffffff,c_pad,h_256,w_256/r_max",
    "imgix": "fit=scale&w=205&h=154",
    "iiif": "full/205,154/0/default.jpg",
    # The square around the circle goes from (-50, -100) to (450, 400).
    "css": "aspect-ratio: 1 / 1; object-fit: contain; object-view-box: "
    "inset(-33.3333% -12.5% -33.3333% -12.5%); border-radius: 50%; background-color: #ffffff",
}


def test_a_circle_keeps_the_corners_of_what_lies_on_its_ground() -> None:
    whole = crop_of((0, 0, 400, 300), "circle", (400, 300), size_wh=(256, 256), fit="pad")
    assert {name: FORMATS[name](whole)["crop"] for name in ROUND} == ROUND  # type: ignore[index]
    assert all("focal" not in FORMATS[name](whole) for name in ROUND)  # type: ignore[index]
    for name, read in READERS.items():
        assert read(ROUND[name], (400, 300)) == (0, 0, 400, 300)
    assert of_css(ROUND["css"], (400, 300), (256, 256)) == pytest.approx(
        (-50, -100, 450, 400), abs=1e-3
    )
    content = crop_of((100, 0, 400, 400), "circle", (500, 400), size_wh=(256, 256), fit="blur")
    assert FORMATS["imgproxy"](content)["crop"] == (
        "crop:300:400:nowe:100:0/rs:force:154:205/pd:25:51:26:51/bg:ffffff"
    )
    assert FORMATS["cloudinary"](content)["crop"] == (
        "c_crop,g_north_west,h_400,w_300,x_100,y_0/c_scale,h_205,w_154/"
        "b_blurred,c_pad,h_256,w_256/r_max"
    )
    assert FORMATS["thumbor"](content)["crop"] == (
        "100x0:400x400/fit-in/256x256/filters:proportion(0.8):fill(blur)"
    )
    assert FORMATS["imgix"](content)["crop"] == "rect=100,0,300,400&fit=scale&w=154&h=205"
    assert FORMATS["iiif"](content)["crop"] == "100,0,300,400/154,205/0/default.jpg"
    for name, read in READERS.items():
        text = FORMATS[name](content)["crop"]  # type: ignore[index]
        assert read(text, (500, 400)) == (100, 0, 400, 400)


@pytest.mark.parametrize(("side", "share"), [(500, ""), (450, "proportion(0.9):")])
def test_thumbor_scales_what_its_fit_left_as_it_was(side: int, share: str) -> None:
    """A fit enlarges nothing: 400 x 300 stays so in 450 pixels, where the circle needs 360."""
    whole = crop_of((0, 0, 400, 300), "circle", (400, 300), size_wh=(side, side), fit="pad")
    wanted = f"fit-in/{side}x{side}/filters:{share}fill(ffffff)"
    assert FORMATS["thumbor"](whole)["crop"] == wanted


def test_iiif_asks_for_no_more_than_a_region_has() -> None:
    """Without `^` a larger size is an error; 10 x 16 lie in a frame of 29 x 16 as they are."""
    small = crop_of((0, 0, 10, 16), "16:9", (10, 16), size_wh=(29, 16), fit="pad")
    assert FORMATS["iiif"](small)["crop"] == "full/max/0/default.jpg"
    cut = crop_of((5, 5, 105, 104), "1:1", (200, 200), size_wh=(100, 100))
    assert FORMATS["iiif"](cut)["crop"] == "5,5,100,99/max/0/default.jpg"


def test_a_round_ground_is_that_of_the_runs_own_crops() -> None:
    draw, circle = random.Random(7), parse_shape("circle")
    for _ in range(100):
        x0, y0 = draw.randint(0, 900), draw.randint(0, 900)
        box = (x0, y0, x0 + draw.randint(1, 900), y0 + draw.randint(1, 900))
        crop = crop_of(box, "circle", (1800, 1800), size_wh=(200, 200), fit="pad")
        placed = place_whole(box, circle)
        assert crop.ground_box == pytest.approx(placed.canvas_px)
        left, top, right, bottom = placed.box_rel
        shown = max(1, 200 * (right - left)), max(1, 200 * (bottom - top))
        assert crop.inner_wh == pytest.approx(shown, abs=0.5 + 1e-6)
        assert hypot(*crop.inner_wh) <= 202
        shrunk = re.search(r"proportion\((.*?)\)", FORMATS["thumbor"](crop)["crop"])
        share = float(shrunk[1]) if shrunk else 1.0
        fitted = min(1, 200 / (box[2] - box[0]), 200 / (box[3] - box[1]))
        assert 200 * (right - left) == pytest.approx(share * fitted * (box[2] - box[0]), abs=0.01)


FOCAL = ("focal_x", "focal_y", "position_x", "position_y", "focal_iou")


@pytest.mark.parametrize("fit", ["pad", "blur"])
def test_what_lies_on_a_ground_has_no_focal_point(fit: str) -> None:
    """The mean is of the crop alone, 3200 x 1800 of 4000 x 2250; IIIF has no focal point at all."""
    crops = [crop_of(), crop_of((0, 0, 4000, 3000), fit=fit), crop_of((0, 0, 9, 16), fit=fit)]
    table, lines = io.StringIO(), io.StringIO()
    for name, out in (("csv", table), ("jsonl", lines)):
        write_lines(crops, name, out)  # type: ignore[arg-type]
    rows = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert [[row[name] for name in FOCAL] for row in rows[1:]] == [[""] * 5] * 2
    assert [rows[0][name] for name in FOCAL] == ["0.5", "0.4", "0.5", "0.1", "0.64"]
    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [FOCAL[0] in one for one in records] == [True, False, False]
    assert not any(one.keys() & set(FOCAL) for one in records[1:])
    for name in FORMATS:
        done = write_lines(crops, name, io.StringIO())
        wanted = (0, None) if name == "iiif" else (1, pytest.approx(0.64))
        assert (done.crops, done.focused, done.overlap) == (3, *wanted), name


@pytest.mark.parametrize(
    ("fit", "summary"),
    [("crop", "1 crop; focal points alone show them with a mean IoU of 1.000\n"),
     ("pad", "1 crop\n")],
)  # fmt: skip
def test_the_command_says_a_mean_where_there_is_one(
    fit: str, summary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [crop_row("u/a.jpg", "1:1", (50, 0, 350, 300), fit=fit)]
    commit_rows(tmp_path, [image_row("u/a.jpg")], rows)
    assert main(["export", str(tmp_path), "--as", "csv"]) == 0
    assert capsys.readouterr().err == summary


def test_a_browser_shows_a_photo_whole_in_a_circle() -> None:
    """On 200 pixels the photo of 400 x 300 goes from (20, 40) to (180, 160)."""
    picture = encode(np.full((300, 400, 3), (0, 0, 255), np.uint8), "png")
    whole = crop_of((0, 0, 400, 300), "circle", (400, 300), fit="pad", background="00ff00")
    style = FORMATS["css"](whole)["crop"]
    address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    image = f'<img src="{address}" style="display: block; width: 200px; {style}">'
    head = '<!doctype html><meta name="viewport" content="width=device-width">'
    page = f'{head}<body style="margin: 0; background: #888">{image}'

    async def look(tab: Tab) -> Any:
        await tab.window(200, 200)
        text = base64.b64encode(page.encode()).decode()
        await tab.open(f"data:text/html;base64,{text}", "document.images[0]?.complete")
        return await tab.pixels()

    shown = browse(look)
    for x, y in ((24, 44), (175, 44), (24, 155), (175, 155), (100, 100)):
        assert shown[y, x].tolist() == [0, 0, 255], (x, y)
    for x, y in ((10, 100), (190, 100), (100, 30), (100, 170)):
        assert shown[y, x].tolist() == [0, 255, 0], (x, y)
    for x, y in ((3, 3), (196, 3), (3, 196), (196, 196)):
        assert shown[y, x].tolist() == [136, 136, 136], (x, y)
