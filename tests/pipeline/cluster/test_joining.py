"""Which cluster a job joins, and which addresses Ray may listen on."""

import atexit
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

import pytest
import ray
from ray._private import ray_constants
from ray._private.node import Node

from pipeline.cli.local_services import free_ports
from pipeline.cluster import joining
from pipeline.cluster.joining import (
    UNUSED_PROCESSES,
    cluster_address,
    is_cluster_named,
    join_or_start,
)
from pipeline.errors import LedgerError
from pipeline.ray_variables import KEEP_IDLE_WORKERS, LOOPBACK_SWITCH, NO_TELEMETRY
from pipeline.stop import Drained


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


def test_auto_is_what_ray_start_has_begun(
    listening: str, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what Ray itself takes for it: the Ray of another job, or an outward address."""
    os.environ["RAY_ADDRESS"] = "auto"
    with pytest.raises(LedgerError, match="RAY_ADDRESS is auto, and no cluster that `ray start`"):
        join_or_start()
    (nobody,) = free_ports(1)
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: f"127.0.0.1:{nobody}")
    with pytest.raises(LedgerError, match=r"name its host:port, or unset RAY_ADDRESS$"):
        join_or_start()
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: listening)
    join_or_start()
    assert asked == [listening]
    assert os.environ[LOOPBACK_SWITCH] == "0"


def test_the_address_for_ray_job_submit_is_no_cluster_to_join(asked: list[Any]) -> None:
    os.environ["RAY_ADDRESS"] = "http://127.0.0.1:8265"
    message = "8265 is where `ray job submit` sends jobs: submit this job with it, or unset RAY_"
    with pytest.raises(LedgerError, match=message):
        join_or_start()
    assert not asked


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


@pytest.mark.parametrize("shows_workers", [False, True])
def test_ray_s_own_warnings_are_not_shown_among_the_workers_output(
    shows_workers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray Train warns every second where there is no dashboard."""
    seen: list[Any] = []
    monkeypatch.setattr("ray.init", lambda **about: seen.append(about.get("logging_config")))
    join_or_start(shows_workers)
    assert [config and config.log_level for config in seen] == ["ERROR" if shows_workers else None]


@pytest.fixture(autouse=True)
def _own_ray_is_forgotten() -> Iterator[None]:
    """What a job sets for its own Ray is set for its whole process."""
    with mock.patch.dict(os.environ):
        yield


def test_a_cluster_that_is_not_there_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> NoReturn:
        raise ConnectionError("nobody at 10.0.0.1:6379")

    monkeypatch.setattr("ray.init", refused)
    with pytest.raises(LedgerError, match=r"Ray does not start: nobody at 10\.0\.0\.1:6379"):
        join_or_start()


def test_a_cluster_that_asks_for_a_token_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray names the token only in the error behind its own."""

    def refused(**_: object) -> NoReturn:
        try:
            raise RuntimeError("Failed to connect to GCS: RPC error: InvalidAuthToken: missing")
        except RuntimeError as error:
            raise ConnectionError("Failed to connect at 10.0.0.1:6379") from error

    monkeypatch.setattr("ray.init", refused)
    with pytest.raises(LedgerError, match="6379, which asks for a token: set RAY_AUTH_MODE=token"):
        join_or_start()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_at_which_nobody_listens_is_told_at_once(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody,) = free_ports(1)
    monkeypatch.setenv("RAY_ADDRESS", address := f"{scheme}127.0.0.1:{nobody}")
    with pytest.raises(LedgerError, match=f"not start: nothing answers at RAY_ADDRESS {address} "):
        join_or_start()


def test_a_name_that_no_host_can_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head..example:6379")
    assert is_cluster_named()
    with pytest.raises(OSError, match=r"nothing answers at RAY_ADDRESS head\.\.example:6379 "):
        cluster_address()


@pytest.mark.parametrize("error", [Exception("the node timed out\nhint"), RuntimeError("no GCS")])
def test_whatever_ray_raises_at_its_start_is_told_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(**_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("ray.init", failed)
    with pytest.raises(LedgerError, match=r"^Ray does not start: (the node timed out|no GCS)$"):
        join_or_start()


@pytest.mark.parametrize("free", [3_000_000, joining.LEAST_FREE_BYTES])
@pytest.mark.parametrize("cluster", [None, "10.0.0.9:6379"])
def test_a_full_folder_is_told_where_ray_only_times_out(
    free: int, cluster: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray writes there also if TMPDIR names it; a cluster's files are elsewhere."""

    def timed_out(**_: object) -> NoReturn:
        raise Exception("the node timed out")

    monkeypatch.setattr("ray.init", timed_out)
    monkeypatch.setattr(joining, "_check_listening", lambda _: None)
    monkeypatch.setattr(joining, "find_bootstrap_address", lambda _: cluster)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/full")
    with pytest.raises(LedgerError) as told:
        join_or_start()
    full = "; /full, where it keeps its files, has 3 MB free: make room there, or name another "
    is_told = cluster is None and free < joining.LEAST_FREE_BYTES
    assert str(told.value).startswith("Ray does not start: the node timed out")
    assert (full in str(told.value)) == is_told


@pytest.mark.parametrize("there_is_a_cluster", [True, False])
def test_a_node_of_the_jobs_own_keeps_workers_and_collects_no_metrics(
    there_is_a_cluster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's settings are its operator's; what a user has set stays."""
    ours = NO_TELEMETRY | KEEP_IDLE_WORKERS
    seen: dict[str, dict[str, str | None]] = {}

    def init(**about: Any) -> None:
        seen[about["address"]] = {name: os.environ.get(name) for name in ours}

    monkeypatch.setattr("ray.init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    begun = "ray://cluster" if there_is_a_cluster else None
    monkeypatch.setattr("pipeline.cluster.joining.find_bootstrap_address", lambda _: begun)
    monkeypatch.setenv("PYTHONPATH", "")
    for name in ours:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_event_stats", "1")
    join_or_start()
    own = {"local": ours | {"RAY_event_stats": "1"}}
    others = {"ray://cluster": dict.fromkeys(ours) | {"RAY_event_stats": "1"}}
    assert seen == (others if there_is_a_cluster else own)


def test_a_kill_while_ray_starts_is_the_job_s_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own handler, set while it starts, ends the process with a code of its own."""
    heard: list[int] = []

    def killed(**_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ray does
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        raise AssertionError

    monkeypatch.setattr("ray.init", killed)
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with pytest.raises(Drained):
            join_or_start()
        assert heard == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(heard) == 2, "the job's handler is back"
    finally:
        signal.signal(signal.SIGTERM, before)
