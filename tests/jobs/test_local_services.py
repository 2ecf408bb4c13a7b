"""The demo's services listen where README says, and nowhere else."""

import time
from pathlib import Path

import psutil
import pytest

from pipeline.cli.local_services import ray_head, s3_server
from tests.support.sockets import is_loopback, listening


@pytest.mark.slow  # starts a Ray head, some 10 s
def test_all_sockets_of_the_demo_are_on_loopback(tmp_path: Path) -> None:
    with s3_server(tmp_path) as server, ray_head(tmp_path, server.environment, cpus=1):
        found: dict[tuple[str, int], str] = {}
        end = time.monotonic() + 60
        while "raylet" not in found.values() and time.monotonic() < end:
            time.sleep(1)  # it comes after the dashboard that the head is waited for by
            found = listening(psutil.Process())
    assert {"gcs_server", "raylet", "python"} <= set(found.values())
    assert [at for at in found.items() if not is_loopback(at[0][0])] == []
