"""A whole job on a corpus of mutated files: rows out = rows in, each with a status it may have."""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline import open_run
from pipeline.ledger.audit import verify_run
from pipeline.settings import Settings
from pipeline.stages.worker import end_worker
from pipeline.storage.store import open_store
from tests.pipeline.photo.sandbox.test_decode_fuzz import STATUSES
from tests.pipeline.stages.mutated_files import MUTATIONS, mutated_files
from tests.support.one_process import run_here

FILES = int(os.environ.get("CORPUS_FILES", "5000"))


def run_corpus(folder: Path, count: int) -> tuple[Counter[str], Counter[str], int]:
    """Statuses of all rows, mutations of the rows that are ok, and damaged photos among these.

    The stages are those of every job: local files, the decoding child, the lenient second pass.
    """
    (folder / "in").mkdir()
    written = set()
    for name, data in mutated_files(count, seed=14):
        (folder / "in" / name).write_bytes(data)
        written.add(str(folder / "in" / name))
    assert len(written) == count
    settings = Settings.of(
        input=str(folder / "in"), output=str(folder / "out"), weights="untrained", ratios="1:1",
        thumbnail_size=64, task_images=100, decode_timeout_s=60, image_timeout_s=300,
    )  # fmt: skip
    assert settings.decoding.limits.least_complete < 1, "the lenient pass is on"
    torch.set_num_threads(1)
    try:
        manifest = run_here(settings)
    finally:
        end_worker()
    run = open_run(str(folder / "out"))
    rows = run.images().to_pylist()
    assert manifest.rows == len(rows) == count
    assert {row["uri"] for row in rows} == written, "rows out = rows in"
    assert verify_run(open_store(str(folder / "out")), manifest.run_id).problems == []
    for row in rows:
        ok = row["status"] == "ok"
        assert ok == (row["error_message"] is None), row
        assert ok or row["error_stage"] in ("read", "decode"), row
        assert not ok or 0 < row["complete"] <= 1, row
        assert not ok or row["complete"] >= settings.decoding.limits.least_complete, row
    statuses = Counter(row["status"] for row in rows)
    assert run.crops().num_rows == statuses["ok"]
    good = [row for row in rows if row["status"] == "ok"]
    by_mutation = Counter(Path(row["uri"]).stem.split("-")[1] for row in good)
    return statuses, by_mutation, sum(row["complete"] < 1 for row in good)


def test_each_file_of_a_small_corpus_is_a_row(tmp_path: Path) -> None:
    statuses, by_mutation, _ = run_corpus(tmp_path, 60)
    assert set(statuses) <= STATUSES
    assert set(by_mutation) <= {mutation.__name__ for mutation in MUTATIONS}


@pytest.mark.slow
def test_each_file_of_the_corpus_is_a_row(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    statuses, by_mutation, damaged = run_corpus(tmp_path, FILES)
    assert set(statuses) <= STATUSES
    assert statuses["corrupt"] > FILES / 100
    assert statuses["truncated"] > FILES / 100
    assert set(by_mutation) == {mutation.__name__ for mutation in MUTATIONS}
    told = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    of_ok = ", ".join(f"{by_mutation[m.__name__]} {m.__name__}" for m in MUTATIONS)
    record_property(
        "figures",
        f"{FILES} files, {statuses.total()} rows: {told}; of the ok {damaged} are damaged and "
        f"measured ({of_ok}); {time.monotonic() - began:.0f} s",
    )
