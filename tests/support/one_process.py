"""Run a job in this process, one task after another, as `pipeline.run` does on a cluster."""

import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa

from pipeline.cropping.build import engine_of
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.weights import Weights
from pipeline.job import commit, plan
from pipeline.ledger.figures import add_figures
from pipeline.ledger.records import Manifest
from pipeline.report.progress import Log
from pipeline.settings import CroppingSettings, InputSettings, RunningSettings, Settings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.task import TaskSummary
from pipeline.stages.wire import unpack_summaries
from pipeline.stages.worker import Job


def settings_of(folder: Path, **changes: Any) -> Settings:
    """Make settings for two small shapes, from a folder to its sibling `out`; all is kept."""
    asked = {"ratios": "1:1,16:9", "thumbnail_size": 48, "preview": 32, "candidates": True}
    places = {"input": str(folder), "output": str(folder.parent / "out")}
    return Settings.of(**{**places, **asked, **changes})


def _kept_engine(
    settings: Settings, weights: Weights, device: str, images: Callable[[], int]
) -> CropEngine:
    """Return a job's engine, perhaps one of an earlier job: making one takes a second."""
    running = settings.running.runtime, settings.running.compile
    return _engine(settings.cropping, settings.input.detector, *running, weights, device)


@lru_cache(maxsize=2)
def _engine(
    cropping: CroppingSettings, detector: str, runtime: str, compiles: str, weights: Weights,
    device: str,
) -> CropEngine:  # fmt: skip
    input_settings = InputSettings(detector=detector)
    running = RunningSettings(runtime=runtime, compile=compiles)
    settings = Settings(input=input_settings, cropping=cropping, running=running)
    return engine_of(settings, weights, device, lambda: 0)


def work(pending: list[int], job: Job) -> Iterator[TaskSummary]:
    """Do tasks of a job; the caller ends the decoding child (`end_worker`)."""
    with mock.patch("pipeline.stages.crop.engine_of", _kept_engine):
        score = DetectScore(job, "cpu")
    for task in pending:
        block = score(read_decode(pa.table({"task": [task]}), job))
        yield from unpack_summaries(cut_encode_commit(block, job))


def run_here(settings: Settings) -> Manifest:
    """Plan, run and commit a job; returns its run's manifest."""
    log = Log(stream=io.StringIO())
    job, ledger = plan(settings, log).begin()
    figures = [done.metrics for done in work(ledger.pending(), job)]
    commit(job, ledger, log, add_figures(figures), {})
    manifest = ledger.manifest
    assert manifest is not None
    return manifest
