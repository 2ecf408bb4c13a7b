"""The counts in the gallery's overview and filters, in a browser: each figure by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

OK: dict[str, Any] = {"verdict": "ok", "confidence": 0.9}
CUT: dict[str, Any] = {"verdict": "review", "reason": "head_cut", "confidence": 0.8}
FIGURES = "[...document.querySelectorAll('.figure')].map((f) => f.innerText.split('\\n'))"
ROWS = "[...document.querySelectorAll('article.row .name')].map((name) => name.textContent)"
COUNTED = "document.querySelector('.counted')"


def gallery_of(folder: Path, photos: dict[str, Sequence[dict[str, Any]]]) -> str:
    """The address of a gallery of photos with these crops, all 1:1, the best first."""
    crops = [
        crop_row(name, "1:1", (0, 0, 30, 30)) | {"rank": rank} | crop
        for name, given in photos.items()
        for rank, crop in enumerate(given)
    ]
    previews = [preview_row(name, (40, 160, 60)) for name in photos]
    run = commit_rows(folder / "out", [image_row(name) for name in photos], crops, previews)
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


def test_figures_and_lists_are_of_the_best_crops(tmp_path: Path) -> None:
    page = gallery_of(tmp_path, {"a": [OK, CUT], "b": [CUT, OK], "c": [OK, CUT]})

    async def look(tab: Tab) -> None:
        await tab.open(page, "document.querySelector('.group .tile')")
        assert await tab.run(FIGURES) == [
            ["3", "photos"],
            ["3", "best crops of 6"],
            ["1", "best crops to review"],
            ["0", "fallbacks of best crops"],
            ["0", "photos failed"],
        ]
        titles = "[...document.querySelectorAll('figcaption b')].map((b) => b.innerText)"
        assert (await tab.run(titles))[:2] == [
            "Best crops by shape",
            "Confidence of the best crops",
        ]
        assert await tab.run("document.querySelector('.group.review').innerText") == (
            "Head cut\n1 photo\nShow all\n1:1"
        )
        await tab.open(page + "#/photos?mode=grid", "document.querySelector('.cell')")
        marked = "[...document.querySelectorAll('.cell')].map((cell) => cell.className.trim())"
        assert sorted(await tab.run(marked)) == ["cell", "cell", "cell review"]
        await tab.open(page + "#/photos?need=review", COUNTED)
        assert await tab.run(ROWS) == ["b"]
        assert tab.problems == []

    browse(look)


def test_crops_without_a_verdict_hide_no_others_verdict(tmp_path: Path) -> None:
    """As in a run rendered for another ratio: some of its crops nobody has judged again."""
    padded = {"verdict": "fallback", "reason": "fallback_pad", "fit": "pad"}
    page = gallery_of(tmp_path, {"a": [OK], "b": [padded], "c": [{}], "d": [{}], "e": [CUT]})

    async def look(tab: Tab) -> None:
        await tab.open(page, "document.querySelector('.group .tile')")
        assert await tab.run(FIGURES) == [
            ["5", "photos"],
            ["5", "crops"],
            ["1", "crops to review"],
            ["1", "fallbacks"],
            ["2", "crops not judged"],
            ["0", "photos failed"],
        ]
        legend = "[...document.querySelectorAll('.key')].map((key) => key.innerText)"
        assert await tab.run(legend) == ["ok", "fallback", "to review", "not judged"]
        bars = "[...document.querySelectorAll('svg.plot')][0].querySelectorAll('.fill')"
        colours = await tab.run(f"[...{bars}].map((bar) => getComputedStyle(bar).fill)")
        assert len(colours) == len(set(colours)) == 4
        assert "2 not judged" in await tab.run(f"[...{bars}].map((b) => b.textContent).join()")
        await tab.run("document.querySelector('a.figure.unjudged').click()")
        await tab.until("document.querySelectorAll('article.row').length === 2")
        assert sorted(await tab.run(ROWS)) == ["c", "d"]
        assert await tab.run("document.querySelector('select[name=verdict]').value") == "unjudged"
        chips = "[...document.querySelectorAll('figcaption .chip')].map((chip) => chip.innerText)"
        assert await tab.run(chips) == ["not judged"] * 2
        assert tab.problems == []

    browse(look)


def test_a_run_that_judges_nothing_says_nothing_of_verdicts(tmp_path: Path) -> None:
    page = gallery_of(tmp_path, {"a": [{}], "b": [{}]})

    async def look(tab: Tab) -> None:
        await tab.open(page, "document.querySelector('svg.plot')")
        assert await tab.run(FIGURES) == [["2", "photos"], ["2", "crops"], ["0", "photos failed"]]
        await tab.open(page + "#/photos", "document.querySelector('article.row')")
        assert await tab.run("document.querySelector('select[name=verdict]')") is None
        assert "judged" not in await tab.run("document.body.innerText")

    browse(look)


def test_only_needs_that_photos_have_are_offered(tmp_path: Path) -> None:
    low = {"verdict": "review", "reason": "low_confidence", "confidence": 0.2}
    unsure = gallery_of(tmp_path / "unsure", {"a": [OK], "b": [low]})
    broken = gallery_of(tmp_path / "broken", {"a": [OK], "b": [CUT]})

    async def look(tab: Tab) -> None:
        offered = "[...document.querySelectorAll('select[name=need] option')].map((o) => o.value)"
        for page, need in ((unsure, "low"), (broken, "review")):
            await tab.open(page + "#/photos", "document.querySelector('article.row')")
            values = await tab.run(offered)
            assert values == ["", "any", need, "close"]
            for value, names in ((need, ["b"]), ("close", ["a"]), ("any", ["b", "a"])):
                await tab.open(f"{page}#/photos?need={value}", COUNTED)
                assert (value, await tab.run(ROWS)) == (value, names)

    browse(look)


def test_a_picture_that_a_setting_left_out_has_not_failed(tmp_path: Path) -> None:
    images = [
        image_row("a"),
        image_row("loop", kind="animated", status="skipped_animated"),
        image_row("torn", None, status="corrupt", error_message="ends early"),
    ]
    crops, previews = [crop_row("a", "1:1", (0, 0, 30, 30)) | OK], [preview_row("a", (9, 9, 9))]
    run = commit_rows(tmp_path / "out", images, crops, previews)
    write_gallery(run, open_store(str(tmp_path / "page")))
    page = (tmp_path / "page" / "index.html").as_uri()
    chips = (
        "[...document.querySelectorAll('.trouble .chip')].map((c) => [c.textContent, c.className])"
    )

    async def look(tab: Tab) -> None:
        await tab.open(page, "document.querySelector('.figure')")
        assert ["1", "photos failed"] in await tab.run(FIGURES)
        await tab.open(page + "#/photos?status=not%20ok", COUNTED)
        assert await tab.run(ROWS) == ["torn"]
        assert await tab.run(chips) == [["corrupt", "chip error"]]
        await tab.open(page + "#/photos?need=any", COUNTED)
        assert "loop" not in await tab.run(ROWS)
        await tab.open(page + "#/photos?q=loop", COUNTED)
        assert await tab.run(chips) == [["animated, left out", "chip "]]
        assert tab.problems == []

    browse(look)
