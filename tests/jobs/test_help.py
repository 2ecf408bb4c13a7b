"""What every command does before it works: help, version, wrong options, and the cost of these."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from pipeline.code_version import RELEASE

ROOT = Path(__file__).resolve().parents[2]
JOBS = sorted((ROOT / "jobs").glob("*.py"))
HEAVY = {"torch", "ray", "cv2", "s3fs", "pandas", "scipy", "matplotlib", "PIL"}
LIST_MODULES = """
import runpy, sys
sys.argv = ["job", "--help"]
try:
    runpy.run_path({path!r}, run_name="__main__")
except SystemExit as stop:
    print("\\nmodules:", *{{name.partition(".")[0] for name in sys.modules}})
    raise
"""


@cache
def run_job(path: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a job as a process of its own."""
    done = subprocess.run(
        [sys.executable, str(path), *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_there_are_nine_commands() -> None:
    assert {path.stem for path in JOBS} == {
        "crop_bucket", "demo", "evaluate", "fetch_weights", "fine_tune_starter",
        "learn_from_people", "make_starter", "runs", "train",
    }  # fmt: skip


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_help_loads_nothing_heavy(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES.format(path=str(path))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text, _, modules = done.stdout.partition("\nmodules:")
    assert text.startswith("usage: ")
    assert not HEAVY & set(modules.split())


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_help_is_shown_where_the_locale_has_only_ascii(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, check=False,
        env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert done.stdout.startswith(b"usage: ")


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_version_is_the_release(path: Path) -> None:
    assert run_job(path, "--version") == (0, f"{path.name} {RELEASE}\n", "")


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_misspelt_option_is_wrong_usage_and_the_right_one_is_named(path: Path) -> None:
    code, _, errors = run_job(path, "--versoin")
    assert code == 2
    assert "there is no option --versoin; did you mean --version?" in errors


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_every_value_has_a_placeholder_that_says_what_it_is(path: Path) -> None:
    _, text, _ = run_job(path, "--help")
    words = set(text.split())
    assert not {"TEXT", "PATH", "X"} & words
