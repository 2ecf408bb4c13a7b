"""The gallery by keyboard and by screen reader: what keeps the focus, what can be undone."""

import json

import pytest

from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

GREEN = (40, 160, 60)
NAMES = [f"s3://x/{n:02d}.jpg" for n in range(28)]
ROWS_READY = "document.querySelector('article.row')"
PHOTO_READY = "document.querySelector('.stage svg') && document.querySelector('.crops figure')"
FOCUS = "document.activeElement"
DECIDED = "S2.review.of(S2.photoView().record.uri)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a gallery of 30 photos: one is shown whole, one failed."""
    folder = tmp_path_factory.mktemp("keys")
    kinds = ["photo", "long"]
    images = [image_row(name, kind=kinds[n % 2]) for n, name in enumerate(NAMES)]
    images.append(image_row("s3://x/text.jpg", kind="text-heavy"))
    images.append(image_row("s3://x/torn.jpg", None, status="corrupt", error_message="ends"))
    crops = [crop_row(name, "1:1", (0, 0, 200, 200), verdict="ok", confidence=0.9)
             for name in NAMES]  # fmt: skip
    padded = {"fit": "pad", "verdict": "fallback", "reason": "text_pad"}
    crops.append(crop_row("s3://x/text.jpg", "1:1", (0, 0, 400, 300), **padded))
    crops.append(crop_row("s3://x/text.jpg", "16:9", (20, 30, 400, 240), **padded))
    previews = [preview_row(name, GREEN) for name in [*NAMES, "s3://x/text.jpg"]]
    settings = {"ratios": "1:1,16:9", "background": "#112233"}
    run = commit_rows(folder / "out", images, crops, previews, settings=settings)
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


async def press_on(tab: Tab, selector: str) -> None:
    """Focus what a selector finds and press Enter there."""
    await tab.run(f"document.querySelector({json.dumps(selector)}).focus()")
    await tab.press("Enter")


