"""What tests of several parts need: an S3 server (moto, in a process of its own), a compiler."""

import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.local_services import free_ports

S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def wait_for_http(address: str, process: subprocess.Popen[bytes], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"the server exited with {process.returncode}"
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} did not answer in {seconds} s")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a moto server that lives as long as the test session.

    TEST_S3_SERVER names one that runs already, for commands that start many sessions.
    """
    if running := os.environ.get("TEST_S3_SERVER"):
        yield running
        return
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("moto") / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output, stderr=output, env={**os.environ, **S3_ENVIRONMENT},
        )  # fmt: skip
        try:
            wait_for_http(f"http://127.0.0.1:{port}/moto-api/", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket's address, `s3://…`, with the environment set so that it is found."""
    for name, value in {**S3_ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{s3_server}/{bucket}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    return f"s3://{bucket}"


@pytest.fixture(params=["folder", "s3", "memory"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place to store things, once of each kind."""
    if request.param == "folder":
        return str(tmp_path / "out")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    bucket: str = request.getfixturevalue("s3")
    return f"{bucket}/out"


@pytest.fixture
def _workers_end_with_the_test() -> Iterator[None]:
    """End what stages keep in this process, such as the decoding child, once a test has run them.

    A file of such tests says so with `pytest.mark.usefixtures`.
    """
    yield
    from pipeline.stages.worker import end_worker  # slow to import, and few tests need it

    end_worker()


@pytest.fixture(params=["saved", pytest.param("compiled", marks=pytest.mark.slow)])
def _compiler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's compiler, which takes half a minute, or one that saves the graph as it is."""
    if request.param == "compiled":
        return
    import torch

    inductor: Any = torch._inductor

    def save(program: Any, package_path: str, inductor_configs: dict[str, Any]) -> None:
        torch.export.save(program, package_path)

    def load(path: str, run_single_threaded: bool) -> Any:
        return torch.export.load(path).module()

    monkeypatch.setattr(inductor, "aoti_compile_and_package", save)
    monkeypatch.setattr(inductor, "aoti_load_package", load)


def pytest_sessionfinish() -> None:
    """Close the browser that this process's tests have shared."""
    from tests.support.browser import close_browser

    close_browser()
