"""Which cluster a job joins, and which addresses Ray may listen on."""

import atexit
import gc
import os
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import ray
from ray._private import ray_constants
from ray._private.node import Node

from pipeline.cli.local_services import free_ports
from pipeline.cluster import joining
from pipeline.cluster.joining import UNUSED_PROCESSES, cluster_address, join_or_start
from pipeline.errors import LedgerError
from pipeline.ray_variables import LOOPBACK_SWITCH


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
    assert cluster_address() == listening
    (nobody,) = free_ports(1)
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: f"127.0.0.1:{nobody}")
    assert cluster_address() == ""  # its address was left behind


def test_the_address_of_the_environment_goes_first(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: "10.0.0.9:6379")
    client = f"ray://{listening}"
    for told, joined in ((listening, listening), ("local", ""), (client, client)):
        os.environ["RAY_ADDRESS"] = told
        assert cluster_address() == joined


@pytest.mark.parametrize("cluster", [None, "127.0.0.1", "outside"])
def test_loopback_is_kept_to_unless_the_cluster_is_elsewhere(
    cluster: str | None, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_check_listening", lambda _: None)
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


def test_a_node_of_the_job_s_own_leaves_out_what_nobody_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where starting it fails, all is as before afterwards; a joined cluster has all."""
    before = [getattr(Node, name) for name in UNUSED_PROCESSES]
    node: Any = object.__new__(Node)
    seen: list[bool] = []

    def start(**_: Any) -> None:
        seen.append(any(getattr(Node, name) in before for name in UNUSED_PROCESSES))
        if not seen[-1]:  # Ray calls them so, and wants nothing from them
            node.start_monitor()
            node.start_log_monitor()
            node.start_api_server(include_dashboard=False, raise_on_failure=False)
            raise RuntimeError("no room")

    monkeypatch.setattr("ray.init", start)
    with pytest.raises(LedgerError, match="Ray does not start: no room"):
        join_or_start()
    assert [getattr(Node, name) for name in UNUSED_PROCESSES] == before
    assert not join_or_start(shows_workers=True)
    monkeypatch.setattr(joining, "_check_listening", lambda _: None)
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: "10.0.0.9:6379")
    assert join_or_start()
    assert seen == [False, True, True]


@pytest.mark.parametrize("shows_workers", [False, True])
def test_ray_is_left_without_its_wait_for_what_workers_print(
    shows_workers: bool, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Any] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    join_or_start(shows_workers)
    assert at_exit == ([] if shows_workers else [gc.freeze, ray.shutdown])
