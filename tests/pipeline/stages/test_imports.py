"""Imports of workers: those that read, decode, encode and commit never load torch.

Each case is a fresh process, because this one has already loaded torch. A stage's process gets the
job and its block as Ray would send them, and does its real work on one photo.
"""

import io
import pickle
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from pipeline.job import plan
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.worker import end_worker
from tests.support.fresh import ROOT, packages_loaded
from tests.support.odd_photos import saved, scene

TORCH = {"torch", "torchvision"}

RUN_STAGE = """
import pickle, sys
from pathlib import Path
from pipeline.stages.{module} import {stage}
from pipeline.stages.worker import end_worker

block, job = pickle.loads(Path(sys.argv[1]).read_bytes())
Path(sys.argv[2]).write_bytes(pickle.dumps({stage}(block, job)))
end_worker()
"""


def stage_in_fresh_process(
    stage: str, block: pa.Table, job: object, folder: Path
) -> tuple[pa.Table, set[str]]:
    """The block that a stage made of `block`, and the packages that its process had loaded."""
    given, made = folder / "given", folder / "made"
    given.write_bytes(pickle.dumps((block, job)))
    module = {"read_decode": "read", "cut_encode_commit": "commit"}[stage]
    source = RUN_STAGE.format(module=module, stage=stage)
    loaded = packages_loaded(source, [str(given), str(made)])
    return pickle.loads(made.read_bytes()), loaded


def test_reading_and_committing_workers_never_load_torch(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "photo.jpg").write_bytes(saved(scene(200, 150), "JPEG"))
    settings = Settings.of(
        input=str(tmp_path / "in"), output=str(tmp_path / "out"), ratios="1:1,circle",
        thumbnail_size=64, crop_files=True,
    )  # fmt: skip
    job, ledger = plan(settings, Log("json", io.StringIO())).begin()

    tasks = pa.table({"task": [0]})
    decoded, loaded = stage_in_fresh_process("read_decode", tasks, job, tmp_path)
    assert not loaded & TORCH
    assert "PIL" in loaded

    scored = DetectScore(job, "cpu")(decoded)
    _, loaded = stage_in_fresh_process("cut_encode_commit", scored, job, tmp_path)
    assert not loaded & TORCH
    assert "PIL" in loaded
    metrics = ledger.record(0).metrics
    assert metrics.statuses == {"ok": 1}
    assert metrics.crops == 2


def test_workers_that_encode_stored_decisions_never_load_torch(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "photo.jpg").write_bytes(saved(scene(200, 150), "JPEG"))
    output, log = str(tmp_path / "out"), Log("json", io.StringIO())
    settings = Settings.of(input=str(tmp_path / "in"), output=output, ratios="1:1", preview=0)
    job, ledger = plan(settings, log).begin()
    tasks = pa.table({"task": [0]})
    cut_encode_commit(DetectScore(job, "cpu")(read_decode(tasks, job)), job)
    end_worker()
    old = ledger.finish({"weights": job.weights.as_dict(), "job": settings.flat()})
    request = RenderRequest(output, old.run_id, {"thumbnail_size": 32})
    job, ledger = plan_rendering(request).begin()
    decided, loaded = stage_in_fresh_process("read_decode", tasks, job, tmp_path)
    assert not loaded & TORCH
    _, loaded = stage_in_fresh_process("cut_encode_commit", decided, job, tmp_path)
    assert not loaded & TORCH
    assert ledger.record(0).metrics.crops == 1


def modules_of(room: str) -> list[str]:
    paths = sorted((ROOT / "pipeline" / room).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("room", ["inputs", "ledger", "photo", "storage"])
def test_rooms_under_these_stages_never_load_torch(room: str) -> None:
    modules = [name for name in modules_of(room) if not name.endswith("__init__")]
    assert modules
    assert not packages_loaded(f"import {', '.join(modules)}") & TORCH
