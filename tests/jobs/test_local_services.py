"""The demo's services listen where README says, and nowhere else."""

from pathlib import Path

import psutil
import pytest

from pipeline.cli.local_services import ray_head, s3_server


def listening(parent: int) -> dict[tuple[str, int], str]:
    """Address and port of every listening TCP socket of a process's children: whose it is."""
    found = {}
    for process in psutil.Process(parent).children(recursive=True):
        try:
            for one in process.net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    found[one.laddr.ip, one.laddr.port] = process.name()
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.slow  # starts a Ray head, some 10 s
def test_all_sockets_of_the_demo_are_on_loopback(tmp_path: Path) -> None:
    with s3_server(tmp_path) as server, ray_head(tmp_path, server.environment, cpus=1):
        found = listening(psutil.Process().pid)
    print(*sorted((ip, port, name) for (ip, port), name in found.items()), sep="\n")
    assert {"gcs_server", "raylet"} <= set(found.values())
    assert len(found) >= 6
    assert {ip for ip, _ in found} <= {"127.0.0.1", "::1"}
