"""Photos of a block detected in one batch, when that pays, and what a failure then costs."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.errors import DetectError
from pipeline.job import plan
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages import worker_deaths
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.wire import unpack
from pipeline.stages.worker import Job
from tests.support.block_transfer import write_scenes

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")


def decoded_block(folder: Path, count: int) -> tuple[Job, pa.Table]:
    write_scenes(folder / "in", count)
    settings = Settings.of(input=str(folder / "in"), output=str(folder / "out"), ratios="1:1")
    job, ledger = plan(settings, Log("json", io.StringIO())).begin()
    return job, read_decode(pa.table({"task": ledger.pending()}), job)


def failing_on_the_second(job: Job, error: Exception) -> tuple[DetectScore, list[int]]:
    """A scorer of batches that fails on all photos of a block, and then on the second alone.

    The list gets the number of photos of each call.
    """
    score, calls = DetectScore(job, "cpu"), list[int]()
    score.batches = True
    one_call = score.engine.source.objects

    def objects(photos: Any, given: Any) -> Any:
        calls.append(len(photos))
        if len(calls) in (1, 3):
            raise error
        return one_call(photos, given)

    score.engine.source.objects = objects  # type: ignore[method-assign]
    return score, calls


def test_photos_of_a_block_are_detected_together_where_that_pays(tmp_path: Path) -> None:
    job, block = decoded_block(tmp_path, 3)
    score = DetectScore(job, "cpu")
    assert not score.batches  # on a CPU each photo alone
    alone = score(block)
    score.batches = True
    calls, one_call = [], score.engine.source.objects

    def objects(photos: Any, given: Any) -> Any:
        calls.append(len(photos))
        return one_call(photos, given)

    score.engine.source.objects = objects  # type: ignore[method-assign]
    together = score(block)
    assert calls == [3]
    for row, other in zip(unpack(together).rows, unpack(alone).rows, strict=True):
        assert (row.status, row.crops) == (other.status, other.crops)
        assert row.objects is not None
        assert other.objects is not None
        assert row.objects.labels == other.objects.labels
        np.testing.assert_array_equal(row.objects.boxes, other.objects.boxes)
        np.testing.assert_array_equal(row.objects.scores, other.objects.scores)


def test_a_batch_that_fails_is_done_again_one_by_one(tmp_path: Path) -> None:
    job, block = decoded_block(tmp_path, 3)
    score, calls = failing_on_the_second(job, DetectError("no_luck", "a bad picture"))
    done = score(block)
    assert calls == [3, 1, 1, 1]
    assert [row.status for row in unpack(done).rows] == ["ok", "no_luck", "ok"]


def test_a_batch_that_fails_in_an_unforeseen_way_costs_one_photo(tmp_path: Path) -> None:
    job, block = decoded_block(tmp_path, 3)
    score, calls = failing_on_the_second(job, ValueError("operands could not be broadcast"))
    rows = unpack(score(block)).rows
    assert calls == [3, 1, 1, 1]
    assert [row.status for row in rows] == ["ok", "internal_error", "ok"]


def test_a_batch_too_large_for_the_gpu_is_done_in_single_photos(tmp_path: Path) -> None:
    """Only the photo that does not fit by itself fails, and another night tries it again."""
    job, block = decoded_block(tmp_path, 3)
    lacks = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    score, calls = failing_on_the_second(job, lacks)
    rows = unpack(score(block)).rows
    assert calls == [3, 1, 1, 1]
    assert [row.status for row in rows] == ["ok", "out_of_memory", "ok"]
    assert rows[1].failure is not None
    assert (rows[1].failure.stage, rows[1].failure.kind) == ("detect", "transient")


def test_after_a_worker_died_on_a_task_nothing_is_batched(tmp_path: Path) -> None:
    job, block = decoded_block(tmp_path, 2)
    score = DetectScore(job, "cpu")
    score.batches = True
    task = unpack(block)
    next(worker_deaths.one_by_one(task, "score", job.run_id, 60))  # and it never comes back
    assert worker_deaths.died_before(task, "score", job.run_id)
    calls, one_call = [], score.engine.source.objects

    def objects(photos: Any, given: Any) -> Any:
        calls.append(len(photos))
        return one_call(photos, given)

    score.engine.source.objects = objects  # type: ignore[method-assign]
    score(block)
    assert calls == [1, 1]
    assert not worker_deaths.died_before(task, "score", job.run_id)
