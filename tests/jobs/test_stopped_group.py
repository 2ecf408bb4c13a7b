"""A stop that reaches all processes of a job, and those of its own Ray, at the same time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli.crop import EXIT_S, LATEST_S
from pipeline.settings import RunningSettings
from tests.support.crop_jobs import QUICK, finish, write_scenes
from tests.support.fresh import ROOT


@pytest.mark.slow
def test_a_signal_to_a_job_and_its_ray_ends_it_soon_with_its_own_code(tmp_path: Path) -> None:
    """As by `systemctl stop` or `timeout`: Ray's GCS server ends, and calls to it wait a minute."""
    photos, out = write_scenes(tmp_path / "in", 120), tmp_path / "out"
    arguments = ["--input", photos, "--output", str(out), "--task-images", "2"]
    process = subprocess.Popen(
        [sys.executable, "jobs/crop_bucket.py", *arguments, *QUICK, "--log-format", "json"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, start_new_session=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
    )  # fmt: skip
    while not list(out.glob("runs/*/tasks/*.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    asked_s = time.monotonic()
    code, log = finish(process)
    assert code == 128 + signal.SIGTERM, log[-3:]
    assert time.monotonic() - asked_s < RunningSettings.drain_s + EXIT_S + LATEST_S + 10
    assert any(event["event"] == "stopping" for event in log)
    assert not list(out.glob("runs/*/_MANIFEST.json"))
