"""Join a Ray cluster, or start one for the job on this machine, only on loopback."""

import atexit
import gc
import logging
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants  # LOOPBACK_SWITCH has no public name
from ray._private import worker as ray_worker  # ... nor has the node that `ray.init` has started
from ray._private.node import Node  # ... nor has the class that starts Ray's processes
from ray._private.services import find_bootstrap_address  # ... nor has `ray start`'s address

from pipeline.errors import LedgerError
from pipeline.ray_variables import KEEP_IDLE_WORKERS, LOOPBACK_SWITCH, NO_TELEMETRY
from pipeline.stop import Drained

CONNECT_TIMEOUT_S = 5.0  # for a cluster to accept a connection
UNUSED_PROCESSES = ("start_monitor", "start_api_server", "start_log_monitor")
"""Processes that a node started for one job does not need, by the methods that start them.

They are the autoscaler, since there are no other nodes; the server of usage statistics, which
starts even without a dashboard and for which everything else waits; and the one that sends the
workers' output to the driver."""
LEAST_FREE_BYTES = 50_000_000  # in Ray's folder: with less its processes may not start
LOOPBACK = ("127.0.0.1", "localhost")
AUTO = "auto"  # as RAY_ADDRESS: the cluster that `ray start` began on this machine
SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # is set in a job that `ray job submit` has started


def join_or_start(shows_workers: bool = False) -> bool:
    """Join the cluster that RAY_ADDRESS names or that `ray start` started here, else start one.

    Another job's own Ray is not joined, since this job would have to wait for it.

    shows_workers: whether the workers' output is shown here.

    Returns whether a cluster was joined, which may grow; one started here has this machine only.
    Raises LedgerError, and Drained if a signal interrupted it.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    quiet: dict[str, Any] = {
        "include_dashboard": False,
        "log_to_driver": shows_workers,
        "logging_level": logging.ERROR,
    }
    if shows_workers:  # without a dashboard, Ray Train warns every second that it is missing
        quiet["logging_config"] = ray.LoggingConfig(log_level="ERROR")
    joins = True
    try:
        if SUBMITTED in os.environ:  # `ray job submit` ships the packages
            ray.init(**quiet)
        elif address := cluster_address():
            _join(address, quiet)
        else:
            joins = False
            with _without_processes(() if shows_workers else UNUSED_PROCESSES):
                _start(quiet)
        if not shows_workers:  # else Ray's own exit handler waits half a second for their output
            atexit.register(gc.freeze)  # spares a collection of everything that was loaded
            atexit.register(ray.shutdown)
        return joins
    except SystemExit as error:  # Ray's handler of SIGTERM, until it is replaced below
        if callable(handle := handlers[signal.SIGTERM]):
            handle(signal.SIGTERM, None)
        raise Drained from error
    except Exception as error:  # a process boundary: Ray may raise anything
        advice = _advice(error) or ("" if joins else _full_folder())
        told = _first_line(error).rstrip(".") if advice else _first_line(error)
        raise LedgerError(f"Ray does not start: {told}{advice}") from error
    finally:
        for number, handler in handlers.items():  # Ray's handlers would exit with a traceback
            signal.signal(number, handler)


def is_own() -> bool:
    """Return whether this process has started the Ray that it uses, on this machine alone."""
    node = ray_worker._global_node  # None where Ray's client connects to a cluster
    return node is not None and bool(node.is_head())


def is_cluster_named() -> bool:
    """Return whether `join_or_start` joins a cluster, or fails because none answers."""
    try:
        return SUBMITTED in os.environ or bool(cluster_address())
    except OSError:
        return True


def cluster_address() -> str:
    """Return the address of the cluster to join; "" if there is none.

    Ray's own search for `auto` also finds Rays that other jobs have started for themselves, and
    then waits for minutes for one that listens only on loopback.

    Raises OSError if RAY_ADDRESS names a cluster and nothing listens there.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    if named == "local":
        return ""
    if named.startswith(("http://", "https://")):
        raise OSError(
            f"RAY_ADDRESS {named} is where `ray job submit` sends jobs: submit this job with it, "
            "or unset RAY_ADDRESS"
        )
    if named and named != AUTO:
        try:
            _check_listening(named)
        except (OSError, UnicodeError) as error:  # UnicodeError: no host can have this name
            raise OSError(f"nothing answers at RAY_ADDRESS {named} ({error})") from error
        return named
    begun = find_bootstrap_address(None) or ""
    try:
        _check_listening(begun)
    except OSError:  # the cluster is gone and has left its address behind
        begun = ""
    if named and not begun:
        raise OSError(
            f"RAY_ADDRESS is {AUTO}, and no cluster that `ray start` began answers on this "
            "machine: name its host:port, or unset RAY_ADDRESS"
        )
    return begun


