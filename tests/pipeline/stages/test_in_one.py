"""Scoring and committing in one worker records the same as two workers do."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from pipeline import open_run
from pipeline.job import commit, plan
from pipeline.ledger.audit import verify_run
from pipeline.ledger.figures import add_figures
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.in_one import DetectScoreCommit
from pipeline.stages.read import read_decode
from pipeline.stages.wire import unpack_summaries
from pipeline.storage.store import open_store
from tests.support.odd_photos import scene
from tests.support.one_process import run_here

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

torch.set_num_threads(1)


def settings(folder: Path, output: Path) -> Settings:
    return Settings.of(
        input=str(folder), output=str(output), ratios="1:1,circle", task_images=2,
        thumbnail_size=48, weights="untrained",
    )  # fmt: skip


def test_it_gives_the_rows_and_files_of_the_stages_apart(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        picture = np.roll(scene(120 + 20 * number, 100), 9 * number, axis=1)
        Image.fromarray(picture).save(folder / f"{number}.jpg")
    (folder / "3.jpg").write_bytes(b"no photo")
    apart = run_here(settings(folder, tmp_path / "apart"))

    log = Log("json", io.StringIO())
    job, ledger = plan(settings(folder, tmp_path / "one"), log).begin()
    both = DetectScoreCommit(job, "cpu")
    summaries = [
        summary
        for task in ledger.pending()
        for summary in unpack_summaries(both(read_decode(pa.table({"task": [task]}), job)))
    ]
    assert [summary.task for summary in summaries] == [0, 1]
    for summary in summaries:
        assert summary.spans.keys() == {"read", "score", "commit"}
        assert {"decode", "detect", "score", "encode", "commit"} <= summary.metrics.costs.keys()
    commit(job, ledger, log, add_figures([summary.metrics for summary in summaries]), {})
    assert not verify_run(open_store(str(tmp_path / "one")), job.run_id).problems

    assert job.run_id == apart.run_id
    runs = [open_run(str(tmp_path / name)) for name in ("apart", "one")]
    images = [rows_of(run.images()) for run in runs]
    assert images[0] == images[1]
    crops = [rows_of(run.crops()) for run in runs]
    assert len(crops[0]) == 6
    assert crops[0] == crops[1]


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Rows without when they were made and the times that stages took."""
    times = [name for name in table.schema.names if name.endswith(("_s", "processed_at"))]
    return list(table.drop_columns(times).to_pylist())
