"""What a run's code version is made of, and what it is not."""

import shutil
from pathlib import Path

import pytest

from pipeline import code_version

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources; `code_version` looks at it."""
    for package in ("cuda_ops", "pipeline", "s2cnet"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    monkeypatch.setattr(code_version, "_ROOT", tmp_path)
    return tmp_path


def version() -> str:
    code_version.code_version.cache_clear()
    return code_version.code_version()


@pytest.fixture(autouse=True)
def _forget() -> None:
    code_version.code_version.cache_clear()


@pytest.mark.parametrize(
    "name", ["pipeline/cropping/choose.py", "s2cnet/config.py", "cuda_ops/csrc/sampling.h"]
)
def test_a_source_of_the_line_changes_it(checkout: Path, name: str) -> None:
    before = version()
    with (checkout / name).open("a") as file:
        file.write("// a comment\n" if name.endswith(".h") else "# a comment\n")
    assert version() != before


@pytest.mark.parametrize(
    "name",
    [
        "pipeline/lab/evaluation/plots.py",
        "pipeline/report/page.py",
        "pipeline/cli/runs.py",
        "pipeline/command_line.py",
    ],
)
def test_the_laboratory_and_the_commands_leave_it_alone(checkout: Path, name: str) -> None:
    before = version()
    with (checkout / name).open("a") as file:
        file.write("# a comment\n")
    assert version() == before
