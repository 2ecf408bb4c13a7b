"""The gallery for people without a pointer, and for those whose speech types words."""

import json

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

GREEN = (40, 160, 60)
NAMES = [f"s3://x/{n}.jpg" for n in range(5)]
PHOTO_READY = "document.querySelector('.stage svg') && document.querySelector('.crops figure')"
FOCUS = "document.activeElement"
DECIDED = "S2.review.of(S2.photoView().record.uri)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a gallery of five photos of 400 x 300 pixels."""
    folder = tmp_path_factory.mktemp("pointerless")
    crops = [crop_row(name, "1:1", (0, 0, 200, 200), verdict="ok") for name in NAMES]
    previews = [preview_row(name, GREEN) for name in NAMES]
    run = commit_rows(folder / "out", [image_row(name) for name in NAMES], crops, previews)
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


def test_the_focus_can_be_set_without_a_pointer(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photo/3", PHOTO_READY)
        await tab.press_on("[title='w']")  # the focus of the keyboard stays on the button
        for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
            await tab.press(key)
        # From the middle of the photo: .5 + 2 * .02 of 400 pixels, .5 - .02 of 300.
        mark = "document.querySelector('.stage .focus.yours').getAttribute('transform')"
        assert await tab.run(mark) == "translate(216 144)"
        told = "Focus at 54 % of the width, 48 % of the height: Enter sets it"
        assert await tab.run("document.getElementById('said').textContent") == told
        assert await tab.run(DECIDED) == {"wrong": True}
        await tab.press("Enter")
        assert await tab.run(DECIDED) == {"wrong": True, "focus": [0.54, 0.48]}
        assert not await tab.run("document.querySelector('.stage .aiming')")
        await tab.press("w")
        await tab.press("ArrowDown")
        await tab.press("Escape")
        assert await tab.run(DECIDED) == {"wrong": True, "focus": [0.54, 0.48]}
        assert await tab.run("location.hash") == "#/photo/3"
        await tab.press("ArrowRight")  # not while aiming, it shows the next photo
        await tab.until("location.hash === '#/photo/4'")

    browse(look)


def test_letters_and_signs_can_be_turned_off_as_keys(page: str) -> None:
    """As speech input needs it, which types words: what is turned off stays off on other pages."""

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photo/3", PHOTO_READY)
        await tab.press("?")
        assert await tab.run(f"{FOCUS}.textContent") == "Close"  # what Enter and Space press
        await tab.press_on("dialog button")
        assert await tab.run(f"{FOCUS}.textContent") == "Letters and signs as keys: off"
        await tab.press("Escape")
        for address in (page + "#/photo/3", page + "?again#/photo/3"):
            await tab.open(address, PHOTO_READY)
            for key in "anxw1?":
                await tab.press(key)
            assert await tab.run(DECIDED) is None
            assert not await tab.run("document.querySelector('dialog[open], .stage .aiming')")
        await tab.press("ArrowRight")
        await tab.until("location.hash === '#/photo/4'")
        await tab.press_on("[aria-label='Keys']")
        await tab.press_on("dialog button")
        await tab.press("Escape")
        await tab.press("n")
        await tab.until(f"{DECIDED}?.never_crop")

    browse(look)


def test_copying_without_a_clipboard_keeps_the_focus_and_tells_if_it_fails(page: str) -> None:
    """Pages of plain http have no clipboard; a browser copies only after a key or a click."""
    button = "[aria-label='Copy box of 1:1']"
    notice = "document.getElementById('toast').textContent"

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photo/1", PHOTO_READY)
        await tab.run("Object.defineProperty(navigator, 'clipboard', {value: undefined}), 0")
        await tab.run("document.oncopy = ({target}) => { S2.copied = target.value; }, 0")
        await tab.run(f"document.querySelector({json.dumps(button)}).click()")
        assert await tab.run(notice) == "Nothing is copied: the browser does not allow it"
        await tab.press_on(button)
        assert await tab.run("S2.copied") == "0, 0, 200, 200"
        assert (await tab.run(notice)).startswith("Box copied")
        assert await tab.run(f"{FOCUS}.matches({json.dumps(button)})")

    browse(look)
