"""The README and the pages around it say what is there: files, commands, options, links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMANDS = sorted(
    path for path in (ROOT / "jobs").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()
)


def source_files() -> list[str]:
    found = [
        path.relative_to(ROOT).as_posix()
        for package in ("cuda_ops", "s2cnet", "pipeline", "jobs")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    ]
    return sorted(found)


@pytest.mark.parametrize("name", source_files())
def test_tree_names_every_file_with_a_purpose(name: str) -> None:
    file = re.escape(name.split("/")[-1])
    assert re.search(rf"^\s+{file}\s+\S", README, re.MULTILINE), f"{name} is not in the tree"


def test_tree_names_no_file_that_is_gone() -> None:
    tree = README.split("## What is where")[1].split("```")[1]
    known = {path.split("/")[-1] for path in source_files()}
    for line in tree.splitlines():
        match = re.match(r"\s+(\w+\.py)\s", line)
        assert not match or match[1] in known, f"the tree names {match[1]}"


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_every_command_is_documented_and_has_help(path: Path) -> None:
    pages = "".join(page.read_text() for page in PAGES)
    assert f"jobs/{path.name}" in pages
    done = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z][a-z-]+)", README))))
def test_options_in_the_readme_exist(option: str) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "jobs").glob("*.py"))
    settings = (ROOT / "pipeline" / "settings.py").read_text()
    named = option.removeprefix("--").replace("-", "_")
    assert f'"{option}"' in sources or re.search(rf"^    {named}:", settings, re.MULTILINE)
