"""Commands and jobs whose standard output takes no more text, as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

COMMAND = """
import sys
from pathlib import Path
from dataclasses import dataclass
from pipeline.command_line import run

@dataclass
class Options:
    pass

def work(options):
    {work}

sys.exit(run(Options, "", work, []))
"""
LOG = """
from pipeline.report.progress import Log
log = Log("text")
for step in ("first", "second", "third"):
    log.say("step", step)
open({done!r}, "w").close()
"""
FULL = "the output cannot be written: No space left on device"


def start(code: str, where: str, buffered: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python code whose output goes to a full disk, or to a pipe whose reader has left."""
    if where == "full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, output = os.pipe()
        os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-c", code], stdout=output, stderr=subprocess.PIPE, text=True,
            check=False, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"},
        )  # fmt: skip
    finally:
        os.close(output)


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("work", ["print('x'); return 0", "print('x' * 100_000); return 0"])
def test_a_command_on_a_full_disk_fails_with_one_line(work: str, buffered: bool) -> None:
    done = start(COMMAND.format(work=work), "full", buffered)
    assert (done.returncode, done.stderr) == (1, f"-c: {FULL}\n")


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("print('x'); return 3", 3),  # the work is done, and its code counts
        ("print('x' * 100_000); return 3", 141),  # ended in the middle
    ],
)
def test_a_reader_that_leaves_is_no_error(work: str, code: int) -> None:
    done = start(COMMAND.format(work=work), "closed")
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("buffered", [True, False])
def test_an_error_of_another_file_is_not_taken_for_it(buffered: bool) -> None:
    work = "open('/dev/full', 'wb', buffering=0).write(b'x')"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(work=work)], capture_output=True, text=True,
        check=False, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert FULL not in done.stderr


@pytest.mark.parametrize("where", ["full", "closed"])
@pytest.mark.parametrize("buffered", [True, False])
def test_work_goes_on_without_a_log(where: str, buffered: bool, tmp_path: Path) -> None:
    marker = tmp_path / "done"
    done = start(LOG.format(done=str(marker)), where, buffered)
    assert done.returncode == 0
    assert marker.exists()
    assert done.stderr.startswith("WARNING: the log ends here, it cannot be written: ")
    assert done.stderr.count("\n") == 1
