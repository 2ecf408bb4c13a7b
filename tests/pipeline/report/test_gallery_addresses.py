"""Addresses of the gallery that were cut, mistyped or made for another gallery."""

import random
from pathlib import Path

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

READY = "document.querySelector('main h1') && !document.body.innerText.includes('Loading')"
TITLE = "document.querySelector('h1')?.firstChild.textContent"
NO_PHOTO = "This gallery has no such photo: the link belongs to another or an older gallery."
NO_PAGE = "This gallery has no page at this address."


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a gallery of 60 photos: three pages of a list."""
    folder = tmp_path_factory.mktemp("gallery")
    uris = [f"s3://x/{n:02d}.jpg" for n in range(60)]
    crops = [
        crop_row(uri, shape, (0, 0, 200, 200), verdict="ok")
        for uri in uris
        for shape in ("1:1", "16:9")
    ]
    previews = [preview_row(uri, (40, 160, 60)) for uri in uris]
    run = commit_rows(folder / "out", [image_row(uri) for uri in uris], crops, previews)
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


def test_a_page_that_is_not_there_leads_to_those_that_are(page: str) -> None:
    photos = ("999", "60", "-1", "1.5", "1e0", "abc", "NaN", "", "%", "0x1")
    routes = {f"#/photo/{place}": NO_PHOTO for place in photos} | {"#/photo": NO_PHOTO}
    routes |= {f"#/{name}": NO_PAGE for name in ("nowhere", "constructor", "%", "Photos", "photo%")}

    async def look(tab: Tab) -> None:
        for route, words in routes.items():
            await tab.open("about:blank", "true")
            await tab.open(page + route, READY)
            text = await tab.run("document.querySelector('main').innerText")
            assert words in text, route
            links = "[...document.querySelectorAll('main a')].map((one) => one.hash)"
            assert await tab.run(links) == ["#/", "#/photos"], route
            assert await tab.run("document.querySelectorAll('.bar nav a').length") == 3, route
        await tab.click("main a:last-of-type")
        await tab.until("document.querySelectorAll('article').length === 24")
        assert tab.problems == []

    browse(look)


@pytest.mark.parametrize("ratio", ["%", "%E0%A4%A", "4:7", "1:1%2399", "%00"])
def test_a_crop_that_is_not_there_leaves_the_photo(page: str, ratio: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(f"{page}#/photo/7/{ratio}", "document.querySelector('.stage svg')")
        assert await tab.run(TITLE) == "07.jpg"
        assert await tab.run("document.querySelectorAll('.stage .outline').length") == 2  # all
        assert (await tab.run("document.querySelector('#toast').textContent")).startswith(
            "This photo has no crop "
        )
        await tab.press("ArrowRight")
        await tab.until(f"{TITLE} === '08.jpg'")
        assert tab.problems == []

    browse(look)


def test_pages_and_filters_that_are_not_there(page: str) -> None:
    async def look(tab: Tab) -> None:
        field = "document.querySelector('.pager input').value"
        for wanted, shown in (
            ("0", 1), ("-3", 1), ("x", 1), ("NaN", 1), ("2.9", 2), ("1e9", 3), ("Infinity", 3),
            ("%", 1), ("", 1),
        ):  # fmt: skip
            await tab.open("about:blank", "true")
            await tab.open(f"{page}#/photos?page={wanted}", READY)
            await tab.until("document.querySelector('.pager input')")
            assert (wanted, await tab.run(field)) == (wanted, str(shown))
        for name, value in (("ratio", "7:7"), ("status", "constructor"), ("need", "toString")):
            await tab.open("about:blank", "true")
            await tab.open(f"{page}#/photos?{name}={value}", READY)
            await tab.until("document.body.innerText.includes('No photo matches')")
            chosen = f"document.querySelector('select[name={name}]').value"
            assert await tab.run(chosen) == value  # what the list is empty by
        await tab.click("main p a")
        await tab.until("document.querySelectorAll('article').length === 24")
        assert tab.problems == []

    browse(look)


def test_no_address_stops_the_page(page: str) -> None:
    draw = random.Random(7)
    parts = ["#", "/", "?", "&", "=", "%", "photo", "photos", "decisions", "0", "59", "1:1", "page",
             "q", "mode", "grid", "ratio", "%2", "%zz", "é", "..", "__proto__", "-1"]  # fmt: skip

    async def look(tab: Tab) -> None:
        await tab.open(page, READY)
        for _ in range(150):
            route = "".join(draw.choice(parts) for _ in range(draw.randint(1, 7)))
            await tab.run(f"location.hash = {route!r}")
            await tab.until(READY)
            assert tab.problems == [], route
        await tab.run("location.hash = '#/photo/3'")
        await tab.until(f"{TITLE} === '03.jpg'")

    browse(look)


def test_a_search_is_one_step_of_the_history(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open("about:blank", "true")
        await tab.open(page + "#/photos", "document.querySelector('article')")
        before = await tab.run("history.length")
        await tab.press("/")
        await tab.until("document.activeElement.id === 'search'")
        for n, letter in enumerate("07.j"):
            await tab.press(letter)
            await tab.until(f"location.hash === '#/photos?q={'07.j'[: n + 1]}'")
        await tab.until("document.querySelectorAll('article').length === 1")
        assert await tab.run("history.length") == before + 1
        await tab.run("history.back()")
        await tab.until("location.hash === '#/photos'")

    browse(look)


def test_letters_typed_while_a_list_is_replaced_are_searched_too(page: str) -> None:
    """The second letter comes between the new address and the event that draws its list."""
    typing = """(() => {
      const type = (text) => {
        const field = document.getElementById("search");
        field.focus();
        field.value = text;
        field.dispatchEvent(new Event("input"));
      };
      const go = S2.go;
      S2.go = (...list) => {
        S2.go = go;
        go(...list);
        type("07");
      };
      type("0");
    })()"""

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", "document.querySelector('article')")
        await tab.run(typing)
        await tab.until("location.hash === '#/photos?q=07'")
        await tab.until("document.querySelectorAll('article').length === 1")
        assert await tab.run("document.activeElement.id + document.activeElement.value") == (
            "search07"
        )

    browse(look)


def test_the_window_is_named_after_its_page(page: str) -> None:
    async def look(tab: Tab) -> None:
        for route, words in (
            ("", ""), ("#/photos", "Photos · "), ("#/photo/5", "05.jpg · "),
            ("#/decisions", "Decisions · "), ("#/nowhere", ""),
        ):  # fmt: skip
            await tab.open(page + route, READY)
            assert await tab.run("document.title") == f"{words}Gallery of run {run_id[:8]}"

    about = (Path(page.removeprefix("file://")).parent / "data" / "run.js").read_text()
    run_id = about.split('"run_id":"')[1]
    browse(look)
