"""Two processes that publish the named crops of one channel at the same time."""

import hashlib
import json
import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cli.runs import main
from pipeline.ledger.channels.channel import read_channel
from pipeline.ledger.channels.live import standing
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.promotion.published_index import read_published
from pipeline.ledger.promotion.publishing import deviation, publish_files
from pipeline.ledger.reader import open_run
from pipeline.storage.store import Store, open_store
from tests.support.faultproxy import FaultProxy
from tests.support.named_crops import run_with_named_crops as run
from tests.support.tasks import make_inputs

PHOTOS = 24
ROUNDS = 2


def go_live(store: Store, run_id: str) -> None:
    assert promote(store, run_id, Request()).is_live


def shown(store: Store) -> dict[str, bytes]:
    """Return the pictures that a front end gets, by name."""
    keys = [info.key for info in store.list("public/web/")]
    return {key.removeprefix("public/web/"): store.read(key) for key in keys}


def live(store: Store) -> dict[str, bytes]:
    """Return the pictures that readers of the tables get, by the same names."""
    rows = open_run(store.uri, channel="web").crops(["file", "image"]).to_pylist()
    return {row["file"].rpartition("/")[2]: row["image"] for row in rows}


def is_as_live(store: Store) -> bool:
    """Return whether published objects, tables and index agree."""
    pictures = shown(store)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in pictures.items()}
    index = {name: one.sha256 for name, one in read_published(store, "web").items()}
    return pictures == live(store) and index == hashes


@pytest.mark.parametrize(("move", "every"), [("promotes", 1), ("rolls back", 1), ("forgets", 3)])
def test_another_process_acts_before_any_request_of_a_publisher(
    monkeypatch: pytest.MonkeyPatch, move: str, every: int
) -> None:
    """By hand: the published run has photos 0, 1, 2; the next live run has a new 0, and 3.

    The other process promotes a new 0 and 1, or rolls back, and publishes too; or it erases 3.
    """
    for step in range(0, 200, every):
        store = open_store(f"memory://{uuid.uuid4().hex}")
        first = run(store, make_inputs(3), "A")
        second = run(store, pa.concat_tables([make_inputs(1, "v2"), make_inputs(1, start=3)]), "B")
        third = run(store, make_inputs(2, "v3"), "C")
        go_live(store, first)
        publish_files(store, "web")
        go_live(store, second)

        def other(store: Store = store, third: str = third) -> None:
            if move == "forgets":
                forget(store, make_inputs(1, start=3)["image_id"].to_pylist())
                remove_garbage(store, look_for_garbage(store, 0, time.time() + 60).garbage)
                return
            if move == "promotes":
                go_live(store, third)
            else:
                rollback(store, "web")
            publish_files(store, "web")

        has_acted = interrupted(store, monkeypatch, step, other)
        assert shown(store) == live(store), f"the other process acted before request {step}"
        # An erased photo may stay in the index, as a name without object, until the next call.
        assert move == "forgets" or is_as_live(store), f"the other acted before request {step}"
        if not has_acted:
            break
    assert step > 12, "every request of a publication was tested"


