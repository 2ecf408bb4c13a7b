"""Every format by hand for one crop, and parsed again by the services' own rules."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.runs import main
from pipeline.export.crops import (
    ExportedCrop,
    NotCropped,
    export_decisions,
    exported_crop,
)
from pipeline.export.focal import focal_overlap, focal_point, object_position, window_at
from pipeline.export.formats import COLUMNS, FORMATS, record_of, write_lines
from pipeline.export.pages import _percent
from pipeline.export.services import _share
from pipeline.ledger.reader import Run
from pipeline.photo.encoding.thumbnail import thumbnail_size
from pipeline.shapes import parse_shape
from tests.support.row_runs import commit_rows, crop_row, image_row
from tests.support.services import (
    of_cloudinary,
    of_css,
    of_iiif,
    of_imgix,
    of_imgproxy,
    of_thumbor,
    of_wordpress,
)

READERS = {
    "imgproxy": of_imgproxy, "thumbor": of_thumbor, "cloudinary": of_cloudinary,
    "imgix": of_imgix, "iiif": of_iiif,
}  # fmt: skip
BY_FOCUS = ("imgproxy", "thumbor", "cloudinary", "imgix")


def crop_of(
    box: tuple[int, int, int, int] = (400, 300, 3600, 2100),
    ratio: str = "16:9",
    photo_wh: tuple[int, int] = (4000, 3000),
    **more: Any,
) -> ExportedCrop:
    size = thumbnail_size(parse_shape(ratio), box, 512)
    return ExportedCrop("s3://u/a.jpg", "ab", ratio, 0, photo_wh, box, **{"size_wh": size, **more})


BY_HAND = {
    "imgproxy": {
        "crop": "crop:3200:1800:nowe:400:300/rs:fill:512:288",
        "focal": "rs:fill:512:288/g:fp:0.5:0.4",
    },
    "thumbor": {
        "crop": "400x300:3600x2100/512x288",
        "focal": "512x288/filters:focal(400x300:3600x2100)",
    },
    "cloudinary": {
        "crop": "c_crop,g_north_west,h_1800,w_3200,x_400,y_300/c_fill,h_288,w_512",
        "focal": "c_fill,g_xy_center,h_288,w_512,x_2000,y_1200",
    },
    "imgix": {
        "crop": "rect=400,300,3200,1800&fit=crop&w=512&h=288",
        "focal": "fit=crop&crop=focalpoint&fp-x=0.5&fp-y=0.4&w=512&h=288",
    },
    "iiif": {
        "crop": "400,300,3200,1800/512,288/0/default.jpg",
        "percent": "pct:10,10,80,60/512,288/0/default.jpg",
    },
    # The window is 4000 x 2250; centred on y 1200 it begins at 75, a tenth of the 750 left.
    "css": {
        "crop": "aspect-ratio: 16 / 9; object-fit: cover; object-view-box: inset(10% 10% 30% 10%)",
        "focal": "aspect-ratio: 16 / 9; object-fit: cover; object-position: 50% 10%",
    },
    "wordpress": {
        "edit": {
            "modifiers": [
                {"type": "crop", "args": {"left": 10, "top": 10, "width": 80, "height": 60}}
            ]
        },
        "focalPoint": {"x": 0.5, "y": 0.1},
    },
    "jsonl": {
        "photo_width": 4000, "photo_height": 3000, "orientation": 1,
        "x0": 400, "y0": 300, "x1": 3600, "y1": 2100, "width": 512, "height": 288,
        "focal_x": 0.5, "focal_y": 0.4, "position_x": 0.5, "position_y": 0.1, "focal_iou": 0.64,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_one_crop_by_hand(name: Any) -> None:
    assert FORMATS[name](crop_of()) == BY_HAND[name]


def random_crops(count: int) -> list[ExportedCrop]:
    draw = random.Random(5)
    crops = []
    for _ in range(count):
        width, height = draw.randint(60, 9000), draw.randint(60, 9000)
        ratio = draw.choice(["16:9", "1:1", "9:16", "4x5", "circle", "1.91:1"])
        aspect = parse_shape(ratio).ratio or 1.0
        wide = min(width, height * aspect) * draw.uniform(0.4, 1)
        wide_px, high_px = max(1, round(wide)), max(1, min(height, round(wide / aspect)))
        x0, y0 = draw.randint(0, width - wide_px), draw.randint(0, height - high_px)
        crops.append(crop_of((x0, y0, x0 + wide_px, y0 + high_px), ratio, (width, height)))
    return crops


def apart(box: Any, other: Any) -> float:
    return max(abs(a - b) for a, b in zip(box, other, strict=True))


def test_every_crop_comes_back_within_a_pixel() -> None:
    """A frame of whole pixels has not quite the crop's ratio: what it cuts is its own rounding."""
    for crop in random_crops(300):
        slack = 1.0 + max(crop.box_wh) / min(crop.size_wh) / 2
        for name, read in READERS.items():
            text = FORMATS[name](crop)["crop"]  # type: ignore[index]
            assert apart(read(text, crop.photo_wh), crop.box) <= slack, (name, crop, text)
        for name in ("imgproxy", "cloudinary", "thumbor", "imgix"):  # before its resize: exactly
            cut = FORMATS[name](crop)["crop"]  # type: ignore[index]
            numbers = {int(one) for one in cut.replace("nowe", "").translate(NO_LETTERS).split()}
            assert numbers >= {*crop.box[:2]}, (name, cut)
        assert apart(of_iiif(FORMATS["iiif"](crop)["percent"], crop.photo_wh), crop.box) <= 0.1
        css = of_css(FORMATS["css"](crop)["crop"], crop.photo_wh, crop.size_wh)
        assert apart(css, crop.box) <= 0.1
        assert apart(of_wordpress(FORMATS["wordpress"](crop)["edit"], crop.photo_wh), crop.box) <= 1


