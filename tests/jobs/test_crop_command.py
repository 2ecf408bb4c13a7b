"""The crop job's command without a cluster: signals, exit codes, wrong usage."""

import importlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pipeline import LedgerError
from pipeline.cli.crop import EXIT_S, LATEST_END, Stopped, main, parser, run_with_signals
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stop import Stop
from tests.support.crop_jobs import ROOT, finish, start, tree, write_scenes

__all__ = ["tree"]  # a fixture


def test_a_dry_run_writes_nothing(tree: Path, tmp_path: Path) -> None:
    photos = write_scenes(tmp_path / "in", 3)
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--dry-run"]
    code, events = finish(start(tree, None, *arguments, "--task-images", "2"))
    assert code == 0
    assert "3 photos in 2 tasks" in events[-1]["message"]
    assert not (tmp_path / "out").exists()


@pytest.fixture
def _own_handlers() -> Iterator[None]:
    """Puts back what a job in this process does to signals."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for thread in threading.enumerate():
        if thread.name == LATEST_END:
            assert isinstance(thread, threading.Timer)
            thread.cancel()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("times", [1, 2])
def test_signals_end_a_job_within_its_drain_time(
    number: signal.Signals, code: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: after the time to drain. Twice: at once, however long that time is."""

    def interrupted(*_: object) -> NoReturn:
        for _ in range(times):
            os.kill(os.getpid(), number)
        while True:
            signal.pause()

    monkeypatch.setattr("pipeline.run.crop_bucket", interrupted)
    drain_s = "0.1" if times == 1 else "3600"
    assert main(["--input", "a", "--output", "b", "--drain-s", drain_s]) == code


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(
    "made_of_it", [SystemError("wait returned a result with an exception set"), LedgerError("no")]
)
def test_a_kill_while_ray_waits_is_answered_as_well(
    made_of_it: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its compiled calls put another exception in place of what a handler raises."""

    def waiting(*_: object) -> NoReturn:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                signal.pause()
        except Stopped as stopped:
            raise made_of_it from stopped

    arguments = ["--input", "a", "--output", "b", "--drain-s"]
    monkeypatch.setattr("pipeline.run.crop_bucket", waiting)
    for drain_s in ("0", "0.1"):
        assert main([*arguments, drain_s]) == 128 + signal.SIGTERM


@pytest.mark.usefixtures("_own_handlers")
def test_a_kill_while_a_job_plans_or_commits_is_answered_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", write_scenes(tmp_path / "in", 2), "--output", str(tmp_path / "out")]
    arguments += ["--ratios", "1:1", "--thumbnail-size", "64", "--local", "--drain-s", "60"]

    def killed(*args: Any, then: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return then(*args)

    for name in ("pipeline.run.plan", "pipeline.run.commit"):
        module, _, function = name.rpartition(".")
        then = getattr(importlib.import_module(module), function)
        with monkeypatch.context() as patch:
            patch.setattr(name, partial(killed, then=then))
            assert main(arguments) == 128 + signal.SIGTERM
        output = capsys.readouterr().out
        assert "stopping within" in output
        assert ("is committed" in output) == (function == "commit")
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= EXIT_S, "no longer the time to drain"
    assert main(arguments) == 0
    assert "nothing to do" in capsys.readouterr().out


class Interrupted(io.RawIOBase):
    """A file in whose first write a SIGTERM arrives, with the stream above it in use."""

    def __init__(self) -> None:
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        is_first, self.written = not self.written, self.written + bytes(data)
        if is_first:
            os.kill(os.getpid(), signal.SIGTERM)
        return len(bytes(data))


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize("of_the_log", [True, False])
def test_a_signal_in_the_middle_of_a_line_begins_the_drain(
    of_the_log: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the log, after which it is told; or one of others, and then nobody hears of it."""
    file, left_s = Interrupted(), []
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BufferedWriter(file)))

    def work(log: Log, stop: Stop) -> str:
        if of_the_log:
            log.say("begin", "begun")
        else:
            print("begun", flush=True)
        assert stop.asked
        left_s.append(signal.getitimer(signal.ITIMER_REAL)[0])
        log.say("end", "ended")
        return "done"

    assert run_with_signals(work, "text", drain_s=3600) == 143
    assert EXIT_S < left_s[0] <= 3600
    expected = ["SIGTERM: stopping within 3600 s"] if of_the_log else []
    assert file.written.decode().splitlines() == ["begun", *expected, "ended"]


GOODBYE = """
import atexit, os, signal, sys, time
from pipeline.cli import crop
from pipeline.report.progress import Log


class TornDown:
    def __del__(self, sleep=time.sleep):
        sleep(1)


torn_down = TornDown()
crop.EXIT_S = 0.4
crop.stop_on_signals(0, Log())
atexit.register(time.sleep, {ray_s})
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
except crop.Stopped as stopped:
    sys.exit(128 + stopped.signum)
"""


@pytest.mark.parametrize("ray_s", [0.0, 60.0])
def test_a_slow_goodbye_does_not_change_the_exit_code(ray_s: float) -> None:
    """Ray's, which has a deadline, or the interpreter's, which has handlers no more."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", GOODBYE.format(ray_s=ray_s)], cwd=ROOT, check=False
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - started < 30


# As Ray's calls to a GCS server that has ended: C code that waits on, whatever signals arrive.
NO_ANSWER = """
import ctypes, os, signal
from pipeline.cli import crop
from pipeline.report.progress import Log