@pytest.mark.parametrize("then", ["stays", "rolls back"])
def test_a_publisher_is_overtaken_and_killed(monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """Another process promotes and publishes at any request; the first dies 1 to 3 requests later.

    The other run has a new photo 1 and adds 4, so the rollback takes both back.
    """
    for step in range(200):
        store = open_store(f"memory://{uuid.uuid4().hex}")
        first = run(store, make_inputs(3), "A")
        second = run(store, pa.concat_tables([make_inputs(1, "v2"), make_inputs(1, start=3)]), "B")
        inputs = pa.concat_tables([make_inputs(2, "v3"), make_inputs(1, start=4)])
        third = run(store, inputs, "C")
        go_live(store, first)
        publish_files(store, "web")
        go_live(store, second)

        def other(store: Store = store, third: str = third) -> None:
            go_live(store, third)
            publish_files(store, "web")

        try:
            has_acted = interrupted(store, monkeypatch, step, other, dies_after=1 + step % 3)
        except Killed:
            has_acted = True
        if then == "rolls back":
            rollback(store, "web")
        found = deviation(store, standing(store), "web")
        assert shown(store) == live(store) or found.changed or found.gone, "the check reports it"
        publish_files(store, "web")
        assert is_as_live(store), f"it was overtaken before request {step}"
        if not has_acted:
            break
    assert step > 12, "every request of a publication was tested"


class Killed(BaseException):
    pass


def interrupted(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
    other: Callable[[], None],
    dies_after: int = 999,
) -> bool:
    """Publish, run `other` after a number of requests, and return whether it has run.

    dies_after: raise Killed at this number of requests after `other`
    """
    left = after
    has_acted = False

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(Store, name)

        def call(self: Store, *arguments: Any) -> Any:
            nonlocal left, has_acted
            if not left and not has_acted:
                has_acted = True
                with monkeypatch.context() as own:
                    for name, plain in originals.items():
                        own.setattr(Store, name, plain)
                    other()
            if left + dies_after <= 0:
                raise Killed
            left -= 1
            return original(self, *arguments)

        return call

    originals = {name: getattr(Store, name) for name in ("read", "write", "delete", "list")}
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.ledger.promotion.publishing.COPIES", 1)
        for name in originals:
            patch.setattr(Store, name, counted(name))
        publish_files(store, "web")
    return has_acted


class SlowStore(Store):
    """A store that writes published objects slowly, as over a slow network."""

    def write(self, key: str, data: bytes) -> None:
        """Write as `Store.write`, but published objects with a delay."""
        time.sleep(0.3 if key.startswith("public/") else 0)
        super().write(key, data)


def publisher(
    uri: str, environment: dict[str, str], run_ids: list[str], barrier: Any, is_slow: bool
) -> None:
    """Make one run live in each round, and publish it."""
    os.environ.update(environment)
    store = open_store(uri)
    if is_slow:
        store.__class__ = SlowStore
    for run_id in run_ids:
        barrier.wait(180)
        go_live(store, run_id)
        publish_files(store, "web")
        barrier.wait(180)


def listed(store: Store, capsys: pytest.CaptureFixture[str]) -> tuple[str, ...]:
    """Return the live runs, the front one first, as `runs.py list` reports them."""
    capsys.readouterr()
    assert main(["list", store.uri, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    places = {line["live"]["web"][0]: line["run_id"] for line in lines if line["live"]}
    return tuple(places[place] for place in sorted(places))


@pytest.fixture
def two_processes(
    s3: str, s3_server: str
) -> Iterator[Callable[[list[list[str]]], threading.Barrier]]:
    """Return a function that starts a publisher for each list of runs; the first one is slow.

    They wait for each other at the barrier, and for the test. Both use the proxy, which makes
    creation atomic: moto checks and writes in two steps.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    publishers = []
    with FaultProxy(s3_server) as proxy:
        names = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        environment = {**names, "AWS_ENDPOINT_URL": proxy.address}

        def start(runs: list[list[str]]) -> threading.Barrier:
            for own in runs:
                arguments = (f"{s3}/out", environment, own, barrier, own is runs[0])
                publishers.append(context.Process(target=publisher, args=arguments))
                publishers[-1].start()
            return barrier

        yield start
        barrier.abort()
        for process in publishers:
            process.join(60)


def test_two_processes_end_each_round_with_one_version(
    s3: str,
    two_processes: Callable[[list[list[str]]], threading.Barrier],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both promote and publish their own runs over the same photos at the same time."""
    store = open_store(f"{s3}/out")
    numbers = range(2 * ROUNDS)
    runs = [run(store, make_inputs(PHOTOS, f"v{n}"), f"{n}", task_images=99) for n in numbers]
    barrier = two_processes([runs[::2], runs[1::2]])
    for number in range(ROUNDS):
        barrier.wait(180)
        barrier.wait(180)  # both are done
        order = read_channel(store, "web").runs
        assert {*order[:2]} == {*runs[2 * number : 2 * number + 2]}, "both runs, one in front"
        assert order == tuple(one["run_id"] for one in open_run(store.uri).manifests)
        assert order == listed(store, capsys)
        assert is_as_live(store), f"after round {number}"
