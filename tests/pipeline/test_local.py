"""A job in processes on this machine: the same rows, whatever dies, and no Ray."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import psutil
import pyarrow as pa
import pytest
from PIL import Image

from pipeline import open_run, run
from pipeline.errors import LedgerError
from pipeline.extras import EXTRA_OF
from pipeline.job import plan
from pipeline.local import WorkerPool, WorkerProcess, local_workers
from pipeline.report.progress import Log
from pipeline.run import TaskWorkers, crop_bucket
from pipeline.settings import RunningSettings, Settings
from pipeline.stages.worker import end_worker
from pipeline.stop import Drained, Stop
from tests.support.fresh import ROOT, packages_loaded
from tests.support.odd_photos import scene
from tests.support.one_process import run_here, work

QUICK = {"ratios": "1:1,circle", "thumbnail_size": 64, "weights": "untrained"}
# Of another attempt: when it was, and what it took.
OF_TIMES = {"processed_at", "read_s", "decode_s", "detect_s", "score_s", "encode_s"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(8):
        picture = np.roll(scene(160 + 10 * number, 120), 9 * number, axis=1)
        Image.fromarray(picture).save(folder / f"{number}.jpg")
    (folder / "lie.jpg").write_text("not a picture")
    return folder


@pytest.fixture(autouse=True)
def _own_child_ends() -> Iterator[None]:
    yield
    end_worker()


def settings(photos: Path, output: str = "out", **options: Any) -> Settings:
    given = {**QUICK, "local": True, "num_actors": 2, **options}
    return Settings.of(input=str(photos), output=str(photos.parent / output), **given)


def rows(output: Path) -> dict[str, pa.Table]:
    """Every table of what is live, times apart, sorted."""
    run = open_run(str(output))
    tables = {"images": run.images(), "crops": run.crops(), "previews": run.previews()}
    return {name: in_order(table) for name, table in tables.items()}


def in_order(table: pa.Table) -> pa.Table:
    names = table.column_names
    order = [(one, "ascending") for one in ("image_id", "ratio", "rank") if one in names]
    return table.drop_columns([one for one in names if one in OF_TIMES]).sort_by(order)


def test_the_rows_are_those_of_one_process(photos: Path) -> None:
    told = io.StringIO()
    assert crop_bucket(settings(photos, task_images=2), Log(stream=told)) == "done"
    assert "2 processes of one thread" in told.getvalue()
    where, *code = told.getvalue().splitlines()[-3:]
    assert where.startswith(f"the result lies in {photos.parent}/out, run ")
    run_id = open_run(f"{photos.parent}/out").manifest["run_id"]
    assert f"`runs.py gallery {photos.parent}/out {run_id}`" in where
    assert "earlier runs" not in told.getvalue()
    names: dict[str, Any] = {}
    exec("\n".join(line.strip() for line in code), names)
    assert names["crops"].num_rows == 16
    run_here(settings(photos, "one", task_images=64))
    ours, theirs = rows(photos.parent / "out"), rows(photos.parent / "one")
    assert ours["images"].num_rows == 9
    assert ours["crops"].num_rows == 16
    for name, table in ours.items():
        assert table.equals(theirs[name]), name


def test_a_run_begun_elsewhere_is_gone_on_with(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: of five tasks with nine photos, three with five photos are left."""
    given = settings(photos, task_images=2)
    log = Log(stream=io.StringIO())
    job, ledger = plan(given, log).begin()
    assert [one.task for one in work([0, 3], job)] == [0, 3]
    told, asked = io.StringIO(), []
    start = run.start

    def noted(settings: RunningSettings, tasks: int, photos: int, *more: Any) -> TaskWorkers:
        asked.append((tasks, photos))
        return start(settings, tasks, photos, *more)

    monkeypatch.setattr(run, "start", noted)
    assert crop_bucket(given, Log(stream=told)) == "done"
    assert asked == [(3, 5)]
    assert "2 of 5 tasks are done already" in told.getvalue()
    assert open_run(given.running.output).manifest["run_id"] == ledger.run_id


