"""What local workers need is loaded beside the planning, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fresh import ROOT


def told(source: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, check=True, timeout=60, text=True,
        capture_output=True,
    )  # fmt: skip
    return found.stdout.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_the_process_that_workers_are_forked_from_has_loaded_all() -> None:
    source = """
import sys, time
from multiprocessing import forkserver
from pipeline import warm_up
start = time.monotonic()
warm_up.begin()
took, pid = time.monotonic() - start, forkserver._forkserver._forkserver_pid
context = warm_up.context_of(scores=True)
with context.Pool(1) as pool:
    modules = set(pool.apply(eval, ("list(__import__('sys').modules)",)))
    ppid = pool.apply(eval, ("__import__('os').getppid()",))
print(took < 1, ppid == pid, {*warm_up.LOADED_TO_SCORE, "torch"} <= modules, "torch" in sys.modules)
"""
    assert told(source) == "True True True False"


@pytest.mark.parametrize(
    ("more", "begins"), [(["--local"], "[1]"), (["--local", "--dry-run"], "[]")]
)
def test_it_begins_with_a_job_that_has_work_for_local_workers(
    tmp_path: Path, more: list[str], begins: str
) -> None:
    (tmp_path / "in").mkdir()
    places = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    source = f"""
from pipeline import warm_up
begun = []
warm_up.begin = lambda: begun.append(1)
from pipeline.cli.crop import main
code = main({[*places, *more]!r})
print(code, begun)
"""
    assert told(source) == f"0 {begins}"
