"""The files of the pages: scripts and their lists, leftovers of earlier scripts, cards drawn."""

import re
from pathlib import Path

import pytest

from pipeline.report.diff import build as diff
from pipeline.report.gallery import build as gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

APP = Path(gallery.__file__).parents[1] / "app"
PAGES = {"gallery.html": gallery.SCRIPTS, "diff.html": diff.SCRIPTS}
LOADED = re.compile(r'<script src="app/(.+?)" defer></script>')


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_loads_is_written_beside_it(page: str) -> None:
    assert tuple(LOADED.findall((APP / page).read_text())) == PAGES[page]


def test_every_script_belongs_to_a_page() -> None:
    assert {path.name for path in APP.glob("*.js")} == {*gallery.SCRIPTS, *diff.SCRIPTS}


@pytest.mark.parametrize("path", sorted(APP.glob("*.js")), ids=lambda path: path.name)
def test_a_script_says_what_it_holds_and_is_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == '"use strict";'
    assert lines[1].startswith("// ")
    assert len(lines) <= 250


def test_scripts_of_an_earlier_version_do_nothing(tmp_path: Path) -> None:
    """Pages written over older ones leave scripts there that they load no more, as parts.js."""
    name = "s3://x/one.jpg"
    crop = crop_row(name, "1:1", (0, 0, 200, 200), (200, 30, 40), verdict="ok")
    run = commit_rows(
        tmp_path / "out", [image_row(name)], [crop], [preview_row(name, (40, 160, 60))]
    )
    left = tmp_path / "page" / "app" / "parts.js"
    left.parent.mkdir(parents=True)
    left.write_text('"use strict";\nconst S2 = {};\nthrow new Error("of an earlier version");\n')
    (left.parent / "home.js").write_text('throw new Error("not written anew");\n')
    gallery.write_gallery(run, open_store(str(tmp_path / "page")))

    async def look(tab: Tab) -> None:
        await tab.open((tmp_path / "page" / "index.html").as_uri(), "document.querySelector('h2')")
        assert "1\nphotos" in await tab.run("document.body.innerText")
        assert tab.problems == []

    browse(look)
    assert left.exists()  # only data files may show what is forgotten, so only they are removed


def test_the_cards_of_the_landing_page_show_all_shapes(tmp_path: Path) -> None:
    """Also where the plots of the shapes take several lines: no card scrolls by itself."""
    name = "s3://x/one.jpg"
    ratios = ("1:1", "4:3", "16:9", "9:16", "3:4", "circle")
    crops = [crop_row(name, ratio, (0, 0, 200, 200), verdict="ok") for ratio in ratios]
    run = commit_rows(tmp_path / "out", [image_row(name)], crops, [preview_row(name, (9, 9, 9))])
    gallery.write_gallery(run, open_store(str(tmp_path / "page")))
    cut = (
        "[...document.querySelectorAll('.plotcard')]"
        ".filter((card) => card.scrollHeight > card.clientHeight).length"
    )

    async def look(tab: Tab) -> None:
        await tab.window(400, 900)
        await tab.open((tmp_path / "page" / "index.html").as_uri(), "document.querySelector('h2')")
        assert await tab.run("document.querySelectorAll('.maps svg').length") == 2 * len(ratios)
        assert await tab.run(cut) == 0

    browse(look)


def test_on_paper_no_crop_is_cut_off(tmp_path: Path) -> None:
    """A row of crops that scrolls in a window takes several lines, and no buttons are printed."""
    name = "s3://x/one.jpg"
    ratios = ("1:1", "4:3", "16:9", "9:16", "3:4", "circle", "3:2", "2:1")
    crops = [crop_row(name, ratio, (0, 0, 200, 200), verdict="ok") for ratio in ratios]
    run = commit_rows(tmp_path / "out", [image_row(name)], crops, [preview_row(name, (9, 9, 9))])
    gallery.write_gallery(run, open_store(str(tmp_path / "page")))
    strip = "document.querySelector('article .strip')"

    async def look(tab: Tab) -> None:
        await tab.window(760, 900)  # as wide as a sheet of A4 between its margins
        await tab.open((tmp_path / "page" / "index.html").as_uri() + "#/photos", strip)
        assert await tab.run(f"{strip}.scrollWidth > {strip}.clientWidth")
        await tab.send("Emulation.setEmulatedMedia", media="print")
        assert await tab.run(f"{strip}.scrollWidth <= {strip}.clientWidth")
        assert await tab.run("document.querySelector('.filters').offsetHeight") == 0

    browse(look)
