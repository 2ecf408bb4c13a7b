"""README and the pages around it mention only what exists: files, commands, options, links."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
# Made by docs/_site/reference.py.
OF_THE_SITE = {"options.md", "api.md", "notebook.md", "architecture.md", "weights.md"}
COMMANDS = sorted(
    path for path in (ROOT / "jobs").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()
)


def packages() -> list[str]:
    """The folders that the README's tree has to name."""
    rooms = [path for path in (ROOT / "pipeline").iterdir() if (path / "__init__.py").exists()]
    return ["cuda_ops", "jobs", "pipeline", "s2cnet", *sorted(path.name for path in rooms)]


def tree() -> str:
    return README.split("## What is where")[1].split("```")[1]


@pytest.mark.parametrize("name", packages())
def test_tree_names_every_package_with_a_purpose(name: str) -> None:
    assert re.search(rf"^\s*{name}/\s+\S", tree(), re.MULTILINE) or name == "pipeline"


def test_tree_is_short_and_names_nothing_that_is_gone() -> None:
    assert len(tree().strip().splitlines()) <= 20
    folders = [ROOT, ROOT / "pipeline"]
    for name in re.findall(r"^\s*((?:[\w.]+/?\s)+) ", tree(), re.MULTILINE):
        for part in name.split():
            assert any((folder / part).exists() for folder in folders), part


@cache
def help_of(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_every_command_is_documented_and_has_help(path: Path) -> None:
    pages = "".join(page.read_text() for page in PAGES)
    assert f"jobs/{path.name}" in pages
    assert "usage" in help_of(path).lower()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith("http") and target not in OF_THE_SITE:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_pages_of_the_site_link_only_to_what_it_has(path: Path) -> None:
    """A link out of docs/ leads somewhere in a checkout, but nowhere on the site."""
    inline, named = r"\]\(\s*<?([^)#\s>]+)", r"^\s*\[[^\]]+\]:\s*<?([^#\s>]+)"
    in_html = r"(?:href|src)=[\"']([^\"'#]+)"
    for target in re.findall(f"{inline}|{named}|{in_html}", path.read_text(), re.MULTILINE):
        name = "".join(target)
        if not name.startswith(("http:", "https:", "mailto:")):
            own = (path.parent / name).resolve()
            assert own.parent == path.parent, f"{path.name}: {name} is not in docs/"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z][a-z-]+)", README))))
def test_options_in_the_readme_exist(option: str) -> None:
    assert any(
        re.search(rf"^  (-h, )?{option}\b", help_of(path), re.MULTILINE) for path in COMMANDS
    )
