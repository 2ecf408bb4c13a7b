"""The gallery without some of its data: files that cannot be read, a run without crops."""

from pathlib import Path

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

GREEN = (40, 160, 60)
TEXT = "document.body.innerText"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The folder of a gallery of one photo whose crop is to be reviewed, and of one that failed."""
    name = "s3://x/a.jpg"
    failed = image_row("s3://x/torn.jpg", None, status="corrupt", error_message="ends early")
    bad = {"verdict": "review", "reason": "head_cut"}
    crops = [crop_row(name, "1:1", (0, 0, 200, 200), **bad)]
    box = {"x0": 0.0, "y0": 0.0, "x1": 200.0, "y1": 200.0}
    image = image_row(name)
    candidates = [{"image_id": image["image_id"], "ratio": "1:1", **box, "score": 0.5}]
    previews = [preview_row(name, GREEN)]
    run = commit_rows(tmp_path / "out", [image, failed], crops, previews, candidates)
    write_gallery(run, open_store(str(tmp_path / "page")))
    return tmp_path / "page"


@pytest.mark.parametrize(
    ("route", "missing"),
    [
        ("", "photos/00000"),
        ("#/photos", "photos/00000"),
        ("#/photos?status=corrupt", "index/000"),
        ("#/photo/0", "photos/00000"),
        ("#/photo/0", "candidates/00000"),
    ],
)
def test_a_data_file_that_is_missing_is_named(page: Path, route: str, missing: str) -> None:
    file = page / "data" / f"{missing}.js"
    kept = file.rename(file.with_suffix(".kept"))

    async def look(tab: Tab) -> None:
        await tab.open((page / "index.html").as_uri() + route, "S2.run")
        if missing.startswith("candidates"):
            await tab.until("document.querySelector('.crops figure')")
            await tab.press("c")
        await tab.until(f"{TEXT}.includes('data/{missing}.js cannot be read')")
        assert "Loading…" not in await tab.run(TEXT)
        assert not [problem for problem in tab.problems if "Uncaught" in problem]

    browse(look)
    kept.rename(file)


def test_filters_work_once_the_index_can_be_read(page: Path) -> None:
    file = page / "data" / "index" / "000.js"
    kept = file.rename(file.with_suffix(".kept"))

    async def look(tab: Tab) -> None:
        await tab.open((page / "index.html").as_uri() + "#/photos?status=corrupt", "S2.run")
        await tab.until(f"{TEXT}.includes('cannot be read')")
        kept.rename(file)
        await tab.run("location.hash = '#/photos?q=torn'")
        await tab.until(f"{TEXT}.includes('1 of 2 photos')")

    browse(look)


def test_a_run_without_crops_has_no_empty_plots(tmp_path: Path) -> None:
    names = ("s3://x/a.jpg", "s3://x/b.jpg")
    images = [
        image_row(name, None, status=status)
        for name, status in zip(names, ("corrupt", "empty"), strict=True)
    ]
    write_gallery(commit_rows(tmp_path / "out", images, []), open_store(str(tmp_path / "page")))

    async def look(tab: Tab) -> None:
        address = (tmp_path / "page" / "index.html").as_uri()
        await tab.open(address, "document.querySelector('.plots')")
        titles = "[...document.querySelectorAll('.plotcard b')].map((title) => title.textContent)"
        assert await tab.run(titles) == ["Photos by status"]

    browse(look)


def test_a_photo_without_a_picture_does_not_look_like_an_error(tmp_path: Path) -> None:
    """As in runs with --boxes-only --preview 0: the list has the verdicts of its crops."""
    name, box = "s3://x/a.jpg", (0, 0, 200, 200)
    bad = {"verdict": "review", "reason": "head_cut"}
    crops = [
        crop_row(name, "1:1", box, **bad, image=None),
        crop_row(name, "16:9", box, verdict="ok", confidence=0.9, image=None),
    ]
    run = commit_rows(tmp_path / "out", [image_row(name, kind="long")], crops)
    write_gallery(run, open_store(str(tmp_path / "page")))

    async def look(tab: Tab) -> None:
        address = (tmp_path / "page" / "index.html").as_uri()
        for route, shown, words in (
            ("", ".group .nopicture", "no picture"),
            ("#/photos", "article.row", "head cut"),
            ("#/photos", "article.row", "90 %"),
            ("#/photos?mode=grid", ".cell", "no picture"),
            ("#/photo/0", ".nophoto", "No picture of this photo was kept."),
        ):
            await tab.open("about:blank", "true")
            await tab.open(address + route, f"document.querySelector('{shown}')")
            await tab.until(f"{TEXT}.includes('{words}')")  # groups are drawn one by one
            assert await tab.run("document.querySelectorAll('main .error').length") == 0

    browse(look)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({}, "400 × 300 px, jpeg"),
        ({"format": None}, "400 × 300 px"),
        ({"bytes": 1}, "400 × 300 px, jpeg, 1 byte"),
        ({"bytes": 12345}, "400 × 300 px, jpeg, 12,345 bytes"),
    ],
)
def test_what_is_not_known_of_a_photo_is_left_out(
    known: dict[str, object], told: str, tmp_path: Path
) -> None:
    run = commit_rows(tmp_path / "out", [image_row("s3://x/a.jpg", **known)], [], [])
    write_gallery(run, open_store(str(tmp_path / "page")))

    async def look(tab: Tab) -> str:
        address = (tmp_path / "page/index.html").as_uri()
        await tab.open(f"{address}#/photo/0", "document.querySelector('.facts td')")
        rows = await tab.run(
            "[...document.querySelectorAll('.facts tr')].map((row) => row.innerText)"
        )
        (row,) = [row.split(maxsplit=1)[1] for row in rows if row.startswith("photo")]
        return str(row)

    assert browse(look) == told
