"""What determines a run's code version, and what does not."""

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

from pipeline import code_version
from pipeline.errors import LedgerError
from pipeline.job import PlannedRun, plan
from pipeline.report.progress import Log
from pipeline.settings import Settings

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
    "name",
    [
        "pipeline/cropping/choose.py",
        "pipeline/cropping/choice.json",
        "pipeline/cropping/confidence.json",
        "s2cnet/config.py",
        "cuda_ops/csrc/sampling.h",
    ],
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
        "pipeline/report/scripts.py",
        "pipeline/cli/runs/repair.py",
        "pipeline/command_line.py",
        "pipeline/shown_options.py",
        "s2cnet/weights/starter.json",  # of weights, which a run names by their hash
    ],
)
def test_the_laboratory_and_the_commands_leave_it_alone(checkout: Path, name: str) -> None:
    before = version()
    with (checkout / name).open("a") as file:
        file.write("# a comment\n")
    assert version() == before


def add_comment(path: Path) -> None:
    with path.open("a") as file:
        file.write("# a comment\n")
    code_version.code_version.cache_clear()


def test_which_change_of_code_stops_a_resume(checkout: Path) -> None:
    """A comment in a plot of the laboratory does not; one in the choice of crops does."""
    (checkout / "in").mkdir()
    Image.new("RGB", (32, 24)).save(checkout / "in" / "photo.png")

    def planned(**options: str) -> PlannedRun:
        folders = {"input": str(checkout / "in"), "output": str(checkout / "out")}
        settings = Settings.of(**folders, weights="untrained", **options)
        return plan(settings, Log(stream=io.StringIO()))

    job, ledger = planned().begin()
    add_comment(checkout / "pipeline" / "lab" / "evaluation" / "plots.py")
    assert planned().todo.spec.run_id == job.run_id
    resumed = planned(resume=job.run_id)
    assert "1 resumed" in resumed.message
    again, same = resumed.begin()
    assert (again.run_id, same.pending()) == (job.run_id, ledger.pending())
    add_comment(checkout / "pipeline" / "cropping" / "choose.py")
    assert planned().todo.spec.run_id != job.run_id
    version = r"0\.1\.0\+\w{12}"
    with pytest.raises(LedgerError, match=f"the code was {version} and is now {version}"):
        planned(resume=job.run_id)
