"""What the pages' texts look like: none covers another, none is too large, all are words."""

from itertools import combinations

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

NAME = "s3://x/a.jpg"
# Boxes of the whole photo and of its left half share a corner, the third is a little lower.
BOXES = [(0, 0, 400, 300), (0, 0, 200, 300), (0, 5, 100, 100), (210, 150, 390, 290)]
LABELS = ("thing", "subject", "person", "text")
PLACES = """(selector) => [...document.querySelectorAll(selector)].map((one) => {
  const r = one.getBoundingClientRect();
  return [r.left, r.top, r.right, r.bottom];
})"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("labels")
    edges = ("x0", "y0", "x1", "y1")
    objects = [
        {**dict(zip(edges, box, strict=True)), "score": 0.9 - n / 10, "label": label}
        for n, (box, label) in enumerate(zip(BOXES, LABELS, strict=True))
    ]
    crops = [
        crop_row(NAME, "1:1", (0, 0, 200, 200), verdict="review", reason="unsafe_area"),
        crop_row(NAME, "16:9", (0, 0, 320, 180), verdict="ok", override=NAME),
    ]
    image = image_row(NAME, objects=objects, override=NAME)
    run = commit_rows(folder / "out", [image], crops, [preview_row(NAME, (40, 160, 60))])
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


def test_labels_of_objects_do_not_cover_each_other(page: str) -> None:
    async def look(tab: Tab) -> None:
        for width in (1280, 500):
            await tab.window(width, 900)
            await tab.open(page + "#/photo/0", "document.querySelector('.stage svg')")
            await tab.press("o")
            await tab.until("document.querySelectorAll('.object text').length === 4")
            places = await tab.run(f"({PLACES})('.object text')")
            for one, other in combinations(places, 2):
                wide = min(one[2], other[2]) - max(one[0], other[0])
                high = min(one[3], other[3]) - max(one[1], other[1])
                line = one[3] - one[1]
                # The boxes of two lines of text overlap a little, their letters do not.
                assert wide <= 0 or high <= 0.35 * line, (width, one, other)
            # The first is where it belongs, inside the corner of its box.
            (photo,) = await tab.run(f"({PLACES})('.stage svg > image:first-child')")
            assert 0 <= places[0][0] - photo[0] < 20
            assert -5 <= places[0][1] - photo[1] < 20

    browse(look)


def test_texts_of_plots_are_smaller_than_headings(page: str) -> None:
    """A plot that fills a small window is not drawn larger with its texts."""
    sizes = (
        "[...document.querySelectorAll('svg.plot text')].map((one) =>"
        " parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a)"
    )

    async def look(tab: Tab) -> None:
        for width in (1280, 760, 500, 320):
            await tab.window(width, 900)
            await tab.open(page, "document.querySelector('svg.plot text')")
            found = await tab.run(sizes)
            assert min(found) > 7, width
            assert max(found) < 17, width  # the size of headings

    browse(look)


def test_marks_of_people_and_of_safe_areas_are_words(page: str) -> None:
    chips = "[...document.querySelectorAll('.row .chip')].map((chip) => chip.textContent)"

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", "document.querySelector('.row .chip')")
        assert await tab.run(chips) == ["by a person", "outside the safe area", "by a person"]

    browse(look)
