"""The pages for people who see little, use a keyboard or a screen reader, or a small window."""

import re
from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.accessible import heading_levels, low_contrasts, names, skips_no_level
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

STYLE = Path(main.__code__.co_filename).parents[2] / "report" / "app" / "style.css"
SHAPES = ("1:1", "16:9", "9:16", "3:4", "circle", "4:3")
ROUTES = ("", "#/photos", "#/photos?mode=grid", "#/photos?q=none", "#/photo/0", "#/photo/3",
          "#/decisions", "#/photo/99", "#/nowhere")  # fmt: skip
READY = "document.querySelector('main h1') && !document.body.innerText.includes('Loading')"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of a gallery of four photos, one of them failed, and of a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    uris = [f"s3://x/{name}.jpg" for name in ("a", "b", "c")]
    images = [image_row(uri, kind="photo") for uri in uris]
    images.append(image_row("s3://x/torn.jpg", None, status="corrupt", error_message="ends early"))
    verdicts = [{"verdict": "review", "reason": "head_cut"}, {"verdict": "ok"},
                {"verdict": "fallback", "reason": "fallback_largest"}, {}]  # fmt: skip
    runs = []
    for left in (0, 60):
        box, sure = (left, 0, left + 200, 200), {"confidence": 0.5}
        crops = [
            crop_row(uri, shape, box, **verdicts[(n + m) % 4], **sure)
            for n, uri in enumerate(uris)
            for m, shape in enumerate(SHAPES)
        ]
        previews = [preview_row(uri, (40, 160, 60)) for uri in uris]
        runs.append(
            commit_rows(folder / "out", images, crops, previews, settings={"top_k": left + 1})
        )
    write_gallery(runs[0], open_store(str(folder / "page")))
    ids = [run.manifest["run_id"] for run in runs]
    assert main(["diff", str(folder / "out"), *ids, "--html", str(folder / "diff")]) == 0
    return {name: (folder / name / "index.html").as_uri() for name in ("page", "diff")}


async def each(tab: Tab, pages: dict[str, str]) -> list[str]:
    """The addresses of all kinds of pages, with decisions to show."""
    await tab.open(pages["page"], READY)
    await tab.run("Promise.all([1, 2].map(S2.photo)).then((all) =>"
                  " all.forEach(({uri}) => S2.review.neverCrop(uri)))")  # fmt: skip
    return [*(pages["page"] + route for route in ROUTES), pages["diff"]]


