"""Lists of the gallery while a person works through them: places, pages, addresses, keys."""

from pathlib import Path

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

GREEN = (40, 160, 60)
NAMES = [f"s3://x/{n:03d}.jpg" for n in range(100)]  # pages of 24, 24, 24, 24 and 4 photos
REVIEW = NAMES[7], NAMES[50], NAMES[99]  # the first three in the gallery's order
ROWS_READY = "document.querySelector('article.row')"
PHOTO_READY = "document.querySelector('.crops figure')"
PLACES = "[...document.querySelectorAll('.row [data-place]')].map((a) => Number(a.dataset.place))"
FOCUS = "document.activeElement"
TOAST = "document.getElementById('toast')?.textContent"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a gallery of 100 photos, three of them to review."""
    folder = tmp_path_factory.mktemp("lists")
    bad = {"verdict": "review", "reason": "head_cut"}
    crops = [
        crop_row(name, "1:1", (0, 0, 200, 200), **(bad if name in REVIEW else {"verdict": "ok"}))
        for name in NAMES
    ]
    images = [image_row(name, kind=("photo", "long")[n % 2]) for n, name in enumerate(NAMES)]
    run = commit_rows(folder / "out", images, crops, [preview_row(name, GREEN) for name in NAMES])
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


def shown(place: int) -> str:
    """The condition that a photo is on its page, which is later than its address."""
    return f"S2.photoView()?.place === {place} && S2.photoView().record && {PHOTO_READY}"


async def open_row(tab: Tab, place: int) -> None:
    """Open a photo of the list by keyboard."""
    await tab.run(f"document.querySelector('[data-place=\"{place}\"]').focus()")
    await tab.press("Enter")
    await tab.until(PHOTO_READY)


def test_deciding_moves_no_photo_of_the_next_page(page: str) -> None:
    async def decide(tab: Tab) -> None:
        await tab.open(page + "#/photos?decided=no", ROWS_READY)
        for _ in range(24):
            await tab.press("j")
            await tab.press("a")
        await tab.press("]")
        await tab.until("location.hash.includes('page=2')")
        await tab.until(f"document.querySelector('[data-place=\"24\"]') && {ROWS_READY}")
        assert await tab.run(PLACES) == list(range(24, 48))  # none of 24 to 47 was passed over
        await tab.press("j")  # the focus was on the last photo of page 1
        assert await tab.run(f"{FOCUS}.dataset.place") == "24"
        await tab.press("a")
        await tab.press("Enter")
        await tab.until(PHOTO_READY)
        await tab.press("ArrowRight")
        await tab.until(shown(25))
        await tab.press("Escape")
        await tab.until(f"{FOCUS}.dataset.place === '25'")
        assert await tab.run(PLACES) == list(range(24, 48))
        # The list is made anew for whoever comes back from another page.
        await tab.run("location.hash = '#/decisions'")
        await tab.until("document.querySelectorAll('.plainlist li').length === 25")
        await tab.run("location.hash = '#/photos?decided=no'")
        await tab.until(ROWS_READY)
        assert await tab.run(PLACES) == list(range(25, 49))

    browse(decide)


def test_back_leads_to_the_page_that_has_the_photo(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", ROWS_READY)
        await open_row(tab, 23)  # the last of its page
        await tab.press("ArrowRight")
        await tab.until(shown(24))
        await tab.press("Escape")
        await tab.until(f"{FOCUS}.dataset.place === '24'")
        assert await tab.run("location.hash") == "#/photos?page=2"
        await tab.open(page + "#/photo/99", PHOTO_READY)
        await tab.press("ArrowRight")
        await tab.until(f"{TOAST} === 'This is the last photo of the list'")
        await tab.press("Escape")
        await tab.until(f"{FOCUS}.dataset.place === '99'")

    browse(look)


def test_a_reloaded_photo_is_still_one_of_its_list(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?verdict=review&kind=long", ROWS_READY)
        assert await tab.run(PLACES) == [0, 2]  # 007 and 099; 050 is no long photo
        await open_row(tab, 0)
        address = await tab.run("location.href")
        await tab.open(address, PHOTO_READY)  # as a reload, and as a copied link
        await tab.press("ArrowRight")
        await tab.until(shown(2))
        await tab.press("Escape")
        await tab.until(f"{FOCUS}.dataset.place === '2'")
        assert await tab.run("location.hash") == "#/photos?verdict=review&kind=long"

    browse(look)


def test_a_photo_of_the_overview_belongs_to_its_group(page: str) -> None:
    """Whatever list was looked at before."""

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?kind=photo", ROWS_READY)
        await tab.run("location.hash = ''")
        await tab.until("document.querySelector('.group.review .tile')")
        await tab.run("document.querySelectorAll('.group.review .strip a')[1].click()")
        await tab.until(shown(1))
        await tab.press("ArrowRight")
        await tab.until(shown(2))
        await tab.press("ArrowRight")
        await tab.until(f"{TOAST} === 'This is the last photo of the list'")
        await tab.press("Escape")
        await tab.until(f"{FOCUS}.dataset.place === '2'")
        assert await tab.run(PLACES) == [0, 1, 2]

    browse(look)


def test_the_grid_shows_decisions(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?mode=grid", "document.querySelector('.cell')")
        await tab.press("a")  # no photo has the focus
        await tab.until(f"{TOAST} === 'Choose a photo first: j or k'")
        await tab.press("j")
        await tab.press("a")
        chips = "[...document.querySelectorAll('.cell .decided')].map((chip) => chip.textContent)"
        assert await tab.run(chips) == ["accepted"]
        await tab.run(f"S2.review.focus('{REVIEW[0]}', 0.25, 0.5)")
        await tab.run(f"S2.review.lock('{REVIEW[0]}', '16:9', [0, 0, 1, 1])")
        right = "getBoundingClientRect().right"
        parts = f"[...document.querySelector('.cell').children].map((part) => part.{right})"
        edge = await tab.run(f"document.querySelector('.cell').{right}")
        assert max(await tab.run(parts)) <= edge  # however much there is to say
        await tab.press("n")
        assert await tab.run(chips) == ["never crop"]
        await tab.open(page + "#/photos?mode=grid", "document.querySelector('.cell')")
        assert await tab.run(chips) == ["never crop"]
        await tab.press("j")
        await tab.press("u")
        assert await tab.run(chips) == []

    browse(look)


def test_keys_work_again_after_a_search_and_a_choice(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", ROWS_READY)
        await tab.press("/")
        await tab.until(f"{FOCUS}.id === 'search'")
        for key in ("9", "9", "Enter"):
            await tab.press(key)
        await tab.until(f"document.querySelectorAll('article.row').length === 1 && {ROWS_READY}")
        await tab.press("j")
        assert await tab.run(f"{FOCUS}.closest('[data-uri]').dataset.uri") == NAMES[99]
        await tab.open(page + "#/photos", ROWS_READY)
        await tab.run(
            "{ const kind = document.querySelector('select[name=kind]'); kind.focus();"
            " kind.value = 'long'; kind.dispatchEvent(new Event('change')); }"
        )
        await tab.until(f"{FOCUS}.name === 'kind' && document.querySelectorAll('.row').length")
        await tab.press("j")
        await tab.until(f"{FOCUS}.dataset.place === '0'")

    browse(look)


def test_a_search_that_was_left_does_not_call_back(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", ROWS_READY)
        await tab.run(
            "const field = document.querySelector('#search'); field.value = '07';"
            "field.dispatchEvent(new Event('input', {bubbles: true})); location.hash = '#/photo/3'"
        )
        await tab.until(PHOTO_READY)
        await tab.run("new Promise((done) => setTimeout(done, 400))")  # the search waits 250 ms
        assert await tab.run("location.hash") == "#/photo/3"

    browse(look)


def test_names_are_found_however_their_accents_are_written(tmp_path: Path) -> None:
    """macOS writes é as e and U+0301; keyboards type U+00E9."""
    names = ["s3://x/cafe\u0301.jpg", "s3://x/CAF\u00c9 2.jpg", "s3://x/cafe.jpg"]
    run = commit_rows(tmp_path / "out", [image_row(name, None) for name in names], [], [])
    write_gallery(run, open_store(str(tmp_path / "page")))
    page = (tmp_path / "page" / "index.html").as_uri()
    found = "[...document.querySelectorAll('article.row')].map((row) => row.dataset.uri).sort()"

    async def look(tab: Tab) -> None:
        for typed, expected in (("caf%C3%A9", names[:2]), ("cafe%CC%81", names[:2])):
            await tab.open(f"{page}#/photos?q={typed}", ROWS_READY)
            assert await tab.run(found) == sorted(expected)

    browse(look)
