"""Committed runs as Delta tables: the same files, each run once, also after crashes."""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.ledger.table_formats.delta import publish_delta
from pipeline.storage.store import open_store
from tests.support.committed import published_uri, refused_until_committed
from tests.support.faultproxy import FaultProxy, Request, once
from tests.support.tasks import make_inputs, open_ledger, run_all

__all__ = ["published_uri"]  # a fixture

deltalake = pytest.importorskip("deltalake")
OPTIONS = {"storage_options": {"allow_http": "true"}}
PUBLISH_S = 60
KILLED = -9


def test_a_run_is_published_once(published_uri: str) -> None:
    store = open_store(published_uri)
    first, second = refused_until_committed(store, publish_delta)
    before = {info.key: info.etag for info in store.list("_data/")}
    assert publish_delta(store, first.run_id) == {"images": 0, "crops": 0}
    assert publish_delta(store, second.run_id) == {"images": 1, "crops": 1}
    assert publish_delta(store, first.run_id) == {"images": None, "crops": None}
    for name in ("images", "crops"):
        assert published(published_uri, name) == make_inputs(7)["uri"].to_pylist()
    after = {info.key: info.etag for info in store.list("_data/") if "_delta_log" not in info.key}
    assert after == before


def test_open_runs_survive_a_vacuum(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    kept, unpublished = open_ledger(store, make_inputs(1)), open_ledger(store, make_inputs(2))
    run_all(kept)
    run_all(unpublished)
    publish_delta(store, kept.run_id)
    table = deltalake.DeltaTable(f"{tmp_path}/_data/crops")
    assert table.vacuum(dry_run=True) == []
    # VACUUM counts an open run's files as removed once they are older than this.
    assert table.metadata().configuration["delta.deletedFileRetentionDuration"] == (
        "interval 36500 days"
    )
    for file in (tmp_path / "_data" / "crops").rglob("*.parquet"):
        os.utime(file, (time.time() - 3650 * 86400,) * 2)
    assert table.vacuum(dry_run=True) == []


def published(uri: str, name: str) -> list[str]:
    """The images that a Delta reader finds in a table."""
    options = OPTIONS if uri.startswith("s3:") else {}
    if not deltalake.DeltaTable.is_deltatable(f"{uri}/_data/{name}", **options):
        return []
    table = deltalake.DeltaTable(f"{uri}/_data/{name}", **options)
    return sorted(table.to_pyarrow_table(columns=["uri"])["uri"].to_pylist())


def commits(uri: str, name: str) -> list[str]:
    """The run of each commit in a table's log, by the application id that it carries."""
    store = open_store(uri)
    found = []
    for info in sorted(store.list(f"_data/{name}/_delta_log/"), key=lambda info: info.key):
        lines = store.read(info.key).decode().splitlines()
        found += [action["txn"]["appId"] for action in map(json.loads, lines) if "txn" in action]
    return found


class Publisher:
    """`runs.py publish` in processes of its own, through a proxy; this one reads past it."""

    def __init__(self, uri: str, choose: Callable[[Request], str | None]) -> None:
        self.uri = uri
        self.proxy = FaultProxy(os.environ["AWS_ENDPOINT_URL"], choose)
        os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[4])  # for the fork server
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(
            ["pipeline.cli.runs", "pipeline.storage.s3", "deltalake"]
        )

    def start(self, run_id: str) -> multiprocessing.process.BaseProcess:
        # A fork server that another test has started has that test's environment.
        environment = {**os.environ, "AWS_ENDPOINT_URL": self.proxy.address}
        arguments = (environment, self.uri, run_id)
        process = self.context.Process(target=publish, args=arguments)
        process.start()
        return process

    def exit_code(self, run_id: str) -> int | None:
        return code_of(self.start(run_id))


def publish(environment: dict[str, str], uri: str, run_id: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(["publish", uri, run_id, "--delta"]))


def code_of(process: multiprocessing.process.BaseProcess) -> int | None:
    process.join(PUBLISH_S)
    process.kill()  # where it did not end; else nothing happens
    process.join()
    return process.exitcode


def two_runs(uri: str) -> tuple[str, str]:
    store = open_store(uri)
    first, second = open_ledger(store, make_inputs(4)), open_ledger(store, make_inputs(3, start=4))
    run_all(first)
    run_all(second)
    return first.run_id, second.run_id


@pytest.mark.parametrize(
    ("at", "version"),
    [("images", 0), pytest.param("images", 1, marks=pytest.mark.slow), ("crops", 1)],
)
@pytest.mark.parametrize(
    ("fault", "lands_late"),
    [("hold", False), ("hold", True), ("mute", False)],
    ids=["undone", "done after all", "done but not answered"],
)
def test_a_publication_that_is_killed(
    fault: str, lands_late: bool, version: int, at: str, s3: str
) -> None:
    """kill -9 around the request that is the commit; publishing again ends with one of each run."""
    runs = two_runs(s3)
    states = [[], make_inputs(4)["uri"].to_pylist(), make_inputs(7)["uri"].to_pylist()]
    for run_id in runs[:version]:
        publish_delta(open_store(s3), run_id)
    point = rf"/{at}/_delta_log/0*{version}\.json"
    publisher = Publisher(s3, once(fault, "PUT", point))
    with publisher.proxy as proxy:
        victim = publisher.start(runs[version])
        assert proxy.held.wait(PUBLISH_S)
        done = fault == "mute"
        assert published(s3, at) == states[version + done]
        victim.kill()
        assert code_of(victim) == KILLED
        assert published(s3, at) == states[version + done]
        assert publisher.exit_code(runs[version]) == 0
        if lands_late:  # the dead one's request, which somebody on the way had kept
            proxy.release()
            assert publisher.exit_code(runs[version]) == 0
    for name in ("images", "crops"):
        assert commits(s3, name) == list(runs[: version + 1])
        assert published(s3, name) == states[version + 1]
    publish_delta(open_store(s3), runs[1])
    assert published(s3, "images") == states[2]


@pytest.mark.parametrize("version", [0, 1], ids=["a new table", "one more run"])
@pytest.mark.parametrize("fault", ["lost", "conflict"])
def test_a_commit_whose_request_goes_wrong(fault: str, version: int, s3: str) -> None:
    runs = two_runs(s3)
    for run_id in runs[:version]:
        publish_delta(open_store(s3), run_id)
    publisher = Publisher(s3, once(fault, "PUT", rf"/images/_delta_log/0*{version}\.json"))
    with publisher.proxy as proxy:
        assert publisher.exit_code(runs[version]) == 0
        assert proxy.counts[fault] == 1
    assert commits(s3, "images") == list(runs[: version + 1])


@pytest.mark.parametrize("version", [0, 1], ids=["a new table", "one more run"])
def test_two_publish_the_same_run_at_once(version: int, s3: str) -> None:
    """One is held at its commit while the other does it all."""
    runs = two_runs(s3)
    for run_id in runs[:version]:
        publish_delta(open_store(s3), run_id)
    publisher = Publisher(s3, once("hold", "PUT", rf"/images/_delta_log/0*{version}\.json"))
    with publisher.proxy as proxy:
        late = publisher.start(runs[version])
        assert proxy.held.wait(PUBLISH_S)
        assert publisher.exit_code(runs[version]) == 0
        proxy.release()
        assert code_of(late) == 0
    for name in ("images", "crops"):
        assert commits(s3, name) == list(runs[: version + 1])
