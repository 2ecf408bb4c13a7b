"""An S3 server and a Ray head on this machine, for the demo and the tests.

Both listen only on loopback, on free ports, and are stopped when their `with` block ends, even by
an exception or Ctrl-C: each runs in its own session, and all its descendant processes are stopped
with it.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.ray_variables import KEEP_IDLE_WORKERS, ON_LOOPBACK

LOOPBACK = "127.0.0.1"
# Above the ports of Ray's workers (10002 to 19999), below those that Linux (from 32768) and macOS
# (from 49152) use for outgoing connections: such a connection could take a chosen free port before
# the service listens on it.
PORTS = range(20_000, 32_768)
START_TIMEOUT_S = 120.0
STOP_GRACE_S = 8.0


class ServiceError(RuntimeError):
    """A local service did not start; the message contains the end of its output."""


@dataclass(frozen=True)
class S3Server:
    """A running S3 server: its address and the environment that its clients need."""

    endpoint_url: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class RayHead:
    """A running Ray head with token authentication.

    environment: for its clients. folder: its logs and sockets; removed when the head stops.
    """

    address: str
    dashboard_url: str
    environment: Mapping[str, str]
    folder: Path


def free_ports(count: int) -> list[int]:
    """Find `count` different TCP ports in PORTS that are free on this machine.

    Raises ServiceError if there are fewer.
    """
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            found.append(port)
        if len(found) == count:
            return found
    raise ServiceError(f"no {count} free ports between {PORTS.start} and {PORTS.stop - 1}")


@contextlib.contextmanager
def s3_server(log_folder: Path) -> Iterator[S3Server]:
    """Run moto's S3 server, which accepts any credentials and keeps everything in memory."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    environment = {
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    url = environment["AWS_ENDPOINT_URL"]
    with _process(command, {**os.environ, **environment}, log_folder / "s3.log") as check:
        _wait_for(lambda: _answers(url), "the S3 server", check)
        yield S3Server(url, environment)


@contextlib.contextmanager
def ray_head(
    log_folder: Path,
    environment: Mapping[str, str] | None = None,
    cpus: int | None = None,
    object_store_bytes: int = 512 << 20,
) -> Iterator[RayHead]:
    """Run a Ray head whose jobs inherit `environment` (credentials are never part of a job).

    `cpus` is the number of CPUs that the cluster offers; default: this machine's.
    `object_store_bytes` is the memory for data that workers pass to each other.
    """
    gcs, dashboard, client, agent = free_ports(4)
    own = {
        **ON_LOOPBACK,
        **KEEP_IDLE_WORKERS,
        **(environment or {}),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # nothing depends on its remaining work
        # A job runs `python`: it must be the one that has the packages.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    # Ray creates Unix sockets in this folder, and their paths are limited to 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as temp:
        head = RayHead(f"{LOOPBACK}:{gcs}", f"http://{LOOPBACK}:{dashboard}", own, Path(temp))
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            f"--node-ip-address={LOOPBACK}",
            f"--port={gcs}",
            f"--dashboard-host={LOOPBACK}",
            f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={client}",
            f"--dashboard-agent-listen-port={agent}",
            *("--dashboard-agent-grpc-port=0", "--metrics-export-port=0"),  # Ray takes free ones
            f"--num-cpus={cpus or os.cpu_count()}",
            f"--object-store-memory={object_store_bytes}",
            f"--temp-dir={temp}",
            "--disable-usage-stats",
        ]
        with _process(command, {**os.environ, **own}, log_folder / "ray.log") as check:
            version_url = f"{head.dashboard_url}/api/version"
            _wait_for(lambda: _answers(version_url, own["RAY_AUTH_TOKEN"]), "the Ray head", check)
            # The agent starts after the dashboard, and no job is accepted before it. If it cannot
            # get its port it keeps running and only logs that, and every job is refused.
            agent_url = f"http://{LOOPBACK}:{agent}/api/local_raylet_healthz"
            _wait_for(lambda: _answers(agent_url), "the Ray head's agent, which runs jobs,", check)
            yield head


@contextlib.contextmanager
def _process(
    command: list[str], environment: Mapping[str, str], log: Path
) -> Iterator[Callable[[], None]]:
    """Run `command`; yields a function that raises ServiceError once the process has ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches only us; we stop the process
        )

    def check() -> None:
        if process.poll() is not None:
            tail = log.read_text("utf-8", errors="replace")[-2000:]
            name = " ".join(command[:4])
            raise ServiceError(f"{name} … ended with {process.returncode}:\n{tail}")

    try:
        yield check
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and all that it started: SIGTERM first, then kill the remaining ones."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        family = [root, *root.children(recursive=True)]
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE_S)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=STOP_GRACE_S)
    process.wait()


def _wait_for(ready: Callable[[], bool], name: str, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        check()
        if time.monotonic() > deadline:
            raise ServiceError(f"{name} did not answer within {START_TIMEOUT_S:.0f} s")
        time.sleep(0.2)


def _answers(url: str, token: str | None = None) -> bool:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False