NO_LETTERS = {ord(letter): " " for letter in "abcdefghijklmnopqrstuvwxyz_:/,&=()-"}


def test_every_focal_point_shows_the_same_window() -> None:
    for crop in random_crops(300):
        aspect = crop.size_wh[0] / crop.size_wh[1]
        shown = window_at(focal_point(crop.box, crop.photo_wh), crop.photo_wh, aspect)
        for name in BY_FOCUS:
            text = FORMATS[name](crop)["focal"]  # type: ignore[index]
            assert apart(READERS[name](text, crop.photo_wh), shown) <= 1, (name, crop, text)
        text = FORMATS["css"](crop)["focal"]
        by_css = of_css(text, crop.photo_wh, crop.size_wh)
        # The frame of a style sheet has the ratio itself, not that of whole pixels.
        exact = window_at(focal_point(crop.box, crop.photo_wh), crop.photo_wh, crop.aspect)
        assert apart(by_css, exact) <= 1.5, (crop, text)
        point = FORMATS["wordpress"](crop)["focalPoint"]
        room = [crop.photo_wh[axis] - (exact[axis + 2] - exact[axis]) for axis in (0, 1)]
        assert abs(room[0] * point["x"] - exact[0]) <= 1
        assert abs(room[1] * point["y"] - exact[1]) <= 1


def test_numbers_for_wordpress_have_four_digits() -> None:
    """The largest square of 600 × 900 has 300 of room; with the crop's middle it begins at 50."""
    crop = crop_of((100, 200, 400, 500), "1:1", (600, 900))
    assert FORMATS["wordpress"](crop)["focalPoint"] == {"x": 0.5, "y": 0.1667}


def test_a_crop_that_is_all_of_the_photo_is_a_crop_for_wordpress_too() -> None:
    fields = FORMATS["wordpress"](crop_of((0, 0, 400, 300), "4:3", (400, 300)))
    (change,) = fields["edit"]["modifiers"]
    assert change["args"] == {"left": 0, "top": 0, "width": 100, "height": 100}
    assert fields["focalPoint"] == {"x": 0.5, "y": 0.5}


def test_no_focal_point_shows_a_crop_better() -> None:
    for crop in random_crops(30):
        best = focal_overlap(crop.box, crop.photo_wh, crop.aspect)
        share = crop.box_wh[0] * crop.box_wh[1]
        window = window_at((0.5, 0.5), crop.photo_wh, crop.aspect)
        area = (window[2] - window[0]) * (window[3] - window[1])
        assert best == pytest.approx(share / area, rel=0.03)
        for step in range(101):
            other = window_at((step / 100, step / 100), crop.photo_wh, crop.aspect)
            width = min(other[2], crop.box[2]) - max(other[0], crop.box[0])
            height = min(other[3], crop.box[3]) - max(other[1], crop.box[1])
            shared = max(0.0, width) * max(0.0, height)
            assert shared / (share + area - shared) <= best + 1e-9


def test_without_room_the_position_is_the_middle() -> None:
    assert object_position((0, 0, 1600, 900), (1600, 900), 16 / 9) == (0.5, 0.5)
    assert object_position((0, 0, 300, 300), (400, 300), 1.0) == (0.0, 0.5)
    assert object_position((100, 0, 400, 300), (400, 300), 1.0) == (1.0, 0.5)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    images = [
        image_row("u/ok.jpg", orientation=6),
        image_row("u/skip.jpg", skipped=[{"ratio": "16:9", "reason": "head_cut"}]),
        image_row("u/broken.jpg", None, status="corrupt"),
    ]
    crops = [
        crop_row("u/ok.jpg", "1:1", (50, 0, 350, 300), verdict="review", reason="head_cut",
                 confidence=0.25, fit="crop"),
        crop_row("u/ok.jpg", "16:9", (0, 0, 400, 300), verdict="fallback", fit="pad",
                 reason="fallback_pad"),
        crop_row("u/skip.jpg", "1:1", (0, 0, 300, 300)),
    ]  # fmt: skip
    return commit_rows(tmp_path / "out", images, crops)


