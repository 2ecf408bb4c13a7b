"""Which of several channels comes first: the last promoted one, whatever the clocks show."""

import json
import time

import pytest

from pipeline.ledger.channels.channel import channel_name, read_channel
from pipeline.ledger.channels.live import live_layers
from pipeline.ledger.channels.moves import roll_back
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import to_bytes
from pipeline.storage.store import Store
from tests.support.put_live import put
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all


@pytest.fixture
def store(memory: Store) -> Store:
    return memory


def run(store: Store, mark: str, channel: str) -> str:
    """A committed run of one photo, whose crop shows the mark."""
    ledger = open_ledger(store, make_inputs(1), code_version=mark)
    return run_all(ledger, mark=f" {mark}", channel=channel, promote="manual", trial=False).run_id


def front(store: Store) -> str:
    """The mark of the crop that is shown."""
    (crop,) = open_run(store.uri).crops(["image"]).to_pylist()
    mark: str = crop["image"].decode().split()[-1]
    return mark


def test_a_rollback_is_no_promotion(store: Store) -> None:
    a1, a2, b = run(store, "a1", "a"), run(store, "a2", "a"), run(store, "b", "b")
    put(store, a1, name="a")
    put(store, a2, name="a")
    put(store, b, name="b")
    assert front(store) == "b"
    roll_back(store, "a")
    assert front(store) == "b", "a1 was promoted before b"
    put(store, a2, name="a")
    assert front(store) == "a2"
    roll_back(store, "a")
    assert front(store) == "b", "what was in front before a2 is so again"
    roll_back(store, "b")
    assert front(store) == "a1"


def test_a_rollback_to_a_rollback_counts_from_the_promotion_that_it_shows(store: Store) -> None:
    """Of a: v1 a1, v2 a2, v3 back to a1, v4 a2, v5 back to v3; b is promoted after v1."""
    a1, a2, b = run(store, "a1", "a"), run(store, "a2", "a"), run(store, "b", "b")
    put(store, a1, name="a")
    put(store, b, name="b")
    for _ in range(2):
        put(store, a2, name="a")
        assert front(store) == "a2"
        roll_back(store, "a")
        assert front(store) == "b"
    assert read_channel(store, "a").number == 5
    store.write("channels/a/00000004.json", b"{")  # then v3 is the newest before the rollback
    assert front(store) == "b"
    for number in (1, 2, 3):
        store.write(f"channels/a/{number:08d}.json", b"{")
    assert front(store) == "a1", "with nothing to go by it is the time of the rollback"


def test_a_clock_that_is_behind_hides_no_promotion(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = run(store, "a", "a"), run(store, "b", "b")
    put(store, a, name="a")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    put(store, b, name="b")
    assert front(store) == "b"
    assert 0 < versions_at(store, "b") - versions_at(store, "a") < 1
    put(store, a, name="a")
    assert front(store) == "a"
    assert 0 < versions_at(store, "a") - versions_at(store, "b") < 1
    last = versions_at(store, "a")
    roll_back(store, "a")
    assert 0 < versions_at(store, "a") - last < 1


def versions_at(store: Store, name: str) -> float:
    version = read_channel(store, name).version
    assert version is not None
    return version.at


def test_versions_of_earlier_releases_count_by_their_own_times(store: Store) -> None:
    a, b = run(store, "a", "a"), run(store, "b", "b")
    for name, run_id, at in (("a", a, 2e9), ("b", b, 1e9)):
        put(store, run_id, name=name)
        key = f"channels/{name}/00000001.json"
        store.write(key, to_bytes({**json.loads(store.read(key)), "at": at}))
    assert front(store) == "a"
    put(store, b, name="b")
    assert front(store) == "b"
    assert 0 < versions_at(store, "b") - 2e9 < 1


def test_the_first_promotion_keeps_the_order_of_what_was_live_before(store: Store) -> None:
    """Runs of a release before promotion; the last one committed is shown."""
    shapes = {"x": "1:1", "y": "1:1,4:3", "z": "1:1,9:16"}
    runs = {}
    for mark, ratios in shapes.items():
        ledger = open_ledger(store, make_inputs(1), settings={**SPEC.settings, "ratios": ratios})
        runs[mark] = run_all(ledger, mark=f" {mark}")
    assert front(store) == "z"
    other = open_ledger(store, make_inputs(1, start=5))
    promote(store, run_all(other, promote="manual", channel="new").run_id, Request())
    in_order = [layer[0].run_id for layer in live_layers(store)]
    assert in_order == [other.run_id, *(runs[mark].run_id for mark in ("z", "y", "x"))]
    names = [channel_name({**SPEC.settings, "ratios": ratios}) for ratios in shapes.values()]
    times = [versions_at(store, name) for name in names]
    assert times == sorted(times)
