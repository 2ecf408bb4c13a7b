"""A channel is a list of versions: each change adds one, and exactly one writer of each wins."""

import uuid
from pathlib import Path

import pytest

from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.channels.channel import (
    Channel,
    ChannelVersion,
    channel_name,
    history,
    read_channel,
)
from pipeline.ledger.channels.moves import advance, next_version, roll_back
from pipeline.storage.store import Store, open_store
from tests.support.put_live import put


def test_a_promotion_puts_a_run_in_front_and_a_rollback_takes_it_away(store_uri: str) -> None:
    store = open_store(store_uri)
    assert read_channel(store, "web") == Channel("web")
    for run in ("a", "b", "c"):
        put(store, run)
    assert read_channel(store, "web").runs == ("c", "b", "a")
    back = roll_back(store, "web", who="you", why="heads cut")
    assert (back.number, back.removed, back.withdrawn) == (4, ("c",), ("c",))
    assert read_channel(store, "web").runs == ("b", "a")
    roll_back(store, "web")
    assert read_channel(store, "web").runs == ("a",)
    put(store, "d")
    assert read_channel(store, "web").runs == ("d", "a")
    roll_back(store, "web")
    assert read_channel(store, "web").runs == ("a",)
    roll_back(store, "web")
    assert read_channel(store, "web").runs == ()
    with pytest.raises(LedgerError, match="nothing was before"):
        roll_back(store, "web")
    told = [
        (v.action, v.added, v.removed)
        for v in history(store, "web")
        if isinstance(v, ChannelVersion)
    ]
    assert told[:4] == [
        ("promote", ("a",), ()), ("promote", ("b",), ()), ("promote", ("c",), ()),
        ("rollback", (), ("c",)),
    ]  # fmt: skip
    assert len(history(store, "web", 2)) == 2


def test_a_run_that_is_promoted_again_is_no_longer_withdrawn(store: Store) -> None:
    put(store, "a")
    put(store, "b")
    assert roll_back(store, "web").suspect == ("b",)
    again = put(store, "b")
    assert again is not None
    assert (again.withdrawn, again.suspect) == ((), ("b",))
    roll_back(store, "web")
    assert read_channel(store, "web").withdrawn == ("b",)


def test_of_two_writers_of_one_version_one_wins_and_the_other_comes_after(store: Store) -> None:
    put(store, "a")
    asked: list[Channel] = []

    def change(live: Channel) -> ChannelVersion:
        asked.append(live)
        if len(asked) == 1:
            put(store, "faster")
        return next_version(store, live, ["b", *live.runs], "promote")

    advance(store, "web", change)
    assert [live.runs for live in asked] == [("a",), ("faster", "a")]
    assert read_channel(store, "web").runs == ("b", "faster", "a")


@pytest.mark.slow
def test_a_thousand_nights() -> None:
    """Few requests to read, and small versions; the list is right after 1,000 changes.

    In memory: a folder would sync each of 1,000 files to the disk.
    """
    store = open_store(f"memory://{uuid.uuid4().hex}")
    for night in range(1000):
        put(store, f"{night:020x}")
    before = store.requests.copy()
    live = read_channel(store, "web")
    spent = store.requests - before
    assert live.runs == tuple(f"{night:020x}" for night in reversed(range(1000)))
    assert spent["get"] == 2
    assert spent["list"] == 1
    sizes = [info.bytes for info in store.list("channels/web/0")]
    assert len(sizes) == 1000
    assert max(sizes) < 4000
    lists = [info.bytes for info in store.list("channels/web/list-")]
    assert sum(lists) < 500_000
    roll_back(store, "web")
    assert read_channel(store, "web").runs == live.runs[1:]


def test_a_run_deep_in_the_list_comes_to_the_front(store: Store) -> None:
    for night in range(200):
        put(store, f"r{night}")
    advance(
        store,
        "web",
        lambda live: next_version(
            store, live, ["r7", *(r for r in live.runs if r != "r7")], "promote"
        ),
    )
    runs = read_channel(store, "web").runs
    assert (len(runs), runs[0], len(set(runs))) == (200, "r7", 200)
    roll_back(store, "web")
    assert read_channel(store, "web").runs == tuple(f"r{n}" for n in reversed(range(200)))


@pytest.mark.parametrize("damage", [b"", b'{"format": 1', b'{"format": 2}', b'{"format": 1}'])
def test_a_damaged_version_is_one_error_and_a_rollback_mends_it(
    store: Store, damage: bytes
) -> None:
    put(store, "a")
    put(store, "b")
    put(store, "c")
    Path(store.uri, "channels/web/00000003.json").write_bytes(damage)
    with pytest.raises(RecordError, match=r"channels/web/00000003\.json"):
        read_channel(store, "web")
    assert [type(one) for one in history(store, "web")][2] is RecordError
    assert roll_back(store, "web").number == 4
    assert read_channel(store, "web").runs == ("b", "a")
    roll_back(store, "web")
    assert read_channel(store, "web").runs == ("a",)


def test_the_version_of_another_channel(store: Store) -> None:
    put(store, "a")
    put(store, "b", name="other")
    Path(store.uri, "channels/web/00000001.json").write_bytes(
        Path(store.uri, "channels/other/00000001.json").read_bytes()
    )
    with pytest.raises(RecordError, match="version 1 of channel 'other'"):
        read_channel(store, "web")


def test_names() -> None:
    settings = {"ratios": "16:9", "top_k": 1, "thumbnail_size": 512, "format": "webp"}
    name = channel_name(settings)
    assert name.startswith("16x9-webp-512-")
    assert channel_name({**settings, "quality": 10, "guards": "heads=0.1"}) == name
    for other in ({"ratios": "1:1"}, {"format": "jpeg"}, {"thumbnail_size": 64}, {"top_k": 2}):
        assert channel_name({**settings, **other}) != name
    assert channel_name({**settings, "ratios": "1:1,16:9"}) == channel_name(
        {**settings, "ratios": " 16:9, 1:1"}
    )
    long = channel_name({**settings, "ratios": "1:1,4:3,16:9,9:16,3:4,circle"})
    assert long.startswith("16x9_1x1_3x4_and_3_more-webp-512-")
    assert channel_name({}) == channel_name({"ratios": ""})
