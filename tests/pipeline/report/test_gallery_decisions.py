"""Decisions in the gallery: kept with those of other tabs, and with each other."""

import csv
import functools
import io
import json
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
NAMES = ["s3://x/a.jpg", "s3://x/b.jpg"]
PHOTO_READY = "document.querySelector('.crops figure')"


class QuietHandler(SimpleHTTPRequestHandler):
    """A web server for files that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a gallery of two photos."""
    made = tmp_path_factory.mktemp("decisions")
    images = [image_row(name) for name in NAMES]
    crops = [crop_row(name, "1:1", (0, 0, 200, 200), verdict="ok") for name in NAMES]
    run = commit_rows(made / "out", images, crops, [preview_row(name, GREEN) for name in NAMES])
    write_gallery(run, open_store(str(made / "page")))
    return made / "page"


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """The address of the gallery on a web server."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}/index.html"


def test_two_tabs_of_a_gallery_keep_each_others_decisions(folder: Path, served: str) -> None:
    """Two frames of one site have scripts and decisions of their own, as two tabs have."""
    frames = "".join(f"<iframe src='index.html#/photo/{place}'></iframe>" for place in (0, 1))
    (folder / "two.html").write_text(frames)

    async def decide(tab: Tab) -> None:
        await tab.open(served.replace("index", "two"), "frames.length === 2")
        for place in (0, 1):
            await tab.until(f"frames[{place}].{PHOTO_READY}")
        for place, key, tabs in ((0, "n", "Decisions 1"), (1, "x", "Decisions 2")):
            event = f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})"
            await tab.run(f"frames[{place}].document.body.dispatchEvent({event})")
            for each in (0, 1):
                text = f"frames[{each}].document.querySelector('.bar nav').textContent"
                await tab.until(f"{text}.includes('{tabs}')")
        await tab.open(served + "#/decisions", "document.querySelector('.plainlist')")
        assert await rows(tab) == [f"{NAMES[0]},never_crop", f"{NAMES[1]},forget"]

    browse(decide)


def test_a_browser_that_stores_nothing_keeps_decisions_while_the_page_is_open(served: str) -> None:
    async def decide(tab: Tab) -> None:
        await tab.open(served + "#/photo/0", PHOTO_READY)
        await tab.run("Storage.prototype.setItem = () => { throw new Error('full'); }")
        await tab.press("n")
        await tab.run("location.hash = '#/photo/1'")
        await tab.until(f"S2.photoView().record?.uri === {json.dumps(NAMES[1])}")
        await tab.press("x")
        assert await rows(tab) == [f"{NAMES[0]},never_crop", f"{NAMES[1]},forget"]
        await tab.run("location.hash = '#/decisions'")
        await tab.until("document.querySelector('.warning')?.innerText.includes('stores nothing')")
        asks = "!window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
        assert await tab.run(asks)  # the browser asks before it closes the page
        await tab.run("S2.review.clear()")
        assert not await tab.run(asks)

    browse(decide)


def test_the_page_of_decisions_tells_which_have_no_row(served: str) -> None:
    async def decide(tab: Tab) -> None:
        for place, key in ((0, "a"), (1, "n")):
            await tab.open(served + f"#/photo/{place}", PHOTO_READY)
            await tab.press(key)
            await tab.open(served + "#/decisions", "document.querySelector('.plainlist')")
            text = await tab.run("document.body.innerText")
            assert "Stored in this browser" in text
            assert f"The table has {('0 rows', '1 row')[place]}; photos that are only acc" in text

    browse(decide)


def test_accepting_keeps_a_locked_box_and_no_focus(folder: Path) -> None:
    async def decide(tab: Tab) -> None:
        await tab.open((folder / "index.html").as_uri() + "#/photo/0", PHOTO_READY)
        await tab.run("S2.review.focus(S2.photoView().record.uri, 0.25, 0.5)")
        await tab.press("1")
        await tab.press("l")
        await tab.press("a")
        assert await rows(tab) == [f"{NAMES[0]},ratio,x0,y0,x1,y1"]
        assert "accepted · 1:1 locked" in await tab.run("document.body.innerText")

    browse(decide)


def test_unlocking_the_only_box_leaves_no_decision(folder: Path) -> None:
    async def decide(tab: Tab) -> None:
        await tab.open((folder / "index.html").as_uri() + "#/photo/0", PHOTO_READY)
        await tab.press("1")
        for size in (1, 0):
            await tab.press("l")
            assert await tab.run("S2.review.size()") == size
        await tab.press("a")
        for words in ("accepted · 1:1 locked", "accepted"):
            await tab.press("l")
            assert await tab.run("document.querySelector('p.decided').textContent") == words

    browse(decide)


def test_the_table_is_downloaded_so_that_excel_reads_its_names(served: str) -> None:
    keep = "URL.createObjectURL = (blob) => { window.table = blob; return '#'; }"
    taken = "table.arrayBuffer().then((bytes) => [...new Uint8Array(bytes)])"

    async def decide(tab: Tab) -> None:
        await tab.open(served, "document.querySelector('.figures')")
        await tab.run("S2.review.neverCrop('s3://x/caf\u00e9.jpg')")
        await tab.run("location.hash = '#/decisions'")
        await tab.until("document.querySelector('button.strong')")
        await tab.run(keep)
        await tab.click("button.strong")
        table = bytes(await tab.run(taken))
        assert table.startswith(b"\xef\xbb\xbfuri,pattern,")  # the mark by which Excel knows UTF-8
        assert table.decode("utf-8-sig") == await tab.run("S2.review.csv()")

    browse(decide)


def test_a_name_from_right_to_left_turns_no_other_text_around(tmp_path: Path) -> None:
    """U+202E begins text from right to left; an error's message and a folder follow the name."""
    names = ["s3://folder/a\u202eb.jpg", "s3://folder/\u05ea.jpg"]
    images = [image_row(name, None, status="corrupt", error_message="abc") for name in names[:1]]
    images += [image_row(name) for name in names[1:]]
    run = commit_rows(tmp_path / "out", images, [], [preview_row(names[1], GREEN)])
    write_gallery(run, open_store(str(tmp_path / "page")))
    page = (tmp_path / "page" / "index.html").as_uri()
    # Where the last characters of an element's text begin, from left to right.
    places = """(element, count) => {
        const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        let text; while (walk.nextNode()) text = walk.currentNode;
        return [...Array(count).keys()].map((n) => {
            const one = document.createRange();
            one.setStart(text, text.length - count + n);
            one.setEnd(text, text.length - count + n + 1);
            return one.getBoundingClientRect().left;
        });
    }"""

    async def look(tab: Tab) -> None:
        await tab.open(page, "document.querySelector('.group.error .grow')?.textContent")
        left = await tab.run(f"({places})(document.querySelector('.group.error .grow'), 3)")
        assert left == sorted(left)  # "abc"
        for name in names:
            await tab.run(f"S2.review.neverCrop({json.dumps(name)})")
        await tab.run("location.hash = '#/decisions'")
        await tab.until("document.querySelectorAll('.plainlist li').length === 2")
        for line in (1, 2):
            folder = f"document.querySelector('.plainlist li:nth-child({line}) .dim')"
            left = await tab.run(f"({places})({folder}, 8)")
            assert left == sorted(left)  # "/folder/"
            name = f"document.querySelector('.plainlist li:nth-child({line}) a')"
            assert await tab.run(f"{name}.getBoundingClientRect().right") <= left[0]

    browse(look)


