"""What local workers need is loaded during planning, in a separate process."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from pipeline import open_run
from tests.support.fresh import ROOT
from tests.support.odd_photos import scene


def told(source: str, *words: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", source, *words], cwd=ROOT, check=True, timeout=60, text=True,
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
context = warm_up.process_context(scores=True)
with context.Pool(1, warm_up.unblock_signals) as pool:
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


JOB = """
import multiprocessing.util, os, sys, tempfile
from pipeline import warm_up
from pipeline.cli.crop import main
warm_up.SHORT_FOLDERS = ("/nowhere", *sys.argv[1:2])
places = ["--input", sys.argv[2], "--output", sys.argv[3]]
code = main([*places, "--local", "--weights", "untrained", "--thumbnail-size", "64"])
method = warm_up.process_context(scores=True).get_start_method()
print(code, method, multiprocessing.util.get_temp_dir(), tempfile.gettempdir())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
@pytest.mark.parametrize("has_short", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_long_name_of_the_folder_of_temporary_files_is_no_hindrance(
    has_short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """108 bytes; sockets are in a short one, which is left empty, or workers are not forked."""
    long = tmp_path / ("x" * (107 - len(str(tmp_path))))
    for folder in (long, tmp_path / "in"):
        folder.mkdir()
    Image.fromarray(scene(120, 90)).save(tmp_path / "in" / "0.png")
    monkeypatch.setenv("TMPDIR", str(long))
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        words = [short if has_short else "/nowhere", str(tmp_path / "in"), str(tmp_path / "out")]
        code, method, folder, temporary = told(JOB, *words).split()
        assert not list(Path(short).iterdir())
    assert (code, temporary) == ("0", str(long))
    assert method == ("forkserver" if has_short else "spawn")
    assert folder.startswith(f"{short}/pymp-" if has_short else f"{long}/pymp-")
    assert not list(long.glob("pymp-*"))
    assert open_run(str(tmp_path / "out")).crops().num_rows == 6