def luminance(colour: str) -> float:
    """The relative luminance of #rgb or #rrggbb, by https://www.w3.org/TR/WCAG22/."""
    digits = "".join(2 * one for one in colour[1:]) if len(colour) == 4 else colour[1:]
    linear = []
    for start in (0, 2, 4):
        value = int(digits[start : start + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.005)  # WebAIM's example
    assert contrast("#fff", "#fff") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_the_style_can_be_told_from_its_grounds(scheme: str) -> None:
    roots = re.findall(r":root \{(.*?)\n\s*\}", STYLE.read_text(), re.DOTALL)
    assert len(roots) == 2  # light, then what dark changes
    colours: dict[str, str] = {}
    for root in roots[: 1 if scheme == "light" else 2]:
        colours |= dict(re.findall(r"--([\w-]+): (#\w+);", root))
    texts = ("ink", "dim", "accent", "review", "fallback", "error")
    drawn = ("edge", "accent", "unjudged", *(f"shape{n}" for n in range(8)))
    pairs = [(name, ground, 4.5) for name in texts for ground in ("paper", "card", "soft")]
    pairs += [(name, f"{name}-soft", 4.5) for name in texts if f"{name}-soft" in colours]
    pairs += [("card", "accent", 4.5), ("paper", "ink", 4.5), ("plain", "card", 3)]
    pairs += [(name, ground, 3) for name in drawn for ground in ("paper", "card", "soft")]
    low = {
        f"{name} on {ground}": round(contrast(colours[name], colours[ground]), 2)
        for name, ground, least in pairs
        if contrast(colours[name], colours[ground]) < least
        and (name, ground) not in {("edge", "soft")}  # no control lies there
    }
    assert low == {}


def test_texts_and_controls_have_contrast_in_both_schemes(pages: dict[str, str]) -> None:
    async def look(tab: Tab) -> None:
        for dark in (False, True):
            await tab.window(1280, 900, dark)
            for address in await each(tab, pages):
                await tab.open(address, READY)
                found = await low_contrasts(tab)
                assert found["low"] == [], (address, dark)
                assert found["texts"] > 3, address
            await tab.open(pages["page"] + "#/photos", "document.querySelector('article')")
            assert (await low_contrasts(tab))["edges"] >= 7  # search, filters, layouts

    browse(look)


def test_everything_has_a_name_and_headings_are_in_order(pages: dict[str, str]) -> None:
    async def look(tab: Tab) -> None:
        for address in await each(tab, pages):
            await tab.open(address, READY)
            nameless = [role for role, name in await names(tab) if not name.strip()]
            assert nameless == [], address
            assert skips_no_level(await heading_levels(tab)), address
            assert await tab.run("document.documentElement.lang") == "en"
            hidden = "document.querySelectorAll('[role=img] a, [role=img] [tabindex]').length"
            assert await tab.run(hidden) == 0, address  # a picture has nothing to be used
        await tab.open(pages["page"] + "#/photos", "document.querySelector('.tile')")
        pictures = [name for _, name in await names(tab, "image")]
        assert "1:1 crop of a.jpg, to review: head cut" in pictures
        assert "16:9 crop of a.jpg, ok" in pictures
        assert "The whole photo a.jpg" in pictures
        await tab.open(pages["page"] + "#/photo/0", "document.querySelector('.crops img')")
        buttons = [name for _, name in await names(tab, "button")]
        fallback = "9:16 crop of a.jpg, fallback: largest crop"
        assert f"{fallback}: show only this box on the photo" in buttons
        await tab.open(pages["page"], "document.querySelector('.plots')")
        bars = [name for role, name in await names(tab, "link") if "1:1" in name]
        assert any("to review" in name for name in bars), bars  # what the bar of a shape counts
        assert any("highest bar: 18 crops, at 0.50 to 0.5" in name
                   for _, name in await names(tab, "image"))  # fmt: skip

    browse(look)


def test_the_keyboard_reaches_and_sees_everything(pages: dict[str, str]) -> None:
    """Focus has an outline, is not under the bar at the top, and comes to what scrolls sideways."""
    focus = (
        "(() => { const at = document.activeElement, row = at.closest('.row') || at;"
        " const style = [at, row].map((node) => getComputedStyle(node)"
        ".outlineStyle).find((s) => s !== 'none');"
        " return [Boolean(style), at.getBoundingClientRect().top, at.tagName, at.className]; })()"
    )

    async def look(tab: Tab) -> None:
        await tab.window(700, 420)
        await tab.open(pages["page"] + "#/photos", "document.querySelector('.strip[tabindex]')")
        seen = []
        for _ in range(22):
            await tab.press("Tab")
            has_outline, _, tag, kind = await tab.run(focus)
            seen.append((tag, kind))
            assert has_outline or tag == "BODY", (tag, kind)  # between the last and the first
        assert ("A", "name") in seen
        assert ("DIV", "strip") in seen
        await tab.run("scrollTo(0, 9999); [...document.querySelectorAll('a.name')].at(-1).focus()")
        for _ in range(3):
            await tab.press("k")
            assert (await tab.run(focus))[1] > 46  # the height of the bar
        await tab.run("document.querySelector('a.name').focus()")
        await tab.press("j")
        row = "document.activeElement.closest('.row').getBoundingClientRect()"
        assert await tab.run(f"{row}.bottom") <= 420

    browse(look)


def test_no_page_is_wider_than_a_small_window(pages: dict[str, str]) -> None:
    """320 pixels are a window of 1280 at 400 %; 640 are one at 200 %."""
    cut = (
        "[...document.querySelectorAll('.filters *, .bar *, .titlebar *, .buttons *')]"
        ".filter((node) => node.getBoundingClientRect().right > innerWidth"
        " && !node.closest('option, .away')).length"
    )

    async def look(tab: Tab) -> None:
        for width in (320, 640):
            await tab.window(width, 700)
            for address in await each(tab, pages):
                await tab.open(address, READY)
                assert await tab.run("document.documentElement.scrollWidth") <= width, address
                assert await tab.run(cut) == 0, (address, width)

    browse(look)


def test_a_screen_reader_is_told_what_a_filter_finds(pages: dict[str, str]) -> None:
    said = "document.querySelector('#said[role=status]').textContent"

    async def look(tab: Tab) -> None:
        await tab.open(pages["page"] + "#/photos", "document.querySelector('article')")
        assert await tab.run(said) == "4 photos"
        await tab.run("location.hash = '#/photos?q=torn'")
        await tab.until(f"{said} === '1 of 4 photos'")
        assert await tab.run("document.querySelectorAll('.results[aria-live]').length") == 0
        await tab.run("S2.notify('Copied')")
        notices = "[...document.querySelectorAll('#toast[role=status]')]"
        assert await tab.run(f"{notices}.map((one) => one.textContent)") == ["Copied"]
        await tab.open(pages["diff"], "document.querySelector('article')")
        assert await tab.run(said) == "3 changed photos"

    browse(look)
