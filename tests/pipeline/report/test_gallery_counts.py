"""What the gallery's overview and filters count, in a browser: each figure by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.made_runs import commit_rows, crop_row, image_row, preview_row

OK: dict[str, Any] = {"verdict": "ok", "confidence": 0.9}
CUT: dict[str, Any] = {"verdict": "review", "reason": "head_cut", "confidence": 0.8}
FIGURES = "[...document.querySelectorAll('.figure')].map((f) => f.innerText.split('\\n'))"
ROWS = "[...document.querySelectorAll('article.row .name')].map((name) => name.innerText)"
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
