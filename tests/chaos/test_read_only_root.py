"""The job with only /tmp and /dev/shm writable, as in the Kubernetes manifests.

Needs bubblewrap (`bwrap`), which gives a process its own view of the file system.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import open_run
from tests.support.crop_jobs import QUICK, ROOT, write_scenes

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap"),
]
VIEW = [
    *("bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm"),
    *("--unshare-user", "--uid", "10001", "--gid", "10001", "--unshare-pid", "--die-with-parent"),
]
JOB_S = 300


def run_job(writable: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The job on /tmp/in, where /tmp is the folder `writable` and all else is read-only."""
    write_scenes(writable / "in", 3)
    job = [sys.executable, str(ROOT / "jobs" / "crop_bucket.py")]
    job += ["--input", "/tmp/in", "--output", "/tmp/out", *QUICK]
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    kept = []  # the project and its Python, which may themselves be in /tmp
    for folder in (str(ROOT), sys.prefix):
        kept += ["--ro-bind", folder, folder]
    return subprocess.run(
        [*VIEW, "--bind", str(writable), "/tmp", *kept, "--chdir", str(ROOT), *job],
        env={**os.environ, **quiet, "RAY_worker_niceness": "0", **environment},
        stdout=subprocess.PIPE, text=True, timeout=JOB_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"HOME": "/tmp"}, id="home is /tmp"),
        pytest.param(
            {"HOME": "/nowhere", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)},
            id="no home but a token",
        ),
    ],
)
def test_a_job_writes_only_to_tmp(environment: dict[str, str], tmp_path: Path) -> None:
    done = run_job(tmp_path, environment)
    assert done.returncode == 0, done.stdout
    assert open_run(str(tmp_path / "out")).images()["status"].to_pylist() == ["ok"] * 3


def test_neither_home_nor_token_is_said_at_once(tmp_path: Path) -> None:
    done = run_job(tmp_path, {"HOME": "/nowhere"})
    assert done.returncode == 1
    assert "Ray does not start: [Errno 30] Read-only file system: '/nowhere'" in done.stdout
