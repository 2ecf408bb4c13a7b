"""Positions of whole photos on their canvases, by hand, and the pages' drawing of them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli.runs import main
from pipeline.ledger.reader import Run
from pipeline.report.canvases import Canvases
from pipeline.report.gallery.build import write_gallery
from pipeline.report.pictures import compose
from pipeline.settings.safe_areas import parse_safe_areas
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import Colour, commit_rows, crop_row, image_row, preview_row

AREAS = "16:9=caption:0,0.8,1,1;1:1=circle"
PHOTO = (0.0, 0.0, 400.0, 300.0)
URI = "s3://x/a.jpg"
# The photo's diagonal of 500 px is the circle's diameter, its centre is at 200, 150.
ROUND = [-50.0, -100.0, 450.0, 400.0]
# Its 300 px are the upper .8 of a frame of 375 px, which is 666.7 px wide around 200.
ABOVE_CAPTION = [-133.3, 0.0, 533.3, 375.0]
VIEW_BOXES = (
    "[...document.querySelectorAll('.tile')].map((tile) =>"
    " tile.getAttribute('viewBox').split(' ').map(Math.round))"
)


def made_run(folder: Path, colour: Colour = (200, 30, 40), **asked: Any) -> Run:
    """A run of one photo whose crops show it whole, but for that of 4:3."""
    whole = {"verdict": "fallback", "reason": "fallback_blur", "fit": "blur"}
    crops = [
        crop_row(URI, "circle", PHOTO, colour, **whole) | {"width": 150, "height": 150},
        crop_row(URI, "16:9", PHOTO, colour, **whole) | {"width": 160, "height": 90},
        crop_row(URI, "1:1", PHOTO, colour, **whole) | {"fit": "pad", "width": 150, "height": 150},
        crop_row(URI, "4:3", PHOTO, colour, fit="crop", verdict="ok"),
    ]
    settings = {"ratios": "circle,16:9,1:1,4:3", "safe_areas": AREAS, "background": "#112233"}
    preview = preview_row(URI, (40, 160, 60))
    return commit_rows(folder, [image_row(URI)], crops, [preview], settings={**settings, **asked})


@pytest.mark.parametrize(
    ("ratio", "fit", "expected"),
    [
        ("circle", "blur", {"frame": ROUND}),
        ("1:1", "pad", {"frame": ROUND, "ground": "#ffffff"}),
        ("16:9", "blur", {"frame": ABOVE_CAPTION}),
        ("4:3", "blur", {"frame": list(PHOTO)}),
        ("circle", "crop", {}),
        ("circle", None, {}),  # of a run before there were fits
    ],
)
def test_a_whole_photo_keeps_clear_of_what_is_not_seen(
    ratio: str, fit: str | None, expected: dict[str, Any]
) -> None:
    assert Canvases(parse_safe_areas(AREAS)).page_data(ratio, fit, PHOTO) == expected


def test_a_runs_own_settings_decide(tmp_path: Path) -> None:
    canvases = Canvases.of(made_run(tmp_path))
    assert canvases.page_data("1:1", "pad", PHOTO) == {"frame": ROUND, "ground": "#112233"}
    bare = commit_rows(tmp_path / "old", [image_row(URI)], [], settings={"ratios": "1:1"})
    square = [0.0, -50.0, 400.0, 350.0]  # nothing lies over the crops
    assert Canvases.of(bare).page_data("1:1", "blur", PHOTO) == {"frame": square}


def test_the_photo_is_cut_from_where_it_lies() -> None:
    """Of a thumbnail of 100 pixels, 500 of the frame, it takes up 80 x 60 in the middle."""
    picture = Image.new("RGB", (100, 100), "white")
    picture.paste((20, 220, 20), (10, 20, 90, 80))
    stream = io.BytesIO()
    picture.save(stream, "png")
    crop = crop_row(URI, "circle", PHOTO, fit="pad") | {"image": stream.getvalue()}
    made = compose([crop], (400, 300), Canvases({}))
    pixels = np.asarray(Image.open(io.BytesIO(made)).convert("RGB")).astype(int)
    assert pixels.shape == (192, 256, 3)
    assert (pixels[:, :, 1] > 180).all()
    assert (pixels[:, :, 0] < 90).all()  # nothing of the white ground


def test_the_gallery_draws_whole_photos_in_their_places(tmp_path: Path) -> None:
    write_gallery(made_run(tmp_path / "out"), open_store(str(tmp_path / "page")))
    page = (tmp_path / "page" / "index.html").as_uri()

    async def look(tab: Tab) -> None:
        await tab.window(1280, 900)
        await tab.open(page + "#/photos", "document.querySelector('article.row')")
        boxes = await tab.run(VIEW_BOXES)
        round_frame, above_caption = [-50, -100, 500, 500], [-133, 0, 667, 375]
        assert boxes == [round_frame, above_caption, round_frame, [0, 0, 400, 300]]
        grounds = "[...document.querySelectorAll('.tile')].map((t) => t.style.background)"
        assert await tab.run(grounds) == ["", "", "rgb(17, 34, 51)", ""]
        await tab.open(page + "#/photo/0/circle", "document.querySelector('.stage .outside')")
        marks = "[...document.querySelectorAll('.stage .outline')].map((m) => m.tagName)"
        assert await tab.run(marks) == ["rect"]
        dark = "document.querySelector('.stage .outside').getAttribute('d')"
        assert await tab.run(dark) == "M0 0H400V300H0ZM0 0H400V300H0Z"  # nothing is outside
        css = "[...document.querySelectorAll('[aria-label^=\"Copy CSS\"]')].map((b) => b.title)"
        # 100 of 300 px above and below, 50 of 400 px at the sides.
        in_circle = "object-view-box: inset(-33.33% -12.50% -33.33% -12.50%)"
        assert (await tab.run(css))[:3] == [
            f"object-fit: contain; {in_circle}; background-color: #112233;",
            "object-fit: contain; object-view-box: inset(0.00% -33.32% -25.00% -33.33%);"
            " background-color: #112233;",
            f"object-fit: contain; {in_circle}; background-color: #112233;",
        ]
        assert tab.problems == []

    browse(look)


def test_the_comparison_draws_each_run_by_its_own_safe_areas(tmp_path: Path) -> None:
    out = tmp_path / "out"
    old = made_run(out, (200, 30, 40), safe_areas="16:9=caption:0,0.5,1,1")
    runs = [old, made_run(out, (30, 60, 200))]  # the same boxes, other bytes
    ids = [run.manifest["run_id"] for run in runs]
    assert main(["diff", str(out), *ids, "--html", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "index.html").as_uri()

    async def look(tab: Tab) -> None:
        await tab.open(page, "document.querySelectorAll('.pair').length === 4")
        assert await tab.run(VIEW_BOXES) == [
            [-333, 0, 1067, 600],  # 300 px are the upper half
            [-133, 0, 667, 375],
            [0, -50, 400, 400],  # was a square without a circle in it
            [-50, -100, 500, 500],
            *[[0, 0, 400, 300]] * 2,
            *[[-50, -100, 500, 500]] * 2,  # the circle
        ]
        assert tab.problems == []

    browse(look)
