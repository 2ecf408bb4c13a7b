"""Which images a job takes on: what is left, the rest of a run, or a run's failures."""

import io
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import LedgerError, UsageError
from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings
from tests.support.tasks import done, run_all


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(4):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


def settings(photos: Path, **options: object) -> Settings:
    given = {"weights": "untrained", "task_images": 2, "ratios": "1:1", **options}
    return Settings.of(input=str(photos), output=str(photos.parent / "out"), **given)


@pytest.fixture
def log() -> Log:
    return Log(stream=io.StringIO())


def test_a_run_that_was_stopped_is_gone_on_with(photos: Path, log: Log) -> None:
    job, ledger = plan(settings(photos), log).begin()
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    Image.new("RGB", (8, 8)).save(photos / "another.png")
    again = plan(settings(photos, resume=job.run_id, task_images=9), log)
    assert "4 resumed" in again.message
    assert again.begin()[1].pending() == [1]
    assert plan(settings(photos), log).begin()[0].run_id != job.run_id
    with pytest.raises(LedgerError, match="the setting top_k was 1 and is now 2"):
        plan(settings(photos, resume=job.run_id, top_k=2), log)


def test_failures_are_repaired_by_a_run_of_their_own(photos: Path, log: Log) -> None:
    job, ledger = plan(settings(photos), log).begin()
    run_all(ledger, failed={0: "transient", 1: "permanent"})
    retry = plan(settings(photos, retry=job.run_id), log)
    assert [Path(u).name for u in retry.todo.inputs["uri"].to_pylist()] == ["0.png", "2.png"]
    assert retry.todo.spec.parent == job.run_id
    assert retry.begin()[0].run_id != job.run_id
    both = plan(settings(photos, retry=job.run_id, retry_kind="all"), log)
    assert both.todo.inputs.num_rows == 4
    with pytest.raises(UsageError, match="choose one"):
        settings(photos, retry=job.run_id, resume=job.run_id)


def test_a_damaged_run_is_named_and_its_photos_are_done_again(photos: Path, log: Log) -> None:
    job, ledger = plan(settings(photos), log).begin()
    run_all(ledger)
    assert plan(settings(photos), log).message.startswith("nothing to do: 4 photos")
    manifest = photos.parent / "out" / "runs" / job.run_id / "_MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes()[:99])
    told = io.StringIO()
    again = plan(settings(photos), Log(stream=told))
    assert again.todo.inputs.num_rows == 4
    (warning,) = (line for line in told.getvalue().splitlines() if job.run_id in line)
    assert warning.startswith(f"WARNING: run {job.run_id} covers nothing: runs/{job.run_id}/_MANI")
    assert again.begin()[0].run_id != job.run_id