def _join(address: str, quiet: dict[str, Any]) -> None:
    if address.rpartition(":")[0] in LOOPBACK:
        _keep_to_loopback()
    runtime_env = {"env_vars": {"PYTHONPATH": with_our_packages(os.environ.get("PYTHONPATH"))}}
    ray.init(address=address, runtime_env=runtime_env, **quiet)


def _start(quiet: dict[str, Any]) -> None:
    # Workers inherit the variable; a runtime_env would cost a second.
    os.environ["PYTHONPATH"] = with_our_packages(os.environ.get("PYTHONPATH"))
    for name, value in {**NO_TELEMETRY, **KEEP_IDLE_WORKERS}.items():
        os.environ.setdefault(name, value)
    _keep_to_loopback()
    ray.init(address="local", **quiet)


@contextmanager
def _without_processes(starts: tuple[str, ...]) -> Iterator[None]:
    """Keep a node that is started inside the block from starting some of Ray's processes.

    starts: the methods of Ray's `Node` that start them; only `ray start` has settings for this.
    """
    own = {name: getattr(Node, name) for name in starts if hasattr(Node, name)}
    for name in own:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, start in own.items():
            setattr(Node, name, start)


def _keep_to_loopback() -> None:
    """Keep Ray on loopback in this process and in those that it starts."""
    os.environ.setdefault(LOOPBACK_SWITCH, "0")
    if os.environ[LOOPBACK_SWITCH] == "0":  # this process read the variable when it imported ray
        ray_constants.ENABLE_RAY_CLUSTER = False


def _check_listening(address: str) -> None:
    """Raise OSError if nothing listens at `host:port`.

    Ray itself would retry for a minute and a half; its client, at `ray://host:port`, for half a
    minute.
    """
    host, _, port = address.removeprefix("ray://").rstrip("/").rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()


def _advice(error: BaseException | None) -> str:
    """Return what to do about a cluster that asks for a token which this process does not send.

    Ray's own message ends with the address; only the error behind it names the token.
    """
    while error is not None:
        if "InvalidAuthToken" in str(error):
            return (
                ", which asks for a token: set RAY_AUTH_MODE=token here too, and RAY_AUTH_TOKEN or "
                "RAY_AUTH_TOKEN_PATH if ~/.ray/auth_token does not hold the cluster's token"
            )
        error = error.__cause__ or error.__context__
    return ""


def _full_folder() -> str:
    """Return what to do where the folder is full in which Ray keeps its files; "" if it is not.

    Ray itself only says that its node timed out.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # as Ray chooses
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"; it keeps its files in {folder}, which cannot be used: {error.strerror}"
    if free >= LEAST_FREE_BYTES:
        return ""
    return (
        f"; {folder}, where it keeps its files, has {free / 1e6:.0f} MB free: make room there, or "
        "name another folder in RAY_TMPDIR, with a short path"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def with_our_packages(path: str | None) -> str:
    """Return a PYTHONPATH with which workers import the packages that this process runs."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *([path] if path else [])])
