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
ALT, CTRL, SHIFT = 1, 2, 8  # modifiers of a key press
ALT_GR = ALT + CTRL
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


def test_the_link_to_the_photos_leaves_the_page_as_it_is(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?kind=long", ROWS_READY)
        await tab.press_on(".skip")
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
        await tab.press_on("[aria-label='Next page']")
        await tab.until("document.querySelectorAll('article.row').length === 6")
        # On the last page that button can not be pressed; what stands near it has the focus.
        assert await tab.run(f"{FOCUS} !== document.body")
        assert await tab.run(f"Boolean({FOCUS}.closest('.pager, article'))")
        await tab.open(page + "#/photo/1", PHOTO_READY)
        for selector, title in ((".review button", "a"), ("[title=g]", "g")):
            await tab.press_on(selector)
            await tab.until(f"{FOCUS}.getAttribute('aria-pressed') === 'true'")
            assert await tab.run(f"{FOCUS}.title") == title
        await tab.press_on("[aria-label='Next photo']")
        await tab.until(f"location.hash === '#/photo/2' && {FOCUS} !== document.body")
        await tab.until(f"{FOCUS}.getAttribute('aria-label') === 'Next photo'")
        await tab.press_on(".bar nav a[href='#/decisions']")
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
            await tab.press_on("[data-lock='1:1']")
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
        ("a", "KeyA", CTRL, None),  # with Ctrl
        ("ф", "KeyA", ALT, None),  # with Alt
        ("A", "KeyA", 0, {"accept": True}),  # while Caps Lock is on
        ("ื", "KeyN", 0, {"wrong": True, "never_crop": True}),  # Thai: a vowel above a letter
        ("ü", "KeyW", 0, {"wrong": True}),  # Azerbaijani, which has no w
        ("w", "Comma", 0, {"wrong": True}),  # Dvorak: the letter that is typed
        (",", "KeyW", 0, None),  # and no sign that is at its place
        ("'", "KeyN", 0, None),  # bépo
    ],
)
def test_keys_of_other_layouts(page: str, key: str, code: str, held: int, work: object) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photo/0", PHOTO_READY)
        await press_at(tab, key, code, held)
        assert await tab.run(f"{DECIDED} ?? null") == work

    browse(look)


LAYOUTS = {  # the places and modifiers of: previous page, next page, search, keys
    "US": (
        ("[", "BracketLeft", 0),
        ("]", "BracketRight", 0),
        ("/", "Slash", 0),
        ("?", "Slash", SHIFT),
    ),
    "Dvorak": (
        ("[", "Minus", 0),
        ("]", "Equal", 0),
        ("/", "BracketLeft", 0),
        ("?", "BracketLeft", SHIFT),
    ),
    "German": (
        ("[", "Digit8", ALT_GR),
        ("]", "Digit9", ALT_GR),
        ("/", "Digit7", SHIFT),
        ("?", "Minus", SHIFT),
    ),
    "German, Mac": (
        ("[", "Digit5", ALT),
        ("]", "Digit6", ALT),
        ("/", "Digit7", SHIFT),
        ("?", "Minus", SHIFT),
    ),
    "German, by place": (
        ("ü", "BracketLeft", 0),
        ("+", "BracketRight", 0),
        ("-", "Slash", 0),
        ("_", "Slash", SHIFT),
    ),
    "Swedish, by place": (
        ("å", "BracketLeft", 0),
        ("Dead", "BracketRight", 0),
        ("-", "Slash", 0),
        ("?", "Minus", SHIFT),
    ),
    "French": (
        ("[", "Digit5", ALT_GR),
        ("]", "Minus", ALT_GR),
        ("/", "Period", SHIFT),
        ("?", "KeyM", SHIFT),
    ),
    "bépo": (
        ("[", "Digit4", ALT_GR),
        ("]", "Digit5", ALT_GR),
        ("/", "Digit9", 0),
        ("?", "KeyN", SHIFT),
    ),
    "Russian": (
        ("х", "BracketLeft", 0),
        ("ъ", "BracketRight", 0),
        (".", "Slash", 0),
        (",", "Slash", SHIFT),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_brackets_slash_and_question_mark_of_other_layouts(page: str, layout: str) -> None:
    first = "document.querySelector('article.row')?.ariaLabel"
    before, after, search, keys = LAYOUTS[layout]

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", ROWS_READY)
        shown = await tab.run(first)
        await press_at(tab, *after)
        await tab.until(f"{first} && {first} !== {json.dumps(shown)}")
        await press_at(tab, *before)
        await tab.until(f"{first} === {json.dumps(shown)}")
        await press_at(tab, *keys)
        await tab.until("document.querySelector('dialog[open]')")
        await press_at(tab, "Escape", "Escape", 0)
        await tab.run("document.querySelector('dialog').close()")
        await press_at(tab, *search)
        await tab.until(f"{FOCUS}.id === 'search'")
        assert await tab.run(f"{FOCUS}.value") == ""  # the sign is not typed into it

    browse(look)


def test_digits_of_other_layouts(page: str) -> None:
    chosen = "S2.chosenCrop() && S2.chosenCrop().ratio"
    one_and_two = {
        "French": (("&", "Digit1", 0), ("é", "Digit2", 0)),
        "French, with Shift": (("1", "Digit1", SHIFT), ("2", "Digit2", SHIFT)),
        "Czech": (("+", "Digit1", 0), ("ě", "Digit2", 0)),
        "Persian": (("۱", "Digit1", 0), ("۲", "Digit2", 0)),
    }

    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?q=text.jpg", ROWS_READY)
        await tab.run("document.querySelector('a.name').click()")
        await tab.until(PHOTO_READY)
        for layout, (one, two) in one_and_two.items():
            await press_at(tab, *two)
            assert await tab.run(chosen) == "16:9", layout
            await press_at(tab, *one)
            assert await tab.run(chosen) == "1:1", layout
            await press_at(tab, "à", "Digit0", 0)
            assert await tab.run(chosen) is None
        for sign, place in (("!", "Digit1"), ("%", "Digit5")):  # US, with Shift: no digit is meant
            await press_at(tab, sign, place, SHIFT)
            assert await tab.run(chosen) is None

    browse(look)


async def press_at(tab: Tab, key: str, code: str, held: int) -> None:
    """Press a key that types `key` at the place `code`. held: ALT, CTRL and SHIFT, added up.

    AltGr is Alt and Ctrl in Windows.
    """
    for kind in ("rawKeyDown", "keyUp"):
        await tab.send("Input.dispatchKeyEvent", type=kind, key=key, code=code, modifiers=held)
