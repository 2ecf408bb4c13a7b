"""A comparison draws what covers each run's crops (`--safe-areas`), at places found by hand."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.runs import main
from pipeline.ledger.reader import Run
from tests.support.browser import ON, Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

LIGHT = (250, 250, 250)
CAPTION, BADGE = "1:1=caption:0,0.8,1,1", "1:1=badge:0.5,0,1,0.25"
A, B = "s3://x/a.jpg", "s3://x/b.jpg"
PHOTO = (0, 0, 400, 300)
READY = "document.querySelector('.pair .tile')"
BUTTON = "document.querySelector('.safeareas')"


def made(out: Path, left: float, safe_areas: str, *names: str, **more: Any) -> Run:
    """A run whose crops of 200 x 200 begin at `left`. more: of its spec."""
    crops = [crop_row(name, "1:1", (left, 0, left + 200, 200), LIGHT) for name in names]
    settings = {"ratios": "1:1", "safe_areas": safe_areas}
    rows = [image_row(name) for name in names]
    previews = [preview_row(name, LIGHT) for name in names]
    return commit_rows(out, rows, crops, previews, settings=settings, **more)


def compare(out: Path, *runs: Run) -> str:
    """The address of the pages that compare two runs, or one with what was live before it."""
    page = out.parent / "page"
    ids = [run.manifest["run_id"] for run in runs]
    assert main(["diff", str(out), *ids, "--html", str(page)]) == 0
    return (page / "index.html").as_uri()


def covers(n: int) -> str:
    """The places of what covers the tiles of a row, in shares of each tile."""
    tiles = f"document.querySelectorAll('article')[{n}].querySelectorAll('.tile')"
    return f"[...{tiles}].map((one) => ({ON})(one.querySelector('.cover') || one, one))"


def test_each_side_shows_what_covers_its_own_crops(tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = compare(out, made(out, 0, CAPTION, A), made(out, 100, BADGE, A))
    before, after = ".both .tile", ".both .arrow + .tile"
    caption, badge = (0.5, 0.9), (0.75, 0.12)

    async def look(tab: Tab) -> None:
        await tab.window(1280, 1100)
        await tab.open(page, READY)
        assert await tab.run(f"{BUTTON}.ariaPressed") == "false"
        for tile in (before, after):
            for place in (caption, badge):
                assert await tab.brightness(tile, *place) > 240
        await tab.press("s")
        assert await tab.run(f"{BUTTON}.ariaPressed") == "true"
        was, now = await tab.run(covers(0))
        assert was == pytest.approx([0, 0.8, 1, 1], abs=0.01)
        assert now == pytest.approx([0.5, 0, 1, 0.25], abs=0.01)
        dark = pytest.approx(0.45 * LIGHT[0], abs=6)  # .55 of black over it
        assert await tab.brightness(before, *caption) == dark
        assert await tab.brightness(before, *badge) > 240
        assert await tab.brightness(after, *badge) == dark
        assert await tab.brightness(after, *caption) > 240
        # On the whole photo: of the new crop, 100, 0, 300, 200 of 400 x 300.
        await tab.run("document.querySelector('.pair').dispatchEvent(new MouseEvent('mouseenter'))")
        hero = "document.querySelector('.hero .whole')"
        place = await tab.run(f"({ON})({hero}.querySelector('.covered.only .cover'), {hero})")
        assert place == pytest.approx([0.5, 0, 0.75, 50 / 300], abs=0.005)
        await tab.run("location.hash = '#/?change=moved'")  # it stays on
        await tab.until("document.querySelector('select[name=change]').value === 'moved'")
        await tab.until(READY)
        assert await tab.run(f"{BUTTON}.ariaPressed") == "true"
        assert await tab.brightness(after, *badge) == dark
        await tab.click(".safeareas")
        assert await tab.brightness(after, *badge) > 240
        for width in (320, 500, 700, 1000):
            await tab.window(width, 800)
            await tab.open(page, READY)
            assert await tab.run("document.documentElement.scrollWidth") <= width
            edges = await tab.run(f"({ON})({BUTTON}, document.body)")
            assert 0 <= edges[0] < edges[2] <= 1, width
        assert tab.problems == []

    browse(look)


def test_a_run_without_safe_areas_has_none_beside_one_that_has(tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = compare(out, made(out, 0, "", A), made(out, 100, BADGE, A))

    async def look(tab: Tab) -> None:
        await tab.open(page, READY)
        await tab.click(".safeareas")
        was, now = await tab.run(covers(0))
        assert was == [0, 0, 1, 1]  # there is nothing on the tile
        assert now == pytest.approx([0.5, 0, 1, 0.25], abs=0.01)

    browse(look)


def test_a_comparison_without_safe_areas_has_no_such_button(tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = compare(out, made(out, 0, "", A), made(out, 100, "circle", A))

    async def look(tab: Tab) -> None:
        await tab.open(page, READY)
        await tab.press("s")
        assert await tab.run("document.querySelectorAll('.safeareas, .covered').length") == 0
        assert await tab.run("document.body.className") == ""
        assert tab.problems == []

    browse(look)


def test_what_was_live_may_come_from_runs_with_other_safe_areas(tmp_path: Path) -> None:
    """The frame of a photo that is shown whole is that of its own run, too."""
    out = tmp_path / "out"
    settings = {"ratios": "1:1", "safe_areas": CAPTION}
    padded = [crop_row(A, "1:1", PHOTO, LIGHT, fit="pad", width=200, height=200)]
    commit_rows(out, [image_row(A)], padded, [preview_row(A, LIGHT)], settings=settings)
    made(out, 0, BADGE, B, weights_sha256="bb" * 32)
    new = made(out, 100, "", A, B, weights_sha256="cc" * 32)
    page = compare(out, new)
    frame = "document.querySelector('.tile').getAttribute('viewBox').split(' ').map(Number)"

    async def look(tab: Tab) -> None:
        await tab.open(page, READY)
        await tab.press("s")
        by_name = {
            name: await tab.run(covers(n))
            for n, name in enumerate(
                await tab.run("[...document.querySelectorAll('article')].map((r) => r.ariaLabel)")
            )
        }
        assert by_name["a.jpg"][0] == pytest.approx([0, 0.8, 1, 1], abs=0.01)
        assert by_name["b.jpg"][0] == pytest.approx([0.5, 0, 1, 0.25], abs=0.01)
        assert [by_name[name][1] for name in ("a.jpg", "b.jpg")] == [[0, 0, 1, 1]] * 2
        # Above the caption are .8 of the canvas; 400 x 300 fits there in a canvas of 400 x 400.
        # It stands in the middle of the upper 320: 10 below the canvas's upper side.
        await tab.open(page + "#/?q=a.jpg", "document.querySelectorAll('article').length === 1")
        assert await tab.run(frame) == [0, -10, 400, 400]

    browse(look)
