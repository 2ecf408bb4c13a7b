"""The structure that ARCHITECTURE.md promises, read from the source files themselves."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cuda_ops", "s2cnet", "pipeline", "jobs")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager"}
# The crop job, an evaluation, training on several machines: nothing else knows a cluster.
RAY_FILES = {
    "pipeline/run.py",
    "pipeline/evaluation/cluster.py",
    "pipeline/training/ray_train.py",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Full dotted names of everything that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: write absolute imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def level(dotted: str) -> int | None:
    """How high a module stands; None for other people's packages."""
    if dotted.startswith("pipeline.run.") or dotted == "pipeline.run":
        return 4
    if dotted.startswith("pipeline.stages.") or dotted == "pipeline.stages":
        return 3
    return {"cuda_ops": 0, "s2cnet": 1, "pipeline": 2, "jobs": 5}.get(dotted.split(".")[0])


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_point_down_only(path: Path) -> None:
    own = level(relative(path).removesuffix(".py").replace("/", "."))
    assert own is not None
    for name in imports(path):
        other = level(name)
        assert other is None or other <= own, f"{relative(path)} imports {name} from above itself"


# What the packages under the stages may know of the rest of pipeline/.
KNOWN = {
    "storage": {"errors"},
    "decoding": {"errors"},
    "inputs": {"errors", "schema", "storage"},
    "ledger": {"errors", "schema", "storage", "telemetry"},
}


@pytest.mark.parametrize("package", KNOWN)
def test_packages_know_only_what_is_below_them(package: str) -> None:
    for path in (ROOT / "pipeline" / package).glob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("pipeline.")}
        assert used <= {package, *KNOWN[package]}, relative(path)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_ray_is_imported_in_one_place(path: Path) -> None:
    uses_ray = any(name.split(".")[0] == "ray" for name in imports(path))
    assert not uses_ray or relative(path) in RAY_FILES


def test_the_network_opens_no_image_files_and_knows_no_cluster() -> None:
    for path in (ROOT / "s2cnet").rglob("*.py"):
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"PIL", "ray", "pyarrow", "pandas", "s3fs"}, relative(path)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert len(path.read_text().splitlines()) <= 400, "split it by what it does"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_public_things_have_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{relative(path)} says not what it is for"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{relative(path)}: class {node.name}"


def test_errors_are_swallowed_at_process_boundaries_only() -> None:
    broad = re.compile(r"except\s*(\(?\s*(Base)?Exception\b|:)")
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if broad.search(line):
                assert "process boundary" in line, f"{relative(path)}:{number}: {line.strip()}"


def test_top_level_holds_what_it_should() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    folders = {path.split("/")[0] for path in listed if "/" in path and not path.startswith(".")}
    assert folders <= {*PACKAGES, "tests", "infra", "docs"}
