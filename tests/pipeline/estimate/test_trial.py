"""A sample is processed like the run would be, and leaves nothing behind."""

import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.estimate.forecast import Forecast
from pipeline.estimate.formatting import document
from pipeline.estimate.trial import Work, estimate
from pipeline.job import plan
from pipeline.ledger.figures import Figures
from pipeline.report.costs import Machines
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.task import TaskSummary
from pipeline.stages.worker import Job
from pipeline.storage.sample import SampleStore
from tests.support.odd_photos import scene
from tests.support.one_process import run_here, work

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

torch.set_num_threads(1)
PHOTOS = 6


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "in").mkdir()
    for number in range(PHOTOS - 1):
        picture = np.roll(scene(120 + 20 * number, 100), 9 * number, axis=1)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.jpg")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    return Settings.of(
        input=str(tmp_path / "in"), output=str(tmp_path / "out"), ratios="1:1,circle",
        weights="untrained", task_images=1, thumbnail_size=64, crop_files=True,
    )  # fmt: skip


def as_sent(pending: list[int], job: Job) -> Iterator[TaskSummary]:
    """The stages in this process, with a job as Ray sends it to a worker."""
    return work(pending, pickle.loads(pickle.dumps(job)))


def start() -> tuple[Machines, Work]:
    return Machines(cores=1, gpus=0, actors=1, device="cpu"), as_sent


def estimated(settings: Settings) -> Forecast:
    return estimate(plan(settings, Log(stream=io.StringIO())), Log(stream=io.StringIO()), start)


def written(figures: Figures) -> int:
    return sum(cost.written_bytes for cost in figures.costs.values())


def test_nothing_is_written_anywhere(settings: Settings, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    estimated(settings)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_sample_of_all_photos_tells_what_the_run_then_does(settings: Settings) -> None:
    """Not the times, which differ from run to run, but all that can be counted."""
    told = estimated(settings)
    figures = run_here(settings).metrics
    assert (told.photos, told.sampled) == (PHOTOS, PHOTOS)
    assert told.crops.value == figures.crops == 2 * (PHOTOS - 1)
    assert told.failed.value == 1
    assert list(told.by_status) == ["unsupported_format"] == list(set(figures.statuses) - {"ok"})
    assert told.read_bytes.value == figures.bytes
    assert told.puts.value == figures.requests["put"] + 2, "and two lists"
    # Each record is read at the commit; a worker that is new reads the spec and the list, once.
    assert figures.requests["get"] <= told.gets.value - PHOTOS <= figures.requests["get"] + 2
    assert told.written_bytes.value == pytest.approx(written(figures), rel=0.01), "but for floats"
    assert told.cpu_hours.value > 0
    assert told.wall_s.value > 0
    json.dumps(document(told))


def test_what_a_sample_writes_is_counted_and_not_kept() -> None:
    plan_store = SampleStore({}, keep=True)
    plan_store.probe_create_once()
    plan_store.write("a/b", b"12")
    worker = plan_store.__reduce__()
    copy = worker[0](*worker[1])
    assert copy.read("a/b") == b"12"
    copy.write("c", b"3")
    assert copy.create_once("d", b"4")
    assert not copy.exists("c")
    assert not copy.exists("d")
    assert not copy.create_once("a/b", b"other"), "what is there is not overwritten"
    assert copy.requests["put"] == 3
    assert [info.key for info in copy.list("a/")] == ["a/b"]
    assert copy.folders("") == ("a", "runs")
