"""The gallery on a slow web server: data that arrive after another page is shown change nothing."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row
from tests.support.serving import serving

GREEN = (40, 160, 60)
NAMES = [f"s3://x/{n:02d}.jpg" for n in range(28)]  # 24 of them are in the first data file
PHOTO_READY = "document.querySelector('.crops figure')"
TITLE = "document.querySelector('h1').firstChild.textContent"


class Slow:
    """A web server of a gallery that sends one data file only when it is released."""

    def __init__(self, folder: Path) -> None:
        self.held = ""
        self.released = threading.Event()
        slow = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                if slow.held and slow.held in self.path:
                    slow.released.wait(30)
                super().do_GET()

        handler = functools.partial(Handler, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.page = f"http://127.0.0.1:{self.server.server_port}/index.html"

    async def release(self, tab: Tab) -> None:
        """Send the file, and wait until the page has done what waited for it."""
        self.released.set()
        await tab.run(f"S2.need('{self.held}').then(() => new Promise((r) => setTimeout(r, 100)))")


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    images = [image_row(name) for name in NAMES]
    crops = [crop_row(name, "1:1", (0, 0, 200, 200), verdict="ok") for name in NAMES]
    run = commit_rows(tmp_path / "out", images, crops, [preview_row(name, GREEN) for name in NAMES])
    write_gallery(run, open_store(str(tmp_path / "page")))
    made = Slow(tmp_path / "page")
    with serving(made.server):
        yield made


def test_a_decision_is_about_the_photo_that_is_shown(slow: Slow) -> None:
    slow.held = "photos/00001"

    async def look(tab: Tab) -> None:
        await tab.open(slow.page + "#/photo/3", PHOTO_READY)
        await tab.run("location.hash = '#/photo/26'")
        await tab.until("document.body.innerText.includes('Loading')")
        await tab.run("location.hash = '#/photo/3'")
        await tab.until(PHOTO_READY)
        await slow.release(tab)
        assert await tab.run(TITLE) == "03.jpg"
        await tab.press("n")
        assert await tab.run("S2.review.all().map(([uri]) => uri)") == ["s3://x/03.jpg"]

    browse(look)


def test_the_picture_that_is_shown_is_drawn_anew(slow: Slow) -> None:
    slow.held = "crops/00000"  # of photos 0 to 3

    async def look(tab: Tab) -> None:
        await tab.open(slow.page, "document.querySelector('.home')")
        await tab.run("location.hash = '#/photo/3'")
        await tab.until("S2.photoView()?.record")
        await tab.press("ArrowRight")
        await tab.until(PHOTO_READY)
        await slow.release(tab)
        assert await tab.run(TITLE) == "04.jpg"
        await tab.press("w")
        await tab.until("document.querySelector('.stage .aiming')")

    browse(look)


def test_pages_are_turned_in_the_list_that_is_shown(slow: Slow) -> None:
    slow.held = "photos/00001"

    async def look(tab: Tab) -> None:
        await tab.open(slow.page, "document.querySelector('.home')")
        await tab.run("location.hash = '#/photos?page=2'")
        await tab.until("document.body.innerText.includes('Loading')")
        await tab.run("location.hash = '#/photos?q=03'")
        await tab.until("document.body.innerText.includes('1 of 28 photos')")
        await slow.release(tab)
        await tab.press("[")
        assert await tab.run("location.hash") == "#/photos?q=03"

    browse(look)
