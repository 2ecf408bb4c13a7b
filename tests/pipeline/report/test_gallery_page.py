"""The gallery in a real browser, opened from a folder: what it shows, keys, decisions, safety."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from pipeline.inputs.override_rows import read_override_rows
from pipeline.report.gallery.build import write_gallery
from pipeline.storage.store import open_store
from tests.support.browser import Tab, browse
from tests.support.row_runs import commit_rows, crop_row, image_row, preview_row

GREEN, RED, BLUE = (40, 160, 60), (200, 30, 40), (30, 60, 200)
HOSTILE = "s3://x/<img src=x onerror=document.title='owned'>.png"
ROWS_READY = "document.querySelector('article.row')"
PHOTO_READY = (
    "document.querySelector('.stage svg') && document.querySelectorAll('.crops img').length"
)
TEXT = "document.body.innerText"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a gallery of 30 photos: one guard trip, one of a hostile name, one failed."""
    folder = tmp_path_factory.mktemp("gallery")
    names = [f"s3://x/{n:02d}.jpg" for n in range(28)] + [HOSTILE]
    images = [image_row(name, objects=[_object()] if name == HOSTILE else None) for name in names]
    images.append(image_row("s3://x/torn.jpg", None, status="corrupt", error_message="<i>ends</i>"))
    crops = []
    for name in names:
        bad = {"verdict": "review", "reason": "head_cut"} if name == HOSTILE else {"verdict": "ok"}
        crops.append(crop_row(name, "1:1", (0, 0, 200, 200), RED, **bad, confidence=0.25))
        crops.append(crop_row(name, "16:9", (40, 60, 360, 240), BLUE, verdict="ok", confidence=0.9))
    previews = [preview_row(name, GREEN) for name in names]
    candidates = [
        {"image_id": images[-2]["image_id"], "ratio": "1:1", "x0": 0.0, "y0": 0.0, "x1": side,
         "y1": side, "score": side}
        for side in (100.0, 200.0)
    ]  # fmt: skip
    run = commit_rows(folder / "out", images, crops, previews, candidates)
    write_gallery(run, open_store(str(folder / "page")))
    return (folder / "page" / "index.html").as_uri()


def _object() -> dict[str, object]:
    return {"x0": 30, "y0": 40, "x1": 90, "y1": 80, "score": 0.9, "label": "<b>dog</b>"}


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels.astype(int) - colour).max(axis=2) < 14).sum())


