"""Start the crop job as its users do, from a copy of the packages, and read its events."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli.local_services import RayHead
from tests.support.odd_photos import scene

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cuda_ops", "jobs", "pipeline", "s2cnet")
QUICK = ["--ratios", "1:1,circle", "--thumbnail-size", "64", "--weights", "untrained"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy only the packages into a working directory to submit, so that edits disturb no run."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    return copy


def start(
    tree: Path, head: RayHead | None, *arguments: str, submit: bool = False
) -> subprocess.Popen[str]:
    """Start the job as a process or through `ray job submit`; its output is JSON lines."""
    command = [sys.executable, "jobs/crop_bucket.py"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    if head is not None:
        environment |= {**head.environment, "RAY_ADDRESS": head.address}
    if submit:
        assert head is not None
        del environment["RAY_ADDRESS"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit"]
        where = ["--address", head.dashboard_url, "--working-dir", str(tree)]
        command = [*ray, *where, "--", "python", "jobs/crop_bucket.py"]
    command += [*arguments, *QUICK, "--log-format", "json"]
    return subprocess.Popen(
        command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """Wait for the job to end; returns its exit code and events."""
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()  # does nothing if it has ended
    return process.returncode, events(output)


def events(output: str) -> list[dict[str, Any]]:
    found = []
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [event for event in found if isinstance(event, dict)]


def write_scenes(folder: Path, count: int) -> str:
    folder.mkdir()
    for number in range(count):
        picture = np.roll(scene(160 + 10 * number, 120), 9 * number, axis=1)
        Image.fromarray(picture).save(folder / f"{number:02}.jpg")
    return str(folder)
