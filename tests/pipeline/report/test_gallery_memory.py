"""The data files that a page keeps: many at once, cut ones, and those of a photo still shown."""

from pathlib import Path

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.report.scripts import data_script
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

GREEN = (40, 160, 60)
FILES = 90  # more than a page keeps
PHOTO_READY = "document.querySelector('.stage svg')"
# The width of the picture on a photo's page, 0 if it cannot be shown.
DRAWN = """(() => {
  const picture = new Image();
  picture.src = document.querySelector('.stage image').href.baseVal;
  return picture.decode().then(() => picture.naturalWidth, () => 0);
})()"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a gallery of one photo, and of more data files: data/more/<n>.js has n."""
    name = "s3://x/a.jpg"
    crops = [crop_row(name, "1:1", (0, 0, 200, 200), verdict="ok")]
    run = commit_rows(tmp_path / "out", [image_row(name)], crops, [preview_row(name, GREEN)])
    page = tmp_path / "page"
    write_gallery(run, open_store(str(page)))
    (page / "data" / "more").mkdir()
    for n in range(FILES):
        (page / "data" / "more" / f"{n}.js").write_bytes(data_script(f"more/{n}", n))
    return page


def test_every_request_is_answered_however_many_wait(folder: Path) -> None:
    async def look(tab: Tab) -> None:
        await tab.open((folder / "index.html").as_uri(), "S2.run")
        names = f"[...Array({FILES}).keys(), 0].map((n) => `more/${{n}}`)"
        late = "new Promise((answer) => setTimeout(answer, 10000, 'late'))"
        found = await tab.run(f"Promise.race([Promise.all({names}.map(S2.need)), {late}])")
        assert found == [*range(FILES), 0]

    browse(look)


def test_a_photo_is_shown_after_its_file_has_made_room(folder: Path) -> None:
    async def look(tab: Tab) -> None:
        await tab.open((folder / "index.html").as_uri() + "#/photo/0", PHOTO_READY)
        width = await tab.run(DRAWN)
        assert width > 0
        await tab.run(f"Promise.all([...Array({FILES}).keys()].map((n) => S2.need(`more/${{n}}`)))")
        await tab.press("1")  # draws the photo anew
        assert await tab.run(DRAWN) == width

    browse(look)


@pytest.mark.parametrize("left", [0, 0.5])  # share of the file
def test_a_data_file_that_is_cut_off_is_named(folder: Path, left: float) -> None:
    file = folder / "data" / "photos" / "00000.js"
    data = file.read_bytes()
    file.write_bytes(data[: int(left * len(data))])

    async def look(tab: Tab) -> None:
        await tab.open((folder / "index.html").as_uri() + "#/photos", "S2.run")
        await tab.until("document.body.innerText.includes('data/photos/00000.js cannot be read')")

    browse(look)