def test_every_photo_of_a_run_is_told(run: Run) -> None:
    decisions = list(export_decisions(run))
    assert [(one.uri, one.ratio) for one in decisions] == [
        ("u/ok.jpg", "1:1"), ("u/ok.jpg", "16:9"), ("u/skip.jpg", "1:1"),
        ("u/skip.jpg", "16:9"), ("u/broken.jpg", None),
    ]  # fmt: skip
    first, padded, old, skipped, broken = (record_of(one, FORMATS["imgproxy"]) for one in decisions)
    assert first["crop"].startswith("crop:300:300:nowe:50:0/")
    assert (first["verdict"], first["reason"], first["orientation"]) == ("review", "head_cut", 6)
    assert record_of(decisions[0], FORMATS["jsonl"])["confidence"] == 0.25
    assert padded["crop"] == "rs:fit:400:300/ex:1/bg:ffffff"
    assert old["fit"] == "crop"  # of a run without that column
    assert isinstance(decisions[3], NotCropped)
    assert (skipped["status"], skipped["reason"]) == ("ok", "head_cut")
    assert (broken["status"], broken["ratio"]) == ("corrupt", None)


def test_the_command_writes_lines_and_says_what_focal_points_lose(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, run_id = str(tmp_path / "out"), str(run.manifest["run_id"])
    assert main(["export", output, run_id, "--as", "thumbor"]) == 0
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line.get("crop") for line in lines] == [
        "50x0:350x300/300x300", "fit-in/400x300/filters:fill(ffffff)", "0x0:300x300/300x300",
        None, None,
    ]  # fmt: skip
    assert all(value is not None for line in lines for value in line.values())
    assert said.err == (
        "3 crops, 2 photos or shapes without one; "
        "focal points alone show 2 of them with a mean IoU of 1.000\n"
    )
    assert main(["export", output, "--as", "csv", "--into", str(tmp_path / "all.csv")]) == 0
    assert b"\r" not in (tmp_path / "all.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text("utf-8"))))
    assert [row["x0"] for row in rows] == ["50", "0", "0", "", ""]
    assert tuple(rows[0]) == COLUMNS
    assert main(["export", output, run_id, "--as", "csv", "--channel", "a"]) == 2
    assert main(["export", output, "--as", "csv", "--into", str(tmp_path / "no/such.csv")]) == 2
    assert not list(tmp_path.glob("*.part"))


def test_the_mean_is_that_of_the_crops() -> None:
    out = io.StringIO()
    crops = [crop_of(), crop_of((0, 0, 4000, 2250)), NotCropped("a", "b", "corrupt")]
    summary = write_lines(crops, "jsonl", out)
    assert (summary.crops, summary.without) == (2, 1)
    assert summary.overlap == pytest.approx((0.64 + 1) / 2)


def exported_box(*box: float, **photo: Any) -> ExportedCrop:
    crop = {
        **crop_row("u/a.jpg", "free", (0, 0, 9, 9)),
        **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)),
    }
    return exported_crop(crop, {"width_px": 100, "height_px": 60, "orientation": None, **photo})


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        ((10.4, 5.6, 50.5, 30.2), (10, 6, 50, 30)),
        ((-3, -2, 120, 90), (0, 0, 100, 60)),
        ((99.9, 59.8, 100, 60), (99, 59, 100, 60)),  # at least a pixel
        ((20, 20, 20.2, 20.3), (20, 20, 21, 21)),
        ((0, 0, 100, 60), (0, 0, 100, 60)),
    ],
)
def test_boxes_are_whole_pixels_inside_the_photo(
    box: tuple[float, ...], whole: tuple[int, ...]
) -> None:
    assert exported_box(*box).box == whole


def test_what_an_old_run_does_not_say_has_its_usual_value() -> None:
    crop = exported_box(0, 0, 50, 20)
    assert (crop.orientation, crop.fit, crop.background) == (1, "crop", "ffffff")
    assert exported_box(0, 0, 1, 1, orientation=8).orientation == 8
    assert (crop.aspect, crop.is_whole, crop.is_circle) == (2.5, False, False)
    assert exported_box(0, 0, 100, 60).is_whole
    assert not exported_box(0, 0, 100, 59).is_whole
    assert crop_of(ratio="4:3").aspect == pytest.approx(4 / 3)
    bare = crop_of()
    assert (bare.verdict, bare.reason, bare.confidence, bare.rank) == (None, None, None, 0)


