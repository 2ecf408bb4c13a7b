"""One meaning for each name: no two files define the same class, function or type alias.

A constant in capitals is a setting of its own file, and several files may have the same name.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cuda_ops", "s2cnet", "pipeline", "jobs")

# Names that mean the same in every file that defines them.
SAME_MEANING = {
    "main": "the entry point of a command",
    "parser": "the options of a command",
    "roi_align": "the operator, and its definition in plain PyTorch",
    "rod_align": "the operator, and its definition in plain PyTorch",
}


def defined(path: Path) -> Iterator[str]:
    """Public classes, functions and type aliases at the top level of a file."""
    for node in ast.parse(path.read_text()).body:
        names: list[str] = []
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        yield from (name for name in names if not name.startswith("_") and not name.isupper())


def homes(sources: list[Path]) -> dict[str, list[str]]:
    """The files that define each name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sources:
        for name in dict.fromkeys(defined(path)):
            found[name].append(path.as_posix())
    return found


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_a_name_has_one_meaning() -> None:
    several = {
        name: files
        for name, files in homes(sources()).items()
        if len(files) > 1 and name not in SAME_MEANING
    }
    told = "\n".join(f"  {name}: {', '.join(files)}" for name, files in sorted(several.items()))
    assert not several, f"{len(several)} names have two meanings or two homes:\n{told}"


def test_the_list_of_shared_names_is_not_longer_than_it_has_to_be() -> None:
    found = homes(sources())
    assert all(len(found[name]) > 1 for name in SAME_MEANING)


@pytest.mark.parametrize(
    ("second", "told"),
    [("class Plan: ...", True), ("def plan(): ...", False), ("Boxes = list", True)],
)
def test_the_check_sees_a_second_meaning(tmp_path: Path, second: str, told: bool) -> None:
    (tmp_path / "one.py").write_text("class Plan: ...\nBoxes = tuple\nRATE = 1\n")
    (tmp_path / "two.py").write_text(second + "\nRATE = 2\n")
    several = [name for name, files in homes(sorted(tmp_path.glob("*.py"))).items() if files[1:]]
    assert bool(several) is told
