"""Which cluster a job joins, and what it lets Ray listen on."""

import os
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from ray._private import ray_constants

from pipeline.cluster import joining
from pipeline.cluster.joining import LOOPBACK_SWITCH, cluster_at_hand, join_or_start
from tests.conftest import free_port


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with mock.patch.dict(os.environ):
        for name in ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR", LOOPBACK_SWITCH):
            os.environ.pop(name, None)
        monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
        monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: None)
        yield


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Ray is started with."""
    seen: list[Any] = []
    monkeypatch.setattr("ray.init", lambda **about: seen.append(about.get("address")))
    return seen


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_what_ray_start_has_begun_is_joined(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: listening)
    assert cluster_at_hand() == listening
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: f"127.0.0.1:{free_port()}")
    assert cluster_at_hand() == ""  # its address was left behind


def test_the_address_of_the_environment_goes_first(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: "10.0.0.9:6379")
    client = f"ray://{listening}"
    for told, joined in ((listening, listening), ("local", ""), (client, client)):
        os.environ["RAY_ADDRESS"] = told
        assert cluster_at_hand() == joined


@pytest.mark.parametrize("cluster", [None, "127.0.0.1", "outside"])
def test_loopback_is_kept_to_unless_the_cluster_is_elsewhere(
    cluster: str | None, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_knock", lambda _: None)
    address = None if cluster is None else f"{cluster}:6379"
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: address)
    join_or_start()
    assert asked == [address or "local"]
    outside = cluster == "outside"
    assert os.environ.get(LOOPBACK_SWITCH) == (None if outside else "0")
    assert ray_constants.ENABLE_RAY_CLUSTER is outside


def test_what_a_user_says_of_loopback_stays(asked: list[Any]) -> None:
    os.environ[LOOPBACK_SWITCH] = "1"
    join_or_start()
    assert asked == ["local"]
    assert (os.environ[LOOPBACK_SWITCH], ray_constants.ENABLE_RAY_CLUSTER) == ("1", True)
