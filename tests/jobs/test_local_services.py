"""The demo's services listen only where README says, and accept work at once."""

import socket
from pathlib import Path

import psutil
import pytest

from pipeline.cli import local_services
from pipeline.cli.local_services import LOOPBACK, ServiceError, free_ports, ray_head, s3_server
from tests.support.sockets import is_loopback, listening

LATE_AGENT = """
import sys, time
if any(word.endswith("dashboard/agent.py") for word in sys.orig_argv):
    time.sleep(5)
"""


@pytest.mark.slow  # starts a Ray head, some 15 s
def test_services_listen_on_loopback_alone_and_a_ray_head_takes_jobs_at_once(
    tmp_path: Path,
) -> None:
    """The dashboard answers first. It takes no job before the raylet and its agent are there."""
    (tmp_path / "sitecustomize.py").write_text(LATE_AGENT)  # read by each Python process below
    with s3_server(tmp_path) as server:
        environment = {**server.environment, "PYTHONPATH": str(tmp_path)}
        with ray_head(tmp_path, environment, cpus=1):
            found = listening(psutil.Process())
    assert {"gcs_server", "raylet", "ray::DashboardAgent", "python"} <= set(found.values())
    assert [at for at in found.items() if not is_loopback(at[0][0])] == []


def test_free_ports_are_none_that_an_outgoing_connection_is_given() -> None:
    """Else it could take one before the service that it was found for listens on it."""
    kernel = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(kernel.read_text().split()[0]) if kernel.exists() else 49_152  # macOS
    ports = free_ports(200)
    assert len(set(ports)) == 200
    assert max(ports) < lowest


def test_a_port_in_use_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(local_services, "PORTS", range(port, port + 1))
        with pytest.raises(ServiceError, match=f"no 1 free ports between {port} and {port}"):
            free_ports(1)
    assert free_ports(1) == [port]


@pytest.mark.slow  # starts a Ray head, some 30 s
def test_a_ray_head_that_would_refuse_all_jobs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its agent lives on without the port that somebody else took, and says so in a log alone."""
    monkeypatch.setattr(local_services, "START_TIMEOUT_S", 25.0)
    with socket.socket() as taken:
        ports = free_ports(4)
        taken.bind((LOOPBACK, ports[3]))
        taken.listen()
        monkeypatch.setattr(local_services, "free_ports", lambda count: ports)
        with (
            pytest.raises(ServiceError, match=r"agent, which runs jobs, did not answer within 25"),
            ray_head(tmp_path, cpus=1),
        ):
            pass
