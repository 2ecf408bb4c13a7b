"""Runs of earlier versions with what a new job may not ask for: more shapes, less memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline import open_run
from pipeline.cli.runs import main
from pipeline.errors import SettingError
from pipeline.rendering import RenderRequest, plan_rendering
from pipeline.settings import Settings
from tests.pipeline.stages.test_recall import crop_job, do, planned, write_photos

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")

SHAPES = [f"100:{number}" for number in range(60, 161)]  # 101
MIB = 1 << 20


@contextmanager
def earlier_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lift the bounds, as in versions before them."""
    with monkeypatch.context() as earlier:
        earlier.setattr("pipeline.shapes.MOST_SHAPES", 1000)
        earlier.setattr("pipeline.settings.decoding.LEAST_MEMORY_BYTES", 1)
        earlier.setattr("pipeline.settings.decoding.check", lambda _: None)
        yield


def earlier_job(folder: Path, **more: Any) -> Settings:
    """Return a job, which needs `earlier_version`, of one photo and of one that fails."""
    write_photos(folder)
    for number in (1, 2, 3):
        (folder / "in" / f"{number}.png").unlink()
    return crop_job(
        folder, ratios=",".join(SHAPES), guards="off", candidates=False, preview=0, local=True,
        task_images=1, **more,
    )  # fmt: skip


def test_an_earlier_run_of_101_shapes_is_rendered_and_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with earlier_version(monkeypatch):
        job = earlier_job(tmp_path, decode_memory_bytes=220 * MIB)
        old = do(planned(job))
    output = job.running.output
    assert old.settings["decode_memory_bytes"] == 220 * MIB
    for changes, count in (({"thumbnail_size": 40}, 101), ({"ratios": "100:60,100:70"}, 2)):
        made = do(plan_rendering(RenderRequest(output, old.run_id, changes)))
        assert open_run(output, made.run_id).crops(["ratio"]).num_rows == count
        assert made.settings["decode_memory_bytes"] == 256 * MIB

    assert main(["retry", output, old.run_id, "--kind", "all"]) == 0
    with pytest.raises(SettingError, match=r"^ratios is wrong: 101 shapes are too many at once"):
        planned(Settings.of(**{**job.flat(), "decode_memory_bytes": 256 * MIB}))


def test_an_earlier_run_of_101_shapes_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with earlier_version(monkeypatch):
        job = earlier_job(tmp_path)
        stopped, ledger = planned(job).begin()
        assert len(ledger.pending()) == 2
    made = do(planned(Settings.of(**{**job.flat(), "resume": stopped.run_id})))
    assert made.run_id == stopped.run_id
    assert open_run(job.running.output, made.run_id).crops(["ratio"]).num_rows == 101