def test_what_is_told_of_each_crop_and_photo() -> None:
    record = record_of(crop_of(confidence=0.1234567, verdict="ok"), FORMATS["jsonl"])
    assert {name: record[name] for name in COLUMNS[:9]} == {
        "uri": "s3://u/a.jpg", "image_id": "ab", "status": "ok", "ratio": "16:9", "rank": 0,
        "fit": "crop", "verdict": "ok", "reason": None, "confidence": 0.12346,
    }  # fmt: skip
    assert "orientation" not in record_of(crop_of(), FORMATS["css"])
    assert record_of(crop_of(orientation=3), FORMATS["css"])["orientation"] == 3
    assert record_of(NotCropped("u", "i", "ok", "1:1", "head_cut"), FORMATS["css"]) == {
        "uri": "u", "image_id": "i", "status": "ok", "ratio": "1:1", "reason": "head_cut",
    }  # fmt: skip
    assert list(FORMATS) == ["imgproxy", "thumbor", "cloudinary", "imgix", "iiif", "css",
                             "wordpress", "csv", "jsonl"]  # fmt: skip
    out = io.StringIO()
    write_lines([NotCropped("u/é名.jpg", "i", "corrupt")], "jsonl", out)
    assert out.getvalue() == '{"uri": "u/é名.jpg", "image_id": "i", "status": "corrupt"}\n'
    nothing = write_lines([NotCropped("u", "i", "corrupt")], "jsonl", io.StringIO())
    assert (nothing.crops, nothing.without, nothing.overlap) == (0, 1, None)


@pytest.mark.parametrize(
    ("ratio", "css_ratio"),
    [("1.91:1", "1.91 / 1"), ("4x5", "4 / 5"), ("3/2", "3 / 2"), ("1.5", "1.5"),
     ("circle", "1 / 1"), ("free", "3200 / 1800")],
)  # fmt: skip
def test_a_style_sheet_names_the_ratio(ratio: str, css_ratio: str) -> None:
    crop = crop_of(ratio=ratio, size_wh=(512, 288))
    assert FORMATS["css"](crop)["focal"].startswith(f"aspect-ratio: {css_ratio};")


def test_under_a_pixel_of_room_is_no_choice() -> None:
    assert object_position((0, 0, 300, 300), (300.9, 300), 1.0) == (0.5, 0.5)
    assert object_position((1, 0, 301, 300), (301, 300), 1.0) == (1.0, 0.5)
    assert object_position((0, 1, 300, 301), (300, 301), 1.0) == (0.5, 1.0)


def test_iiif_in_its_canonical_form() -> None:
    own = crop_of((0, 0, 512, 288), photo_wh=(1024, 576), size_wh=(512, 288))
    assert FORMATS["iiif"](own) == {
        "crop": "0,0,512,288/max/0/default.jpg", "percent": "pct:0,0,50,50/max/0/default.jpg",
    }  # fmt: skip
    whole = crop_of((0, 0, 1024, 576), photo_wh=(1024, 576), size_wh=(512, 288))
    assert FORMATS["iiif"](whole)["percent"] == "full/512,288/0/default.jpg"


def test_the_ground_is_what_the_run_was_asked_for(tmp_path: Path) -> None:
    row, crop = image_row("u/a.jpg"), crop_row("u/a.jpg", "1:1", (0, 0, 9, 9))
    plain = commit_rows(tmp_path / "plain", [row], [crop])
    assert plain.background == "ffffff"
    asked = commit_rows(tmp_path / "asked", [row], [crop], settings={"background": "#00FF80"})
    assert asked.background == "00ff80"
    assert [
        one.background
        for one in export_decisions(asked, asked.background)
        if isinstance(one, ExportedCrop)
    ] == ["00ff80"]


@pytest.mark.parametrize(
    ("share", "percent", "number"),
    [(0.0, "0", "0"), (1.0, "100", "1"), (0.1, "10", "0.1"), (0.123456, "12.3456", "0.12346"),
     (0.1000004, "10", "0.1"), (1e-9, "0", "0")],
)  # fmt: skip
def test_a_share_has_as_many_digits_as_it_needs(share: float, percent: str, number: str) -> None:
    assert (_percent(share), _share(share)) == (percent, number)


@pytest.mark.parametrize("name", ["a\rb.jpg", "a\nb.jpg", "a\r\nb.jpg", 'a,"b".jpg', " é#?%.jpg"])
def test_a_csv_row_has_any_name_of_a_photo(name: str) -> None:
    out = io.StringIO(newline="")
    write_lines([NotCropped(name, "ab", "unreadable"), NotCropped("c", "cd", "ok")], "csv", out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert [(row["uri"], row["image_id"]) for row in rows] == [(name, "ab"), ("c", "cd")]
