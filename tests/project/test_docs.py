"""The documentation site builds without a warning: no dead link, no page left out of the menu."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.accessible import landmarks, low_contrasts
from tests.support.browser import Tab, browse

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("mkdocs_gen_files")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # The theme tells of its maker's plans on stderr; a fault of ours is a warning of mkdocs.
    assert done.returncode == 0, done.stderr
    return target


def test_options_come_from_the_code(site: Path) -> None:
    page = (site / "options.html").read_text()
    for option in ("--ratios SHAPES", "--guards GUARDS", "--gate GATE", "--estimate"):
        assert option in page
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for command in project["scripts"]:
        assert f'<h2 id="{command}"' in page


def test_public_names_are_explained(site: Path) -> None:
    page = (site / "api.html").read_text()
    for name in ("Cropper", "open_run", "load_model", "roi_align", "DecodeError"):
        assert name in page
    assert "source pixels" in page


def test_pages_ask_no_other_server(site: Path) -> None:
    """Links to other sites may be clicked; nothing is fetched by itself."""
    for page in site.glob("*.html"):
        for tag in ("<script src=", "<link href=", '<link rel="stylesheet" href=', "<img src="):
            for rest in page.read_text().split(tag)[1:]:
                assert not rest.lstrip("\"'").startswith(("http:", "https:", "//")), page.name


def test_search_works_where_pages_are_opened_from_a_folder(site: Path) -> None:
    async def look(tab: Tab) -> None:
        await tab.window(1280, 700)
        await tab.open((site / "FAQ.html").as_uri(), "document.querySelector('.md-search__input')")
        await tab.click(".md-search__input")
        for letter in "rollback":
            await tab.press(letter)
        await tab.until(
            "document.querySelector('.md-search-result').innerText.includes('matching documents')"
        )
        assert tab.problems == []

    browse(look)


def test_pages_can_be_read_by_everybody(site: Path) -> None:
    """What site.css and site.js mend of the theme."""
    line = "getComputedStyle(document.querySelector('article p a')).textDecorationLine"

    async def look(tab: Tab) -> None:
        for name, dark in (("GALLERY", False), ("index", True), ("api", True), ("api", False)):
            await tab.window(1280, 900, dark)
            await tab.open((site / f"{name}.html").as_uri(), "document.querySelector('article h1')")
            found = await low_contrasts(tab)
            low = [one for one in found["low"] if one.startswith("text")]
            # The theme draws these only where the pointer or the search is.
            drawn = [one for one in low if "headerlink" not in one and "md-search" not in one]
            assert drawn == [], (name, dark)
            assert found["texts"] > 100
        assert await tab.run(line) == "underline"
        search = "document.querySelector('[role=dialog]').getAttribute('aria-label')"
        assert await tab.run(search) == "Search"
        await tab.window(320, 800)
        await tab.open((site / "options.html").as_uri(), "document.querySelector('table')")
        await tab.until("document.querySelector('.md-typeset__scrollwrap[tabindex]')")
        assert await tab.run("document.documentElement.scrollWidth") <= 320

    browse(look)


def test_landmarks_are_few_and_each_has_its_own_name(site: Path) -> None:
    """The menus' sections and the buttons at blocks of code are no landmarks."""
    once = ["banner", "contentinfo", "main", "search"]

    async def look(tab: Tab) -> None:
        for width, menu in ((1280, False), (1000, True), (500, False), (500, True)):
            await tab.window(width, 900)
            for name in ("GUARDS", "index", "api", "weights"):
                await tab.open((site / f"{name}.html").as_uri(), "document.querySelector('h1')")
                buttons = "document.querySelectorAll('.md-code__nav').length"
                await tab.until(f"{buttons} === document.querySelectorAll('pre > code').length")
                if menu:  # of windows without room for it beside the text
                    await tab.run("document.getElementById('__drawer').click()")
                found, outside = await landmarks(tab)
                assert outside in ([], ["Skip to content"]), (name, width)
                named = sorted(found)
                assert [role for role, _ in named if role != "navigation"] == once, (name, width)
                menus = [text for role, text in named if role == "navigation"]
                assert set(menus) <= {"Header", "Navigation", "Table of contents"}, (name, width)
                assert len(menus) == len(set(menus)), (name, width)
                assert {"Header", "Navigation"} <= set(menus) or not menu, (name, width)
        assert await tab.run("document.querySelectorAll('nav[aria-expanded]').length") == 0

    browse(look)


def test_a_copied_command_is_told_to_screen_readers(site: Path) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(
            (site / "GUARDS.html").as_uri(), "document.querySelector('.md-code__button')"
        )
        await tab.click(".md-code__button")
        await tab.until("document.querySelector('.md-dialog').innerText.includes('Copied')")
        assert (
            await tab.run("document.querySelector('.md-dialog').getAttribute('role')") == "status"
        )

    browse(look)


def test_the_notebook_runs() -> None:
    pytest.importorskip("skimage")
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile(cell, "notebook", "exec"), names)
    crops = names["crops"]
    assert [crop.ratio for crop in crops] == ["1:1", "16:9", "9:16", "circle"]  # type: ignore[attr-defined]
    assert names["wide"].ratio == "3:1"  # type: ignore[attr-defined]
