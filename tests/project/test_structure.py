"""The structure defined in ARCHITECTURE.md, checked against the source files."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cuda_ops", "s2cnet", "pipeline", "jobs")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager"}
# The line has one room that knows a cluster; the laboratory evaluates and trains on one.
RAY_FILES = {
    "pipeline/cluster/causes.py",
    "pipeline/cluster/demand.py",
    "pipeline/cluster/first_machine.py",
    "pipeline/cluster/actor.py",
    "pipeline/cluster/actor_pool.py",
    "pipeline/cluster/flow.py",
    "pipeline/cluster/growing.py",
    "pipeline/cluster/joining.py",
    "pipeline/cluster/nodes.py",
    "pipeline/lab/evaluation/cluster.py",
    "pipeline/lab/training/ray_train.py",
}
ROW = re.compile(r"^\| `([\w.]+)` \|(.*)\|$", re.MULTILINE)
ROOMS = {
    room: set(re.findall(r"`([\w.]+)`", known))
    for room, known in ROW.findall((ROOT / "ARCHITECTURE.md").read_text())
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: Path) -> Iterator[str]:
    """Full dotted names of everything that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: write absolute imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(dotted: str) -> str | None:
    """The room of the table that a module or a name belongs to; None for other packages."""
    parts = dotted.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in names if name in ROOMS), None)


def circle_of(files: dict[str, Iterable[str]]) -> list[str] | None:
    """Modules that import each other in a circle, or None. files: what each module imports."""
    graph = {
        module: {name if name in files else name.rpartition(".")[0] for name in imported}
        & files.keys() - {module}
        for module, imported in files.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_rooms_know_only_what_the_table_says(path: Path) -> None:
    own = room_of(module_of(path))
    assert own is not None, f"{relative(path)} is in no room of ARCHITECTURE.md"
    for name in imports(path):
        other = room_of(name)
        if other is not None and other != own:
            assert other in ROOMS[own], f"{own} may not know {other}: {relative(path)}"


def test_every_room_is_there() -> None:
    modules = {module_of(path) for path in SOURCES}
    for room in ROOMS:
        assert any(module == room or module.startswith(f"{room}.") for module in modules), room


def test_rooms_form_no_circle() -> None:
    left = dict(ROOMS)
    while left:
        ground = [room for room, known in left.items() if not known & left.keys() - {room}]
        assert ground, f"these rooms know each other in a circle: {sorted(left)}"
        for room in ground:
            del left[room]


def test_files_form_no_circle() -> None:
    """Imports inside functions and those for type checking alone count as well."""
    circle = circle_of({module_of(path): list(imports(path)) for path in SOURCES})
    assert circle is None, f"files import each other in a circle: {circle}"


def test_a_circle_would_be_found(tmp_path: Path) -> None:
    written = {
        "a": "import numpy\nfrom b.c import thing",
        "b": "from b.c import thing",
        "b.c": "if TYPE_CHECKING:\n    import b.d",
        "b.d": "def late():\n    from a import other",
    }
    files = {}
    for module, text in written.items():
        path = tmp_path / f"{module}.py"
        path.write_text(text)
        files[module] = list(imports(path))
    assert set(circle_of(files) or []) == {"a", "b.c", "b.d"}
    assert circle_of({**files, "b.d": ["b.c.thing", "e"], "b.c": []}) is None


def test_the_line_does_not_know_the_laboratory() -> None:
    for room, known in ROOMS.items():
        if room not in {"jobs", "pipeline.metrics"}:  # scripts, and names for importers
            assert "pipeline.lab" not in known - {room}, room


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_ray_is_imported_in_one_place(path: Path) -> None:
    uses_ray = any(name.split(".")[0] == "ray" for name in imports(path))
    assert not uses_ray or relative(path) in RAY_FILES


def test_onnxruntime_is_imported_by_the_function_that_silences_its_reports() -> None:
    importers = {relative(path) for path in SOURCES if "onnxruntime" in imports(path)}
    assert importers == {"s2cnet/onnx/runtime.py"}


def test_the_network_opens_no_image_files_and_knows_no_cluster() -> None:
    for path in (ROOT / "s2cnet").rglob("*.py"):
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"PIL", "ray", "pyarrow", "pandas", "s3fs"}, relative(path)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert len(path.read_text().splitlines()) <= 250, "split it by what it does"


def test_test_files_can_be_read_in_one_sitting() -> None:
    lengths = {relative(path): len(path.read_text().splitlines()) for path in TESTS}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_public_things_have_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{relative(path)} says not what it is for"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{relative(path)}: class {node.name}"


def modules_missing_in(docstring: str, modules: Iterable[str]) -> list[str]:
    """The modules that a package's docstring leaves out, if it lists more than half of them.

    A line lists modules where it begins with their names, separated by commas.
    """
    listed = re.findall(r"^ *((?:\w+(?:\.py)?, )*\w+(?:\.py)?)(?= |$)", docstring, re.MULTILINE)
    named = {name.removesuffix(".py") for line in listed for name in line.split(", ")}
    missing = sorted(set(modules) - named)
    return missing if 2 * len(missing) < len(set(modules)) else []


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name == "__init__.py"], ids=relative
)
def test_packages_that_list_their_modules_list_all(path: Path) -> None:
    files = {one.stem for one in path.parent.glob("*.py")} - {"__init__"}
    folders = {one.parent.name for one in path.parent.glob("*/__init__.py")}
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert modules_missing_in(docstring, files | folders) == []


def test_a_module_that_is_not_listed_would_be_found() -> None:
    listed = "Do it.\n\na, b.py  first\n    c  then\n\nAnd d."
    assert modules_missing_in(listed, ["a", "b", "c", "d"]) == ["d"]
    assert modules_missing_in(listed, ["a", "b", "c"]) == []
    assert modules_missing_in(listed, ["a", "d", "e"]) == [], "it lists too few to be a list"


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


def test_no_two_test_modules_have_one_name() -> None:
    """Outside packages pytest can't collect them together."""
    modules = (ROOT / "tests").rglob("test_*.py")
    names = Counter(path.name for path in modules if not (path.parent / "__init__.py").exists())
    assert [name for name, count in names.items() if count > 1] == []