def test_the_landing_page_shows_what_needs_eyes(page: str) -> None:
    async def look(tab: Tab) -> None:
        for width, dark in ((1280, False), (390, True)):
            await tab.window(width, 900, dark)
            await tab.open(page, "document.querySelector('.group .tile')")
            text = await tab.run(TEXT)
            assert "30\nphotos" in text
            assert "58\ncrops" in text
            assert "1\ncrops to review" in text
            assert "corrupt" in text
            assert "<i>ends</i>" in text  # an error's message, as text
            wider = await tab.run("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0
            ground = (await tab.pixels())[-5, 2].astype(int).mean()
            assert (ground < 60) == dark
        plots = "document.querySelectorAll('svg.plot .fill, svg.heatmap .heat').length"
        assert await tab.run(plots) > 4
        assert tab.problems == []

    browse(look)


def test_one_page_of_photos_ends_below_the_last(page: str) -> None:
    """And fits into a telephone, whose browser would else show a wider page smaller."""

    async def look(tab: Tab) -> None:
        for width in (1280, 390):
            await tab.window(width, 900)
            await tab.open(page + "#/photos?mode=grid", "document.querySelector('.cell')")
            text = await tab.run(TEXT)
            assert "30 photos" in text
            assert "null" not in text
            for route in ("", "#/photos", "#/photo/0", "#/decisions"):
                await tab.open(page + route, "document.querySelector('.page > *')")
                assert await tab.run("document.documentElement.scrollWidth") <= width, route

    browse(look)


def test_strangers_text_stays_text(page: str) -> None:
    async def look(tab: Tab) -> None:
        for route in ("", "#/photos", "#/photo/0", "#/decisions"):
            await tab.open("about:blank", "true")
            await tab.open(page + route, "document.querySelector('.page > *')")
            await tab.until("!document.body.innerText.includes('Loading')")
            title = await tab.run("document.title.split(' · ').at(-1)")
            assert title == "Gallery of run " + await tab.run("S2.run.run_id.slice(0, 8)")
            assert await tab.run("document.querySelectorAll('img[src=x], main b b').length") == 0
        await tab.open(page + "#/photo/0", PHOTO_READY)
        await tab.run("S2.review.accept(S2.photoView().record.uri)")
        await tab.press("o")
        await tab.until("document.querySelector('.object text')")
        assert (
            await tab.run("document.querySelector('.object text').textContent") == "<b>dog</b> 0.90"
        )
        assert HOSTILE.rpartition("/")[2] in await tab.run(TEXT)
        # Nothing that is not a file of the page may run or load.
        await tab.run("document.body.append(S2.el('img', {src: 'https://example.com/x.png'}))")
        await tab.until("true")
        assert any("Content Security Policy" in problem for problem in tab.problems)

    browse(look)


def test_only_one_crop_shows_and_the_rest_is_darkened(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.window(1280, 900)
        await tab.open(page + "#/photo/0", PHOTO_READY)
        await tab.until("document.querySelectorAll('.stage image').length === 3")
        bright = near(await tab.pixels(), GREEN)
        await tab.press("2")  # the second shape, 16:9
        await tab.until("document.querySelector('.stage .outside')")
        frame = await tab.run(
            "(() => { const r = document.querySelector('.stage svg').getBoundingClientRect();"
            " return [r.x, r.y, r.width, r.height]; })()"
        )
        pixels = await tab.pixels()

        def at(x: float, y: float) -> np.ndarray:
            left, top, width, height = frame
            return pixels[int(top + y / 300 * height), int(left + x / 400 * width)].astype(int)

        assert np.abs(at(300, 150) - BLUE).max() < 20  # inside: the crop itself, sharp
        assert at(300, 280).max() < 80  # outside: the photo, darkened
        assert near(pixels, GREEN) < bright / 10
        await tab.press("0")
        await tab.until("!document.querySelector('.stage .outside')")

    browse(look)


def test_layers_are_drawn_on_request(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photo/0", PHOTO_READY)
        await tab.press("c")
        await tab.until("document.querySelectorAll('.stage .candidate').length === 2")
        await tab.press("g")
        await tab.until("document.querySelector('.stage .gaze')")
        await tab.run("S2.step(1)")
        await tab.until("location.hash === '#/photo/1'")

    browse(look)


def test_filters_keys_and_pages(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(page + "#/photos", ROWS_READY)
        count = "document.querySelectorAll('article.row').length"
        assert await tab.run(count) == 24
        await tab.press("]")
        await tab.until(f"{count} === 6")
        for query, expected in (
            ("verdict=review", 1), ("ratio=16:9&verdict=review", 0),
            ("ratio=1:1&verdict=review", 1),
            ("reason=head_cut", 1), ("status=corrupt", 1), ("status=not+ok", 1), ("q=/1", 10),
            ("need=any", 14), ("need=close", 12), ("need=error", 1),
        ):  # fmt: skip
            await tab.open(page + f"#/photos?{query}", "document.querySelector('.counted')")
            assert (query, await tab.run(count)) == (query, expected)
        await tab.open(page + "#/photos?q=/1", ROWS_READY)
        await tab.press("j")
        await tab.press("j")
        name = await tab.run("document.activeElement.getAttribute('aria-label')")
        assert name == "Open 11.jpg"
        await tab.press("Enter")
        await tab.until("document.querySelector('.stage svg')")
        await tab.press("ArrowRight")
        await tab.until("document.querySelector('h1')?.textContent.startsWith('12.jpg')")
        await tab.press("Escape")
        await tab.until(f"{count} === 10")
        await tab.press("/")
        await tab.until("document.activeElement.id === 'search'")

    browse(look)


def test_decisions_become_the_overrides_table(page: str, tmp_path: Path) -> None:
    async def decide(tab: Tab) -> str:
        await tab.window(390, 844)
        await tab.open(page + "#/photo/0", PHOTO_READY)
        await tab.press("w")
        await tab.until("document.querySelector('.stage .aiming')")
        await tab.click(".stage svg", 0.25, 0.75)
        await tab.until("S2.review.of(S2.photoView().record.uri).focus")
        await tab.press("2")
        await tab.press("l")
        for place, key in ((1, "a"), (2, "n"), (3, "x")):
            await tab.open(page + f"#/photo/{place}", "S2.photoView() && S2.photoView().record")
            await tab.press(key)
        await tab.open(page + "#/decisions", "document.querySelector('.plainlist')")
        assert await tab.run("document.querySelectorAll('.plainlist li').length") == 4
        return str(await tab.run("S2.review.csv()"))

    text = browse(decide)
    (tmp_path / "overrides.csv").write_text(text, newline="")
    read = read_override_rows(str(tmp_path / "overrides.csv"))  # what a run does with it
    assert not any(row.is_pattern for row in read)
    assert [row.name for row in read] == [HOSTILE, HOSTILE, "s3://x/01.jpg", "s3://x/02.jpg"]
    rows = list(csv.DictReader(io.StringIO(text)))
    given = [{name: value for name, value in row.items() if value} for row in rows]
    focus = given[0]
    assert focus.pop("uri") == HOSTILE
    assert float(focus.pop("focus_x")) == pytest.approx(0.25, abs=0.01)
    assert float(focus.pop("focus_y")) == pytest.approx(0.75, abs=0.01)
    assert focus == {}
    box = {"uri": HOSTILE, "ratio": "16:9", "x0": "40", "y0": "60", "x1": "360", "y1": "240"}
    assert given[1:] == [
        box,
        {"uri": "s3://x/01.jpg", "never_crop": "true"},
        {"uri": "s3://x/02.jpg", "forget": "true"},
    ]
    assert list(rows[0])[:2] == ["uri", "pattern"]  # so that * and ? in an address mean themselves


def test_a_focus_is_where_the_photo_was_tapped_whatever_the_window(page: str) -> None:
    async def tap(tab: Tab) -> None:
        await tab.window(1400, 560)  # so low that the drawing is narrower than its element
        await tab.open(page + "#/photo/0", PHOTO_READY)
        await tab.press("w")
        await tab.until("document.querySelector('.stage .aiming')")
        width, height = await tab.run(
            "(() => { const r = document.querySelector('.stage svg').getBoundingClientRect();"
            " return [r.width, r.height]; })()"
        )
        drawn = height * 400 / 300  # of the photo of 400 x 300
        assert drawn < 0.8 * width
        await tab.click(".stage svg", 0.5 + 0.25 * drawn / width, 0.5)
        await tab.until("S2.review.of(S2.photoView().record.uri).focus")
        x, y = await tab.run("S2.review.of(S2.photoView().record.uri).focus")
        assert (x, y) == (pytest.approx(0.75, abs=0.01), pytest.approx(0.5, abs=0.01))

    browse(tap)


def test_typing_into_the_search_field_finds_a_photo(page: str) -> None:
    async def look(tab: Tab) -> None:
        await tab.open("about:blank", "true")
        await tab.open(page + "#/photos", ROWS_READY)
        assert await tab.run("document.querySelectorAll('article.row').length") > 1
        await tab.run(
            "const field = document.querySelector('#search'); field.value = '07.jpg';"
            "field.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        await tab.until("document.querySelectorAll('article.row').length === 1")
        await tab.until("document.querySelector('article.row').innerText.includes('07.jpg')")

    browse(look)
