"""Notes that a dying worker leaves: its successor knows which image it was processing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.stages import worker_deaths
from pipeline.stages.task import PhotoRow, Task

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_deaths.tempfile, "gettempdir", lambda: str(tmp_path))


def make_task(count: int, number: int = 7) -> Task:
    return Task(number, [PhotoRow(image_id=str(n), uri=str(n)) for n in range(count)])


def ids(task: Task) -> list[str]:
    return [row.image_id for row in worker_deaths.one_by_one(task, "score", "run", 60)]


def statuses(task: Task) -> list[str]:
    return [row.status for row in task.rows]


def die_on(task: Task, index: int) -> None:
    """A worker that is gone while it works on the photo `index`."""
    for row in worker_deaths.one_by_one(task, "score", "run", 60):
        if row.image_id == str(index):
            return


def test_a_photo_that_three_workers_died_on_is_given_up() -> None:
    for _ in range(3):
        task = make_task(4)
        die_on(task, 2)
        assert set(statuses(task)) == {"ok"}
    task = make_task(4)
    assert ids(task) == ["0", "1", "3"]
    assert statuses(task) == ["ok", "ok", "worker_died", "ok"]
    failure = task.rows[2].failure
    assert failure is not None
    assert (failure.stage, failure.kind) == ("score", "transient")


def test_a_photo_that_two_workers_died_on_is_tried_again() -> None:
    for _ in range(2):
        die_on(make_task(4), 2)
    task = make_task(4)
    assert ids(task) == ["0", "1", "2", "3"]
    assert set(statuses(task)) == {"ok"}


def test_a_worker_that_the_kernel_ended_for_memory_is_no_death_of_its_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kills = [5]
    monkeypatch.setattr(worker_deaths, "kernel_kills", lambda: kills[0])
    for _ in range(worker_deaths.OTHER_ENDS - 3):
        die_on(make_task(4), 2)
        kills[0] += 1
    for _ in range(2):
        die_on(make_task(4), 2)
    task = make_task(4)
    assert ids(task) == ["0", "1", "2", "3"]  # two deaths, and nine that do not count
    for _ in range(3):
        die_on(make_task(4), 2)
    task = make_task(4)
    assert ids(task) == ["0", "1", "3"]
    assert statuses(task)[2] == "worker_died"


def test_a_worker_that_ended_while_memory_was_short_is_no_death_of_its_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_deaths, "POLL_S", 0.01)
    monkeypatch.setattr(worker_deaths, "kernel_kills", lambda: 0)
    monkeypatch.setattr(worker_deaths, "is_short", lambda: True)
    note = worker_deaths._path("run", 7, "score")

    def die_starved(times: int) -> None:
        busy = worker_deaths.one_by_one(make_task(1), "score", "run", 60)
        next(busy)
        end = time.monotonic() + 10
        while note.read_text().count("no_memory") < times and time.monotonic() < end:
            time.sleep(0.01)
        left = note.read_bytes()
        busy.close()
        note.write_bytes(left)

    for times in range(worker_deaths.OTHER_ENDS):
        die_starved(times + 1)
    task = make_task(1)
    assert ids(task) == []
    assert statuses(task) == ["out_of_memory"]
    assert task.rows[0].failure is not None
    assert task.rows[0].failure.kind == "transient"


def test_a_job_that_was_stopped_is_no_death_of_its_photo() -> None:
    """The same command continues in another session. Two workers had died before, in the first."""
    for session in ("one", "one", "one", "two", "three", "four"):
        task = make_task(4)
        next(worker_deaths.one_by_one(task, "score", "run", 60, session))
        assert set(statuses(task)) == {"ok"}
    task = make_task(4)
    assert [row.image_id for row in worker_deaths.one_by_one(task, "score", "run", 60, "five")] == [
        "0", "1", "2", "3"
    ]  # fmt: skip


def test_a_photo_that_ends_whole_jobs_is_given_up_in_the_end() -> None:
    """As one that ends its machine, with the job on it."""
    for number in range(worker_deaths.OTHER_ENDS):
        next(worker_deaths.one_by_one(make_task(2), "score", "run", 60, f"session {number}"))
    task = make_task(2)
    assert [row.image_id for row in worker_deaths.one_by_one(task, "score", "run", 60, "last")] == [
        "1"
    ]
    assert statuses(task) == ["worker_died", "ok"]


def test_a_note_of_an_earlier_release_counts(tmp_path: Path) -> None:
    note = worker_deaths._path("run", 7, "score")
    note.write_text('{"busy": ["0", "999999"], "0": ["worker_died", "worker_died", "worker_died"]}')
    assert ids(make_task(2)) == ["1"]


def test_deaths_on_different_photos_or_tasks_are_not_added_up() -> None:
    for index in (0, 1, 2, 3):
        die_on(make_task(4), index)
    for task in (make_task(4), make_task(4, number=8)):
        assert ids(task) == ["0", "1", "2", "3"]
        assert set(statuses(task)) == {"ok"}


def test_a_task_that_ends_well_leaves_no_note(tmp_path: Path) -> None:
    ids(make_task(3))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_failed_photos_are_passed_over() -> None:
    task = make_task(2)
    task.rows[0].fail("decode", "corrupt", "permanent", "no photo")
    assert ids(task) == ["1"]


def test_a_torn_note_is_no_note(tmp_path: Path) -> None:
    die_on(make_task(2), 0)
    (note,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    note.write_text('{"0": ["worker')
    assert len(ids(make_task(2))) == 2


def test_a_worker_that_is_busy_for_too_long_ends_itself(tmp_path: Path) -> None:
    program = (
        "import tempfile, time; from pipeline.stages import worker_deaths\n"
        "from pipeline.stages.task import PhotoRow, Task\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "task = Task(7, [PhotoRow(image_id='0', uri='0')])\n"
        "for row in worker_deaths.one_by_one(task, 'score', 'run', 0.2): time.sleep(60)\n"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=30)
        assert done.returncode == worker_deaths.EXIT_CODE
    task = make_task(1)
    assert ids(task) == []
    assert statuses(task) == ["timeout"]


def test_a_full_disk_before_a_photo_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(LedgerError, match=rf"^{tmp_path}/\S+ takes no file \(No space .* TMPDIR"):
        ids(make_task(1))


def test_a_full_disk_does_not_end_the_watch_over_a_worker(tmp_path: Path) -> None:
    """The disk is full from the photo's start on; memory becomes short in the meantime."""
    program = (
        "import tempfile, time; from pipeline.stages import worker_deaths\n"
        "from pipeline.stages.task import PhotoRow, Task\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "def full(*about, **more): raise OSError(28, 'No space left on device')\n"
        "task = Task(7, [PhotoRow(image_id='0', uri='0')])\n"
        "worker_deaths.POLL_S, worker_deaths.is_short = 0.05, lambda: True\n"
        "for row in worker_deaths.one_by_one(task, 'score', 'run', 1):\n"
        "    worker_deaths.Path.write_text = full\n"
        "    time.sleep(20)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=30)
    assert done.returncode == worker_deaths.EXIT_CODE


def test_a_photo_that_is_done_in_time_leaves_no_timer(tmp_path: Path) -> None:
    program = (
        "import tempfile, time; from pipeline.stages import worker_deaths\n"
        "from pipeline.stages.task import PhotoRow, Task\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "task = Task(7, [PhotoRow(image_id=str(n), uri=str(n)) for n in range(3)])\n"
        "for row in worker_deaths.one_by_one(task, 'score', 'run', 1): pass\n"
        "time.sleep(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=30)
    assert done.returncode == 0


@pytest.mark.parametrize("how", ["open to others", "a link", "a stranger's"])
def test_notes_are_kept_in_a_folder_of_this_user_alone(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"s2cnet-{os.getuid()}"
    if how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o700)
    if how == "open to others":
        folder.chmod(0o777)
    if how == "a stranger's":
        user = os.getuid()
        monkeypatch.setattr(worker_deaths.tempfile, "gettempdir", lambda: str(tmp_path))
        monkeypatch.setattr(worker_deaths.os, "getuid", lambda: user + 1)
        folder.rename(tmp_path / f"s2cnet-{user + 1}")
    with pytest.raises(LedgerError, match="workers keep notes there; remove it"):
        ids(make_task(1))
