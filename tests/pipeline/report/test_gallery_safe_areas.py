"""What covers the crops (`--safe-areas`) is drawn over them on request, at places found by hand."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.report.canvases import Canvases
from pipeline.report.gallery.build import write_gallery
from pipeline.settings.safe_areas import parse_safe_areas
from pipeline.storage.store import open_store
from tests.support.browser import ON, Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

AREAS = "16:9=caption:0,0.8,1,1;1:1=circle;1:1=badge:0.5,0,1,0.25"
CAPTION = {"circle": False, "covered": [[0.0, 0.8, 1.0, 1.0]]}
NAMES = ("s3://x/a.jpg", "s3://x/b.jpg")
WIDE, SQUARE, PHOTO = (40, 60, 360, 240), (0, 0, 200, 200), (0, 0, 400, 300)
LIGHT = (250, 250, 250)  # of previews and crops: what is drawn over them is darker
ROWS_READY = "document.querySelector('article.row .tile')"
PHOTO_READY = "document.querySelector('.stage svg') && document.querySelector('.crops img')"
BUTTON = "document.querySelector('.safeareas')"


def address(folder: Path, **asked: Any) -> str:
    """The gallery of two photos; one of them is shown whole at 16:9."""
    crops = [
        crop_row(NAMES[0], "16:9", WIDE, LIGHT, verdict="ok"),
        crop_row(NAMES[0], "1:1", SQUARE, LIGHT, verdict="review", reason="unsafe_area"),
        crop_row(NAMES[0], "4:3", PHOTO, LIGHT, verdict="ok"),
        crop_row(
            NAMES[1], "16:9", PHOTO, LIGHT, fit="pad", verdict="fallback", width=160, height=90
        ),
    ]
    previews = [preview_row(name, LIGHT) for name in NAMES]
    settings = {"ratios": "16:9,1:1,4:3", **asked}
    images = [image_row(name) for name in NAMES]
    run = commit_rows(folder / "out", images, crops, previews, settings=settings)
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return address(tmp_path_factory.mktemp("covered"), safe_areas=AREAS)


@pytest.mark.parametrize(
    ("text", "ratios", "expected"),
    [
        ("16:9=caption:0,0.8,1,1", ("16:9", "1:1"), {"16:9": CAPTION}),
        ("16:9=caption:0,0.8,1,1", ("1:1", "circle"), {}),  # nothing but a circle's own corners
        ("", ("circle", "1:1"), {}),
        (
            "*=caption:0,0.8,1,1",
            ("16:9", "circle"),
            {"16:9": CAPTION, "circle": {**CAPTION, "circle": True}},
        ),
        ("1:1=circle", ("1:1",), {"1:1": {"circle": True, "covered": []}}),
    ],
)
def test_the_pages_are_told_what_is_covered(
    text: str, ratios: tuple[str, ...], expected: dict[str, Any]
) -> None:
    assert Canvases(parse_safe_areas(text)).covered(ratios) == expected


def test_a_key_shows_what_covers_the_crops_of_a_list(page: str) -> None:
    places = (
        "Object.fromEntries([...document.querySelectorAll('.row .tile')].map((tile) =>"
        f" [tile.ariaLabel.slice(0, 20), ({ON})(tile.querySelector('.cover') || tile, tile)]))"
    )

    async def look(tab: Tab) -> None:
        await tab.window(1280, 900)
        await tab.open(page + "#/photos", ROWS_READY)
        caption, corner = ("[aria-label^='16:9 crop of a']", 0.5, 0.9), (0.03, 0.03)
        square = "[aria-label^='1:1 crop of a']"
        assert await tab.run(f"{BUTTON}.ariaPressed") == "false"
        assert await tab.brightness(*caption) > 240
        assert await tab.brightness(square, *corner) > 240
        await tab.press("s")
        assert await tab.run(f"{BUTTON}.ariaPressed") == "true"
        found = await tab.run(places)
        assert found["16:9 crop of a.jpg, "] == pytest.approx([0, 0.8, 1, 1], abs=0.01)
        assert found["1:1 crop of a.jpg, t"] == pytest.approx([0, 0, 1, 1], abs=0.01)
        # The photo of 400 x 300 lies above the caption, on .8 of a canvas of 666.7 x 375.
        assert found["16:9 crop of b.jpg, "] == pytest.approx([0, 0.8, 1, 1], abs=0.01)
        assert await tab.run("document.querySelectorAll('.row .tile .covered').length") == 3
        dark = await tab.brightness(square, *corner)
        assert dark == pytest.approx(0.45 * LIGHT[0], abs=6)  # .55 of black over it
        assert await tab.brightness(*caption) == pytest.approx(dark, abs=3)
        # Covered by the badge, and by the badge and the corner: no darker.
        for place in ((0.6, 0.15), (0.97, 0.03)):
            assert await tab.brightness(square, *place) == pytest.approx(dark, abs=3)
        # The circle: what is less than half a side from the middle is seen, the corners are not.
        for place in ((0.5, 0.5), (0.2, 0.2), (0.2, 0.8), (0.8, 0.8), (0.8, 0.3)):
            assert await tab.brightness(square, *place) > 240, place
        for place in ((0.03, 0.97), (0.97, 0.97)):
            assert await tab.brightness(square, *place) == pytest.approx(dark, abs=3), place
        assert await tab.brightness(caption[0], 0.5, 0.7) > 240
        await tab.click(".safeareas")
        assert await tab.run(f"{BUTTON}.ariaPressed") == "false"
        assert await tab.brightness(*caption) > 240
        await tab.open(page, "document.querySelector('.group .tile')")
        await tab.click(".safeareas")
        assert await tab.brightness(".group.review .tile", *corner) == pytest.approx(dark, abs=6)
        assert tab.problems == []

    browse(look)


def test_the_page_of_a_photo_shows_it_on_crops_and_on_the_photo(page: str) -> None:
    part = "document.querySelector('.stage .cover')"
    photo = "document.querySelector('.stage svg image')"
    pictures = (
        "[...document.querySelectorAll('.crops figure')].map((one) => [one.dataset.crop,"
        f" ({ON})(one.querySelector('.covers svg') || one, one.querySelector('img'))])"
    )

    async def look(tab: Tab) -> None:
        for width in (1280, 320):
            await tab.window(width, 900)
            await tab.open(page + "#/photos?q=a.jpg", ROWS_READY)
            await tab.press("s")
            await tab.run("document.querySelector('a.name').click()")
            await tab.until(PHOTO_READY)
            assert await tab.run(f"{BUTTON}.ariaPressed") == "true"  # it stays on
            over = dict(await tab.run(pictures))
            for crop in ("16:9#0", "1:1#0"):
                assert over[crop] == pytest.approx([0, 0, 1, 1], abs=0.001), (crop, width)
            assert await tab.run("document.querySelectorAll('.covers').length") == 2
            assert await tab.run("document.querySelectorAll('.stage .covered.thin').length") == 2
            # Of all crops only lines are drawn, also where the badge and the caption are.
            assert await tab.brightness(".stage svg", 180 / 400, 30 / 300) > 200
            assert await tab.brightness(".stage svg", 0.5, 220 / 300) > 200
            await tab.press("1")  # 16:9: the box 40, 60, 360, 240 of 400 x 300
            await tab.until("document.querySelector('.stage .outside')")
            place = await tab.run(f"({ON})({part}, {photo})")
            assert place == pytest.approx([0.1, 204 / 300, 0.9, 0.8], abs=0.005)
            await tab.press("s")
            assert await tab.run(f"getComputedStyle({part}.parentNode).display") == "none"
        assert tab.problems == []

    browse(look)


def test_the_crop_below_the_pointer_shows_it_on_the_photo_beside_it(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos?q=a.jpg", ROWS_READY)
        await tab.press("s")
        await tab.run(
            "document.querySelector('[aria-label^=\"16:9 crop\"]').closest('figure')"
            ".dispatchEvent(new MouseEvent('mouseenter'))"
        )
        hero = "document.querySelector('.hero .whole')"
        place = await tab.run(f"({ON})({hero}.querySelector('.covered.only .cover'), {hero})")
        assert place == pytest.approx([0.1, 204 / 300, 0.9, 0.8], abs=0.005)

    browse(look)


def test_lines_are_only_between_what_is_covered_and_what_is_seen(tmp_path: Path) -> None:
    """An L of a caption and a bar at the right is split into rectangles, the seams no lines."""
    there = address(tmp_path, safe_areas="16:9=caption:0,0.8,1,1;*=bar:0.9,0,1,1;1:1=circle")
    lines = "document.querySelector(`[aria-label^='${name} crop of a'] .border`).getAttribute('d')"

    async def look(tab: Tab) -> None:
        await tab.open(there + "#/photos", ROWS_READY)
        found = {name: await tab.run(lines.replace("${name}", name)) for name in ("16:9", "1:1")}
        assert sorted(found["16:9"].split(" M")) == ["", "0 0.8H0.9", "0.9 0V0.8"]
        assert found["1:1"].endswith(" M0.9 0V1")
        assert found["1:1"].startswith("M0 .5A")

    browse(look)


def test_runs_without_safe_areas_have_no_such_button(tmp_path: Path, page: str) -> None:
    keys = "document.querySelector('#keys').innerText"

    async def look(tab: Tab) -> None:
        for there, bare in ((page, False), (address(tmp_path), True)):
            for route in ("", "#/photos", "#/photo/0"):
                await tab.open(there + route, "document.querySelector('.tile, .crops img')")
                await tab.press("s")
                buttons = await tab.run("document.querySelectorAll('.safeareas').length")
                assert (buttons, await tab.run("document.body.className")) == (
                    (0, "") if bare else (1, "covering")
                )
                assert await tab.run("document.querySelectorAll('.covered').length > 0") != bare
            await tab.press("?")
            assert ("safe areas" in await tab.run(keys)) != bare

    browse(look)


def test_pages_with_the_button_fit_small_windows(page: str) -> None:
    async def look(tab: Tab) -> None:
        for width in (320, 500, 700, 1000):
            await tab.window(width, 800)
            for route in ("", "#/photos", "#/photo/0"):
                await tab.open(page + route, BUTTON)
                await tab.until("!document.body.innerText.includes('Loading')")
                assert await tab.run("document.documentElement.scrollWidth") <= width
                edges = await tab.run(f"({ON})({BUTTON}, document.body)")
                assert 0 <= edges[0] < edges[2] <= 1, (width, route)
                low = await tab.run(f"{BUTTON}.scrollWidth > {BUTTON}.clientWidth")
                assert not low, (width, route)

    browse(look)