def test_a_process_that_is_killed_is_replaced(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9, as for want of memory, and SIGTERM, as before a machine is taken away."""
    given = settings(photos, task_images=1)
    job, ledger = plan(given, Log(stream=io.StringIO())).begin()
    numbers, done = [signal.SIGKILL, signal.SIGTERM], []
    at_work: list[int] = []  # one that still starts would end the job
    give = WorkerPool._give

    def noted(self: WorkerPool, worker: WorkerProcess) -> None:
        at_work.append(worker.process.pid)
        give(self, worker)

    monkeypatch.setattr(WorkerPool, "_give", noted)
    for summary in local_workers(2, 9).work(deque(ledger.pending()), job, Stop()):
        done.append(summary.task)
        if numbers and len(done) in (1, 4):
            alive = {one.pid for one in _workers()}
            os.kill(next(pid for pid in reversed(at_work) if pid in alive), numbers.pop())
    assert not numbers
    assert sorted(done) == list(range(9))
    assert ledger.pending() == []
    assert not _workers(), "they end with the work"


def _workers() -> list[psutil.Process]:
    """The processes of the pool: those that the fork server has made."""
    servers = [
        one
        for one in psutil.Process().children()
        if "multiprocessing.forkserver" in " ".join(one.cmdline())
    ]
    return [one for server in servers for one in server.children()]


def test_tasks_that_no_process_survives_end_the_job(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(photos, task_images=64)
    job, ledger = plan(given, Log(stream=io.StringIO())).begin()
    pool = "pipeline.local.WorkerPool"

    monkeypatch.setattr("pipeline.local.DEATHS", 0)
    for number, name in ((signal.SIGKILL, "SIGKILL, perhaps for"), (40, "signal 40$")):

        def end_at_once(self: Any, worker: Any, number: int = number) -> None:
            os.kill(worker.process.pid, number)

        monkeypatch.setattr(f"{pool}._give", end_at_once)
        with pytest.raises(LedgerError, match=f"not survive task 0: .* by {name}"):
            list(local_workers(1, 1).work(deque([0]), job, Stop()))
    assert ledger.pending() == [0]


def test_what_a_process_raised_is_the_cause(photos: Path) -> None:
    given = settings(photos)
    job, ledger = plan(given, Log(stream=io.StringIO())).begin()
    (spec,) = (photos.parent / "out").glob("runs/*/spec.json")
    spec.write_text("{}")
    with pytest.raises(LedgerError, match=r"could not continue: runs/.*/spec\.json cannot be"):
        list(local_workers(2, 2).work(deque(ledger.pending()), job, Stop()))


def test_a_task_removed_from_pending_is_not_started(photos: Path) -> None:
    job, ledger = plan(settings(photos, task_images=1), Log(stream=io.StringIO())).begin()
    pending, done = deque(ledger.pending()), []
    for summary in local_workers(2, 9).work(pending, job, Stop()):
        done.append(summary.task)
        pending.clear()
    assert 1 <= len(done) <= 3
    assert {*done} | {*ledger.pending()} == {*range(9)}


def test_nothing_is_begun_once_the_job_is_asked_to_stop(photos: Path) -> None:
    job, ledger = plan(settings(photos, task_images=1), Log(stream=io.StringIO())).begin()
    stop, done = Stop(), []

    def do_some() -> None:
        for summary in local_workers(2, 9).work(deque(ledger.pending()), job, stop):
            done.append(summary.task)
            stop.asked = True

    with pytest.raises(Drained):
        do_some()
    assert 1 <= len(done) <= 3
    assert len(ledger.pending()) == 9 - len(done), "what was begun is on record"


def local_job(photos: Path, *more: str) -> subprocess.Popen[str]:
    """The command as a process of its own. A killed one leaves the folder of its sockets."""
    command = [sys.executable, "jobs/crop_bucket.py", "--input", str(photos), "--output",
               str(photos.parent / "out"), "--ratios", "1:1", "--thumbnail-size", "64",
               "--weights", "untrained", "--local", "--task-images", "1", *more]  # fmt: skip
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1",
                   "TMPDIR": str(photos.parent)}  # fmt: skip
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def wait_for_records(photos: Path, process: subprocess.Popen[str], count: int) -> None:
    while len(list((photos.parent / "out").glob("runs/*/tasks/*.json"))) < count:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        (signal.SIGKILL, -9),
    ],
)
def test_ctrl_c_and_kills_leave_what_is_on_record(
    photos: Path, number: signal.Signals, code: int
) -> None:
    """Ctrl-C goes to the whole group of a terminal, the others to the process alone."""
    for copy in range(12):
        (photos / f"copy-{copy}.jpg").write_bytes((photos / "1.jpg").read_bytes() + b" " * copy)
    process = local_job(photos)
    family = [psutil.Process(process.pid)]
    wait_for_records(photos, process, 2)
    family += family[0].children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    if number != signal.SIGKILL:
        assert "the same command goes on from here" in output
        assert "Traceback" not in output
    assert not psutil.wait_procs(family, 15)[1], "nothing is left running"
    begun = len(list((photos.parent / "out").glob("runs/*/tasks/*.json")))
    assert 2 <= begun < 21
    output, _ = (again := local_job(photos)).communicate(timeout=120)
    assert again.returncode == 0, output
    (told,) = re.findall(r"(\d+) of 21 tasks are done already", output)
    assert int(told) >= 2
    assert open_run(str(photos.parent / "out")).images().num_rows == 21


FORKED_FROM = "multiprocessing.forkserver"


def signals_of(process: psutil.Process, row: str) -> set[str]:
    """Names of the signals that a process blocks (SigBlk) or ignores (SigIgn)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = re.findall(rf"{row}:\s*([0-9a-f]+)", status)
    return {one.name for one in signal.Signals if int(mask, 16) >> (one - 1) & 1}


def group(leader: int) -> list[int]:
    """The processes of a group, those apart that have ended and that nobody has asked about."""
    found = []
    for one in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if os.getpgid(one.pid) == leader and one.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(one.pid)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_to_all_while_workers_load_is_answered_by_the_job(
    photos: Path, number: signal.Signals, code: int
) -> None:
    """Of a terminal, of `timeout`, of a batch system; the job waits for its first process then."""
    job = local_job(photos)
    assert job.stdout is not None
    output = ""
    while "of one thread on" not in output:
        line = job.stdout.readline()
        assert line, output
        output += line
    children = psutil.Process(job.pid).children()
    (server,) = (one for one in children if FORKED_FROM in " ".join(one.cmdline()))
    assert "SIGINT" not in signals_of(server, "SigIgn"), "it is not ready, or it would ignore it"
    os.killpg(job.pid, number)
    output += job.communicate(timeout=60)[0]
    assert job.returncode == code, output
    assert "Traceback" not in output
    assert "the same command goes on from here" in output
    psutil.wait_procs([server], 15)
    assert not group(job.pid), "nothing is left running"


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_a_process_that_is_killed_with_the_job_has_no_successor(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is killed before its second task, as all of a group are; it holds no signal back."""
    job, ledger = plan(settings(photos, task_images=1), Log(stream=io.StringIO())).begin()
    stop, give, start = Stop(), WorkerPool._give, WorkerPool._start
    given, started = [], []

    def killed(self: WorkerPool, worker: WorkerProcess) -> None:
        given.append(worker.task)
        if len(given) == 2:
            process = psutil.Process(worker.process.pid)
            assert signals_of(process, "SigBlk").isdisjoint({"SIGINT", "SIGTERM"})
            process.send_signal(signal.SIGTERM)
            process.wait(15)
            stop.asked = True
        give(self, worker)

    def noted(self: WorkerPool, *about: Any) -> None:
        started.append(1)
        start(self, *about)

    monkeypatch.setattr(WorkerPool, "_give", killed)
    monkeypatch.setattr(WorkerPool, "_start", noted)
    with pytest.raises(Drained):
        list(local_workers(1, 9).work(deque(ledger.pending()), job, stop))
    assert ledger.pending() == list(range(1, 9))
    assert started == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_processes_that_nobody_forks_are_told_or_not_missed(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, ledger = plan(settings(photos), Log(stream=io.StringIO())).begin()
    stop = Stop()

    def ended(_: int, asked: bool) -> NoReturn:
        stop.asked = asked
        raise EOFError("unexpected EOF")

    for asked, error, told in (
        (False, LedgerError, "forked from was ended"),
        (True, Drained, None),
    ):
        patched = partial(ended, asked=asked)
        monkeypatch.setattr("multiprocessing.forkserver.read_signed", patched)
        with pytest.raises(error, match=told):
            list(local_workers(2, 2).work(deque(ledger.pending()), job, stop))


@pytest.mark.parametrize("weights", ["default", "untrained"])
def test_ray_is_not_needed_and_the_job_itself_loads_no_torch(weights: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(scene(120, 90)).save(tmp_path / "in" / "0.png")
    source = (
        "import sys\nfrom pipeline.cli.crop import main\n"
        "where = ['--input', sys.argv[1], '--output', sys.argv[2]]\n"
        "assert main([*where, '--local', '--weights', sys.argv[3]]) == 0\n"
    )
    folders = [str(tmp_path / "in"), str(tmp_path / "out")]
    # a plain installation
    loaded = packages_loaded(source, [*folders, weights], hidden=EXTRA_OF.keys())
    assert not loaded & {"ray", "torch", "torchvision"}
    assert open_run(folders[1]).crops().num_rows == 6
