"""Commands and jobs whose standard output does not take all text, as processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.row_runs import commit_rows, crop_row, image_row

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


NAMES = ["caf\xe9", "\u6771\u4eac", "raw\udce9"]  # the last is of a file whose name is not UTF-8


def written(code: str, encoding: str) -> bytes:
    """Run Python code in a locale with one encoding; return what it writes to standard output."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", rb"caf\xe9 \u6771\u4eac raw\udce9"),
        ("latin-1", b"caf\xe9 " + rb"\u6771\u4eac raw\udce9"),
        ("utf-8", "caf\xe9 \u6771\u4eac ".encode() + rb"raw\udce9"),
    ],
)
@pytest.mark.parametrize("way", ["command", "log"])
def test_text_for_people_has_escapes_for_what_its_encoding_lacks(
    way: str, encoding: str, expected: bytes
) -> None:
    text = " ".join(NAMES)
    if way == "command":
        code = COMMAND.format(work=f"print({text!a}); return 0")
    else:
        code = f"from pipeline.report.progress import Log; Log().say('step', {text!a})"
    assert written(code, encoding) == expected + b"\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("way", ["log", "records", "block"])
def test_json_is_utf_8_in_every_locale(way: str, encoding: str) -> None:
    if way == "log":
        code = (
            "from pipeline.report.progress import Log; "
            f"Log('json').say('step', '', names={NAMES!a})"
        )
    else:
        code = (
            "from pipeline.cli.runs.command import Command, block; "
            f"command = Command(output='o', json={way == 'records'}); "
            f"command.print_records([{{'names': {NAMES!a}}}], block)"
        )
    text = written(code, encoding).decode("utf-8")
    assert json.loads(text)["names"] == NAMES
    assert "caf\xe9" in text


@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_an_export_is_utf_8_in_every_locale(name: str, tmp_path: Path) -> None:
    uri = "u/caf\xe9.jpg"
    commit_rows(tmp_path, [image_row(uri)], [crop_row(uri, "1:1", (0, 0, 9, 9))])
    done = subprocess.run(
        [sys.executable, "jobs/runs.py", "export", str(tmp_path), "--as", name],
        capture_output=True, check=False, cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert uri in done.stdout.decode("utf-8")
