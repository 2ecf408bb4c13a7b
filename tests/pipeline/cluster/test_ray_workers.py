"""What Ray's workers do before their first task."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cluster import workers
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.stages.crop import DetectScore


def test_every_worker_keeps_pandas_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    job: Any = None
    monkeypatch.setattr(workers, "keep_pandas_out", lambda: done.append("pandas kept out"))
    monkeypatch.setattr(workers, "use_system_allocator", lambda: done.append("heap shared"))
    monkeypatch.setattr(DetectScore, "__init__", lambda *_: done.append("networks made"))
    monkeypatch.setattr(workers, "read_decode", lambda *_: done.append("task read"))
    for actor in (workers.Scorer, workers.Finisher):
        actor(job, "cpu").ready()
    workers.read_in_worker(pa.table({"task": [0]}), job)
    kept, actor_s = "pandas kept out", ["pandas kept out", "heap shared", "networks made"]
    assert done == [*actor_s, *actor_s, kept, "task read"]


def nice_value(pid: int = 0) -> int:
    """Of the calling thread, or of a process's first."""
    return os.getpriority(os.PRIO_PROCESS, pid)


@pytest.mark.skipif(
    sys.platform != "linux" or os.getpriority(os.PRIO_PROCESS, 0) >= 19,
    reason="threads have a priority of their own on Linux, and this one must have some to lose",
)
def test_what_runs_beside_a_gpu_gives_way_to_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader and its decoding child, and a worker that encodes; not one that scores."""
    found: dict[str, int] = {}
    job: Any = None

    def read(*_: Any) -> None:
        with Decoder() as decoder:
            decoder.start()
            assert decoder._child is not None
            found.update(reader=nice_value(), child=nice_value(decoder._child.pid))

    def encode(*_: Any) -> None:
        found["encoder"] = nice_value()

    for name in ("keep_pandas_out", "use_system_allocator"):
        monkeypatch.setattr(workers, name, lambda: None)
    monkeypatch.setattr(workers, "read_decode", read)
    monkeypatch.setattr(workers, "cut_encode_commit", encode)
    monkeypatch.setattr(DetectScore, "__init__", lambda *_: None)
    monkeypatch.setattr(DetectScore, "decisions", lambda *_: found.update(scorer=nice_value()))
    before, block = nice_value(), pa.table({"task": [0]})
    for call in (
        lambda: workers.Scorer(job, "cuda").do(block),
        lambda: workers.read_low_priority(block, job),
        lambda: workers.commit_low_priority(block, job, block),
    ):
        with ThreadPoolExecutor(1) as pool:  # on Linux each thread has its own priority
            pool.submit(call).result()
    assert found == {"scorer": before, "reader": 19, "child": 19, "encoder": 19}
    with ThreadPoolExecutor(1) as pool:
        pool.submit(workers.read_in_worker, block, job).result()
    assert found["reader"] == found["child"] == before, "without a GPU nothing gives way"
