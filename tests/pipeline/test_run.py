"""What a job is given or finds before its work."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import run
from pipeline.cluster import joining
from pipeline.errors import SettingError
from pipeline.local import usable_cores
from pipeline.report.costs import Machines
from pipeline.report.progress import Log
from pipeline.run import available_cores, crop_bucket
from pipeline.settings import RunningSettings, Settings
from pipeline.stop import Stop


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings.of(input=str(folder / "in"), output=str(folder / "out"), local=True, **more)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("none/x.prom", r"none, which is no folder that this job may write into: make it first"),
     ("in/1.txt/x.prom", "is no folder"), ("in", "must name a file, and .* is a folder"),
     ("pipe", "must name a file, and .* is a device or pipe")],
)  # fmt: skip
def test_a_file_of_figures_that_cannot_be_is_told_before_the_work(
    tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingError, match=problem) as refused:
        crop_bucket(settings_for(tmp_path, metrics_file=str(tmp_path / name)), Log())
    assert refused.value.field == "metrics_file"
    assert not (tmp_path / "out").exists()
    crop_bucket(settings_for(tmp_path, metrics_file=str(tmp_path / "x.prom")), Log())


@pytest.mark.parametrize("name", ["RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR", "ray start"])
def test_cores_are_those_of_the_cluster_that_the_job_joins(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machines may have any number of cores."""
    for one in ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(one, raising=False)
    joined = SimpleNamespace(machines=Machines(cores=1234, gpus=0, actors=1, device="cpu"))
    monkeypatch.setattr(run, "start", lambda *_: joined)
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: None)
    assert available_cores(RunningSettings(), Log(), Stop()) == usable_cores()
    if name == "ray start":
        monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: "there")
    else:
        monkeypatch.setenv(name, "there")
    assert available_cores(RunningSettings(), Log(), Stop()) == 1234
    assert available_cores(RunningSettings(local=True), Log(), Stop()) == usable_cores()
