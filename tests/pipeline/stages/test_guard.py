"""Notes that a dying worker leaves: who takes over knows which image it was busy with."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages import guard
from pipeline.stages.wire import new_row

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.tempfile, "gettempdir", lambda: str(tmp_path))


def task(count: int) -> list[dict[str, Any]]:
    return [new_row(7, {"image_id": str(n), "uri": str(n)}) for n in range(count)]


def die_on(images: list[dict[str, Any]], index: int) -> None:
    """A worker that is gone while it works on the image `index`."""
    for row in guard.one_by_one(images, "score", "run", 60):
        if row["image_id"] == str(index):
            return


def test_an_image_that_three_workers_died_on_is_given_up() -> None:
    for _ in range(guard.DEATHS):
        images = task(4)
        die_on(images, 2)
        assert {row["status"] for row in images} == {"ok"}
    images = task(4)
    seen = [row["image_id"] for row in guard.one_by_one(images, "score", "run", 60)]
    assert seen == ["0", "1", "3"]
    assert [row["status"] for row in images] == ["ok", "ok", "worker_died", "ok"]
    assert (images[2]["error_stage"], images[2]["error_kind"]) == ("score", "transient")


def test_deaths_on_different_images_or_tasks_are_not_added_up() -> None:
    for index in (0, 1, 2, 3):
        die_on(task(4), index)
    other = [{**row, "task": 8} for row in task(4)]
    for images in (task(4), other):
        list(guard.one_by_one(images, "score", "run", 60))
        assert {row["status"] for row in images} == {"ok"}


def test_a_task_that_ends_well_leaves_no_note(tmp_path: Path) -> None:
    list(guard.one_by_one(task(3), "score", "run", 60))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_failed_images_are_passed_over() -> None:
    images = task(2)
    images[0]["status"] = "corrupt"
    assert [r["image_id"] for r in guard.one_by_one(images, "score", "run", 60)] == ["1"]


def test_a_torn_note_is_no_note(tmp_path: Path) -> None:
    die_on(task(2), 0)
    (note,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    note.write_text('{"0": ["worker')
    assert len(list(guard.one_by_one(task(2), "score", "run", 60))) == 2


def test_a_worker_that_is_busy_for_too_long_ends_itself(tmp_path: Path) -> None:
    program = (
        "import tempfile, time; from pipeline.stages import guard\n"
        "from pipeline.stages.wire import new_row\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "rows = [new_row(7, {'image_id': '0', 'uri': '0'})]\n"
        "for row in guard.one_by_one(rows, 'score', 'run', 0.2): time.sleep(60)\n"
    )
    for _ in range(guard.DEATHS):
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=30)
        assert done.returncode == guard.EXIT_CODE
    images = task(1)
    assert list(guard.one_by_one(images, "score", "run", 60)) == []
    assert images[0]["status"] == "timeout"