def test_the_link_to_the_photos_leaves_the_page_as_it_is(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?kind=long", ROWS_READY)
        await press_on(tab, ".skip")
        await tab.until(f"{FOCUS}.id === 'main'")
        assert await tab.run("location.hash") == "#/photos?kind=long"
        assert await tab.run("document.querySelectorAll('article.row').length") == 14

    browse(look)


def test_what_is_drawn_anew_keeps_the_focus(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", ROWS_READY)
        await tab.run(
            "{ const kind = document.querySelector('select[name=kind]'); kind.focus();"
            " kind.value = 'long'; kind.dispatchEvent(new Event('change')); }"
        )
        await tab.until("location.hash === '#/photos?kind=long'")
        assert await tab.run(f"{FOCUS}.name") == "kind"
        await tab.run("[...document.querySelectorAll('.modes button')][1].focus()")
        await tab.press("Enter")
        await tab.until("document.querySelector('.grid')")
        assert await tab.run(f"{FOCUS}.textContent") == "Grid"
        await tab.open(page + "#/photos", ROWS_READY)
        await press_on(tab, "[aria-label='Next page']")
        await tab.until("document.querySelectorAll('article.row').length === 6")
        # On the last page that button can not be pressed; what stands near it has the focus.
        assert await tab.run(f"{FOCUS} !== document.body")
        assert await tab.run(f"Boolean({FOCUS}.closest('.pager, article'))")
        await tab.open(page + "#/photo/1", PHOTO_READY)
        for selector, title in ((".review button", "a"), ("[title=g]", "g")):
            await press_on(tab, selector)
            await tab.until(f"{FOCUS}.getAttribute('aria-pressed') === 'true'")
            assert await tab.run(f"{FOCUS}.title") == title
        await press_on(tab, "[aria-label='Next photo']")
        await tab.until(f"location.hash === '#/photo/2' && {FOCUS} !== document.body")
        await tab.until(f"{FOCUS}.getAttribute('aria-label') === 'Next photo'")
        await press_on(tab, ".bar nav a[href='#/decisions']")
        await tab.until("document.querySelector('.plainlist')")
        assert await tab.run(f"{FOCUS}.getAttribute('href')") == "#/decisions"

    browse(look)


def test_back_in_the_list_the_photo_that_was_open_has_the_focus(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.window(1280, 700)
        await tab.open(page + "#/photos", ROWS_READY)
        for _ in range(12):
            await tab.press("j")
        assert await tab.run(f"{FOCUS}.dataset.place") == "11"
        await tab.press("Enter")
        await tab.until(PHOTO_READY)
        await tab.press("Escape")
        await tab.until(f"{FOCUS}.dataset.place === '11'")
        top = f"{FOCUS}.getBoundingClientRect().top"
        assert await tab.run(f"{top} >= 0 && {top} < innerHeight")
        await tab.press("j")
        assert await tab.run(f"{FOCUS}.dataset.place") == "12"

    browse(look)


def test_a_photo_that_is_shown_whole_has_no_box_to_lock_and_its_own_css(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?q=text.jpg", ROWS_READY)
        shown = "document.querySelectorAll('.strip figure .tile')[1].querySelector('svg')"
        assert await tab.run(f"{shown}.getAttribute('viewBox')") == "20 30 380 210"  # no borders
        await tab.press("j")
        await tab.press("Enter")
        await tab.until(PHOTO_READY)
        assert await tab.run("document.querySelectorAll('[data-lock]').length") == 0
        await tab.press("1")
        await tab.press("l")
        await tab.until("document.getElementById('toast')?.textContent.includes('no box to lock')")
        assert await tab.run(f"{DECIDED} === undefined")
        css = await tab.run("document.querySelector('[aria-label=\"Copy CSS of 1:1\"]').title")
        assert css == "object-fit: contain; background-color: #112233;"
        css = await tab.run("document.querySelector('[aria-label=\"Copy CSS of 16:9\"]').title")
        inset = "object-view-box: inset(10.00% 0.00% 20.00% 5.00%)"  # 30, 0, 60 and 20 pixels
        assert css == f"object-fit: contain; {inset}; background-color: #112233;"
        await tab.open(page + "#/photo/1", PHOTO_READY)
        lock = "document.querySelector('[data-lock=\"1:1\"]')"
        for pressed in ("true", "false"):
            await press_on(tab, "[data-lock='1:1']")
            await tab.until(f"{lock}.getAttribute('aria-pressed') === '{pressed}'")
        assert await tab.run("S2.review.csv().trim().split('\\n').length") == 1

    browse(look)


def test_aiming_can_be_left_without_a_trace(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photo/3", PHOTO_READY)
        aiming = "document.querySelector('.stage .aiming')"
        for keys in (("a", "w", "w"), ("u", "a", "w", "Escape")):
            for key in keys:
                await tab.press(key)
            await tab.until(f"!{aiming}")
            assert await tab.run(DECIDED) == {"accept": True}
            assert await tab.run("location.hash") == "#/photo/3"
        for key, decided in (("u", None), ("n", {"wrong": True, "never_crop": True})):
            await tab.press("w")
            await tab.until(aiming)
            await tab.press(key)
            await tab.until(f"!{aiming}")
            await tab.click(".stage svg")  # and so this sets no focus
            assert await tab.run(DECIDED) == decided

    browse(look)


def test_a_photo_that_is_not_there_is_told(page: str) -> None:
    async def look(tab: Tab) -> None:
        for place in ("30", "-1", "x"):
            await tab.open("about:blank", "true")
            await tab.open(page + f"#/photo/{place}", "document.querySelector('.page')")
            await tab.until("document.body.innerText.includes('has no such photo')")
        await tab.open(page + "#/photos?status=corrupt", ROWS_READY)
        await tab.press("j")
        await tab.press("Enter")
        await tab.until("document.querySelector('.nophoto')")
        await tab.press("c")
        await tab.until("document.getElementById('toast')?.textContent.includes('has no crops')")
        assert tab.problems == []

    browse(look)


def test_every_link_has_a_name_and_all_tabs_fit_a_telephone(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.window(1280, 700)
        await tab.open(page, "document.querySelector('svg.plot a')")
        nodes = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
        names = [one["name"]["value"] for one in nodes
                 if one.get("role", {}).get("value") == "link" and not one["ignored"]]  # fmt: skip
        assert len(names) > 5
        assert "" not in names
        for width in (390, 360, 320):
            await tab.window(width, 800)
            await tab.run("for (let n = 0; n < 37; n++) S2.review.accept(`s3://x/${n}`)")
            await tab.until("document.querySelector('nav').innerText.includes('Decisions 37')")
            fits = "document.querySelector('.bar nav').scrollWidth"
            assert await tab.run(f"{fits} <= document.querySelector('.bar nav').clientWidth"), width
            await tab.run("S2.review.clear()")

    browse(look)


@pytest.mark.parametrize(
    ("key", "code", "held", "work"),
    [
        ("ф", "KeyA", 0, {"accept": True}),  # Russian
        ("ش", "KeyA", 0, {"accept": True}),  # Arabic
        ("'", "KeyW", 0, {"wrong": True}),  # Hebrew
        ("a", "KeyQ", 0, {"accept": True}),  # French: the letter that is typed
        ("q", "KeyA", 0, None),
        ("a", "KeyA", 2, None),  # with Ctrl
        ("ф", "KeyA", 1, None),  # with Alt
    ],
)
def test_keys_of_other_layouts(page: str, key: str, code: str, held: int, work: object) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photo/0", PHOTO_READY)
        await press_at(tab, key, code, held)
        assert await tab.run(f"{DECIDED} ?? null") == work

    browse(look)


def test_brackets_and_slash_of_other_layouts(page: str) -> None:
    first = "document.querySelector('article.row')?.ariaLabel"

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", ROWS_READY)
        shown = await tab.run(first)
        await press_at(tab, "]", "Digit9", 3)  # German: AltGr, which is Ctrl and Alt
        await tab.until(f"{first} && {first} !== {json.dumps(shown)}")
        await press_at(tab, "х", "BracketLeft", 0)  # Russian
        await tab.until(f"{first} === {json.dumps(shown)}")
        await press_at(tab, ".", "Slash", 0)
        await tab.until(f"{FOCUS}.id === 'search'")

    browse(look)


async def press_at(tab: Tab, key: str, code: str, held: int) -> None:
    """Press a key that types `key` at the place `code`. held: 1 Alt, 2 Ctrl, 3 both."""
    for kind in ("rawKeyDown", "keyUp"):
        await tab.send("Input.dispatchKeyEvent", type=kind, key=key, code=code, modifiers=held)