crop.EXIT_S, crop.LATEST_S = 0.4, 0.2
crop.stop_on_signals(0.2, Log())
os.kill(os.getpid(), signal.SIGTERM)
lock = ctypes.create_string_buffer(64)
for _ in range(2):
    ctypes.CDLL(None).pthread_mutex_lock(lock)
"""


def test_a_stop_ends_a_job_that_waits_where_no_signal_is_handled() -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", NO_ANSWER], cwd=ROOT, check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert b"stopped, without Ray's answer; the same command goes on from here" in done.stderr
    assert time.monotonic() - started < 30


def test_such_a_job_ends_even_if_nobody_reads_what_it_says() -> None:
    """Its standard error is a pipe that is full, so that a write to it waits for ever."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    done = subprocess.run(
        [sys.executable, "-c", NO_ANSWER],
        cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=writer, timeout=30,
    )  # fmt: skip
    os.close(reader)
    os.close(writer)
    assert done.returncode == 128 + signal.SIGTERM


# The first job's stop ends well; the process then does something else for longer than its timer.
ANOTHER_JOB = """
import os, signal, time
from pipeline.cli import crop
from pipeline.report.progress import Log

crop.EXIT_S, crop.LATEST_S = 0.3, 0.2
def stopped(log, stop):
    os.kill(os.getpid(), signal.SIGTERM)
    return "done"
def slow(log, stop):
    time.sleep(1.5)
    return "done"
assert crop.run_with_signals(stopped, "text", 0.2) == 128 + signal.SIGTERM
assert crop.run_with_signals(slow, "text", 0.2) == 0
"""


def test_a_stop_does_not_end_the_next_job_of_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_JOB], cwd=ROOT, check=False, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.usefixtures("_own_handlers")
def test_a_run_that_cannot_go_on_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> NoReturn:
        raise LedgerError("the store is read only")

    monkeypatch.setattr("pipeline.run.crop_bucket", refused)
    assert main(["--input", "a", "--output", "b"]) == 1
    assert "the store is read only" in capsys.readouterr().out


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "nowhere", "--output", "out"], "nowhere"),
        (["--input", "in", "--output", "out", "--ratios", "round"], "round"),
        (["--input", "in", "--output", "out", "--weights", "gone.pth"], "gone.pth"),
        (["--input", "in", "--output", "out", "--detector", "eyes"], "eyes"),
        (["--input", "s3://key:secret@bucket/", "--output", "out"], "user:password"),
        (["--input", "in", "--output", "in/out"], "inside the input"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write_scenes(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert "secret" not in errors
    assert not (tmp_path / "out").exists()


def test_the_command_line_is_the_settings() -> None:
    chosen = parser().parse_args(["--input", "a", "--output", "b", "--top-k", "3", "--candidates"])
    settings = Settings.of(**vars(chosen))
    assert settings == Settings.of(input="a", output="b", top_k=3, candidates=True)
    text = parser().format_help()
    assert "default: 512 px" in text
    assert "default: 10.0 s" in text


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize("option", ["resume", "retry"])
def test_a_run_that_does_not_exist_is_wrong_usage(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_scenes(tmp_path / "in", 1)
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), "--local"]
    assert main([*arguments, f"--{option}", "nope"]) == 2
    assert "there is no run nope" in capsys.readouterr().err


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--input", "", "is empty: name a folder or an address"),
        ("--input", "absent/", "is wrong: nothing found in 'absent/': "),
        ("--input", "s3://", "is wrong: 's3://' names no bucket"),
        ("--input", "list.csv", "is wrong: 'list.csv' cannot be read as a list: it names "),
        ("--output", "", "is empty: name a folder or an address"),
        ("--output", "list.csv", "is wrong: {folder}/list.csv is a file; "),
        ("--output", "in/out", "is wrong: the output 'in/out' lies inside the input 'in'"),
        ("--ratios", "1;1", "is wrong: '1;1' is not a shape: write W:H such as 16:9"),
        ("--resume", "nope", "is wrong: there is no run nope in "),
        ("--retry", "nope", "is wrong: there is no run nope in "),
        ("--weights", "startr", "is wrong: there is no weights file startr; did you mean starter?"),
        ("--weights", "list.csv", "is wrong: list.csv: neither a safetensors file nor "),
        ("--detector", "yolo", "is wrong: no detector 'yolo': use embedded, boxes, "),
        ("--input", "http://[in", "is wrong: an argument is no address: the host in it is not "),
        ("--output", "s3://[out", "is wrong: an argument is no address: the host in it is not "),
        ("--overrides", "http://[o/o.csv", "cannot be read: an argument is no address: "),
        ("--metrics-host", "no.invalid", "'no.invalid' is no address of this machine: "),
        ("--metrics-host", "192.0.2.1", "'192.0.2.1' is no address of this machine: Cannot "),
        ("--metrics-host", "", "is empty: leave it out for 127.0.0.1, or name an address"),
        ("--metrics-host", "a..b", "'a..b' is no address of this machine: "),
        ("--openlineage", "ftp://x", "'ftp://x' is neither a file nor an http(s) address"),
        ("--openlineage", "http://", "'http://' is no http(s) address: "),
        ("--openlineage", "http://[x", "is wrong: an argument is no address: the host in it "),
        ("--openlineage", "http://u:p@h/", "is wrong: an argument contains user:password@. "),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_option(
    option: str, value: str, problem: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "in", 1)
    (tmp_path / "list.csv").write_text("uri,uri\na,b\n")
    given = {"--input": "in", "--output": "out", option: value}
    words = [word for pair in given.items() for word in pair]
    assert main([*words, "--local", "--dry-run"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f": {option} {problem.format(folder=tmp_path)}" in told