def test_crops_that_a_person_decided_say_so(tmp_path: Path) -> None:
    """Of a photo with a locked box only the crop of that shape, in the list and on its page."""
    name = NAMES[0]
    crops = [
        crop_row(name, "1:1", (0, 0, 200, 200), verdict="ok", override=name),
        crop_row(name, "16:9", (0, 0, 320, 180), verdict="ok"),
        crop_row(name, "4:3", (0, 0, 40, 30), verdict="review", reason="override_outside"),
    ]
    images = [image_row(name, override=name)]
    run = commit_rows(tmp_path / "out", images, crops, [preview_row(name, GREEN)])
    write_gallery(run, open_store(str(tmp_path / "page")))
    page = (tmp_path / "page" / "index.html").as_uri()
    expected = {"1:1": "by a person", "16:9": "", "4:3": "a person's box is outside"}
    chips = """Object.fromEntries([...document.querySelectorAll('figure:has(.shape)')].map(
        (one) => [one.querySelector('.shape').textContent,
                  [...one.querySelectorAll('.chip')].map((chip) => chip.textContent).join()]))"""

    async def look(tab: Tab) -> None:
        for route, ready in (("#/photos", ".strip figure"), ("#/photo/0", ".crops figure")):
            await tab.open(page + route, f"document.querySelector('{ready}')")
            assert await tab.run(chips) == expected
        labels = "[...document.querySelectorAll('.frame')].map((one) => one.ariaLabel)"
        first, second, _ = await tab.run(labels)
        assert first.startswith("1:1 crop of a.jpg, ok: by a person")
        assert second.startswith("16:9 crop of a.jpg, ok:")  # and no reason

    browse(look)


def test_another_crop_of_a_shape_can_be_locked(tmp_path: Path) -> None:
    name, boxes = NAMES[0], [(0, 0, 200, 200), (50, 60, 250, 260)]
    crops = [crop_row(name, "1:1", box, verdict="ok") | {"rank": n} for n, box in enumerate(boxes)]
    run = commit_rows(tmp_path / "out", [image_row(name)], crops, [preview_row(name, GREEN)])
    write_gallery(run, open_store(str(tmp_path / "page")))
    pressed = "[...document.querySelectorAll('[data-lock]')].map((one) => one.ariaPressed)"

    async def decide(tab: Tab) -> None:
        await tab.open((tmp_path / "page" / "index.html").as_uri() + "#/photo/0", PHOTO_READY)
        for crop, shown, box in (
            ("1:1", ["true", "false"], "0,0,200,200"),
            ("1:1 #2", ["false", "true"], "50,60,250,260"),  # one box for a shape
            ("1:1 #2", ["false", "false"], None),
        ):
            await tab.click(f"[data-lock='{crop}']")
            await tab.until(f"String({pressed}) === '{','.join(shown)}'")
            lines = (await tab.run("S2.review.csv()")).splitlines()[1:]
            assert lines == ([f"{name},,,,1:1,{box},,,"] if box else [])

    browse(decide)


async def rows(tab: Tab) -> list[str]:
    """Return the rows of overrides.csv, sorted: the address and the names of the filled columns."""
    table = csv.DictReader(io.StringIO(await tab.run("S2.review.csv()")))
    return sorted(",".join([row.pop("uri"), *(n for n in row if row[n])]) for row in table)
