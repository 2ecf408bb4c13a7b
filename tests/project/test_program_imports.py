"""Programs that no test runs have valid imports: benchmarks, the GPU proof, the nightly run."""

import ast
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "gpu_proof", "nightly", "mutation", "chaos", "support")
OURS = ("pipeline", "s2cnet", "cuda_ops", "jobs", "tests")
PROGRAMS = sorted(path for name in FOLDERS for path in (ROOT / "tests" / name).glob("*.py"))


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Modules of ours and the names taken from them, wherever they are imported; "" for none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def is_there(module: str, name: str) -> bool:
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in OURS:
            return False
        raise
    if not name or hasattr(found, name):
        return True
    return hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None


def test_imports_are_found_in_functions_too() -> None:
    source = "import os\nfrom pipeline import boxes\ndef f():\n    import pipeline.gate, tests\n"
    assert [*imported(source)] == [
        ("os", ""), ("pipeline", "boxes"), ("pipeline.gate", ""), ("tests", ""),
    ]  # fmt: skip
    assert is_there("pipeline", "boxes")
    assert is_there("pipeline.boxes", "iou")
    assert not is_there("pipeline.boxes", "iuo")
    assert not is_there("pipeline.boxen", "iou")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_what_a_program_imports_is_there(path: Path) -> None:
    wanted = {pair for pair in imported(path.read_text()) if pair[0].split(".")[0] in OURS}
    assert [pair for pair in sorted(wanted) if not is_there(*pair)] == []
