"""What Ray's workers do before anything else."""

from typing import Any

import pyarrow as pa
import pytest

from pipeline.cluster import workers
from pipeline.stages.crop import DetectScore


def test_every_worker_keeps_pandas_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    job: Any = None
    monkeypatch.setattr(workers, "keep_pandas_out", lambda: done.append("pandas kept out"))
    monkeypatch.setattr(DetectScore, "__init__", lambda *_: done.append("networks made"))
    monkeypatch.setattr(workers, "read_decode", lambda *_: done.append("task read"))
    for actor in (workers.Scorer, workers.Finisher):
        actor(job, "cpu").ready()
    workers.read_apart(pa.table({"task": [0]}), job)
    kept = "pandas kept out"
    assert done == [kept, "networks made", kept, "networks made", kept, "task read"]
