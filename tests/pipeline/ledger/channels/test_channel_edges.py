"""Edge cases of channels and their versions: limits, damage, concurrent promotions."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.errors import LedgerError, RecordError, SettingError
from pipeline.ledger.channels import moves
from pipeline.ledger.channels.channel import (
    Channel,
    ChannelVersion,
    channel_name,
    channel_names,
    channel_of,
    history,
    read_channel,
)
from pipeline.ledger.channels.moves import advance, next_version, roll_back
from pipeline.ledger.records import to_bytes
from pipeline.ledger.versions import Versions
from pipeline.storage.store import Store
from tests.support.put_live import put
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all


def test_what_a_channel_is_before_anything_happened(store: Store) -> None:
    assert (Channel("web").number, Channel("web").withdrawn, Channel("web").runs) == (0, (), ())
    with pytest.raises(LedgerError, match="nothing was ever promoted in channel web"):
        roll_back(store, "web")
    assert history(store, "web") == []
    assert channel_names(store) == ()
    for call in (lambda: put(store, "a", name="no/name"), lambda: roll_back(store, "-name")):
        with pytest.raises(SettingError, match="is no name"):
            call()


def test_history_gives_the_last_versions(store: Store) -> None:
    for run in "abcd":
        put(store, run)
    numbers = [one.number for one in history(store, "web", 3) if isinstance(one, ChannelVersion)]
    assert numbers == [2, 3, 4]
    assert len(history(store, "web")) == len(history(store, "web", 9)) == 4
    (last,) = history(store, "web", 1)
    assert isinstance(last, ChannelVersion)
    assert (last.previous, last.action, last.added, last.removed) == (3, "promote", ("d",), ())
    assert len(last.nonce) == 16
    assert last.at > 1.7e9


@pytest.mark.parametrize("count", [63, 64, 65])
def test_a_version_holds_sixty_four_runs_itself(store: Store, count: int) -> None:
    version = put(store, *(f"r{n}" for n in range(count)))
    assert version is not None
    assert (len(version.recent), version.earlier is None) == (
        (count, True) if count < 65 else (0, False)
    )
    assert read_channel(store, "web").runs == tuple(f"r{n}" for n in range(count))
    put(store, "new")
    assert read_channel(store, "web").runs == ("new", *(f"r{n}" for n in range(count)))


def test_a_channel_that_others_move_all_the_time_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "ATTEMPTS", 3)
    asked = []

    def change(live: Channel) -> ChannelVersion:
        asked.append(live.number)
        version = next_version(store, live, [f"mine{len(asked)}"], "promote")
        store.create_once(f"channels/web/{version.number:08d}.json", to_bytes(
            next_version(store, live, [f"theirs{len(asked)}"], "promote")))  # fmt: skip
        return version

    with pytest.raises(LedgerError, match="is being changed by others"):
        advance(store, "web", change)
    assert asked == [0, 1, 2]

    def nothing(live: Channel) -> None:
        return None

    assert advance(store, "web", nothing) is None
    monkeypatch.setattr(Versions, "create", lambda *_: False)
    with pytest.raises(LedgerError, match="is being changed by others"):
        roll_back(store, "web")


def test_a_channel_whose_every_version_is_damaged(store: Store) -> None:
    for number in (1, 2):
        store.write(f"channels/web/{number:08d}.json", b"{")
    with pytest.raises(LedgerError, match="no version of channel web can be read; promote"):
        roll_back(store, "web")


def test_a_damaged_last_version_of_several_is_counted_on(store: Store) -> None:
    put(store, "a")
    put(store, "b")
    store.write("channels/web/00000009.json", b"{")
    back = roll_back(store, "web")
    assert (back.number, back.action, back.previous) == (10, "rollback", 1)
    assert read_channel(store, "web").runs == ("b", "a")


def test_other_objects_beside_versions_are_ignored(store: Store) -> None:
    put(store, "a")
    for name in ("0000000x.json", "1.json", "00000002.json.bak", "list-ab.json"):
        store.write(f"channels/web/{name}", b"{")
    (Path(store.uri) / "channels" / "-odd").mkdir()
    versions = Versions(store, "channels/web/")
    assert versions.numbers() == [1]
    assert versions.key(12) == "channels/web/00000012.json"
    with pytest.raises(RecordError, match="it is gone"):
        versions.read(5, ChannelVersion)
    assert channel_names(store) == ("web",)


def test_a_list_beside_versions(store: Store) -> None:
    versions = Versions(store, "p/")
    assert versions.write_list([]) is None
    assert versions.read_list(None) == []
    entry = versions.write_list(iter(["a", 2]))
    assert entry is not None
    assert (entry.rows, versions.read_list(entry)) == (2, ["a", 2])
    assert entry.key == f"p/list-{entry.sha256[:32]}.json"
    assert versions.write_list(["a", 2]) == entry
    store.write(entry.key, to_bytes({"format": 1, "items": "a"}))
    with pytest.raises(RecordError, match="changed after it was written"):
        versions.read_list(entry)


def test_a_channel_is_named_after_its_product() -> None:
    assert channel_name({}).startswith("all-")
    assert channel_name({"ratios": "a" * 60}).startswith("a" * 40 + "-")
    plain = {"ratios": "1:1", "format": "webp", "thumbnail_size": 9}
    assert channel_name({**plain, "boxes_only": True}).startswith("1x1-boxes-9-")
    assert channel_name({**plain, "boxes_only": False}) == channel_name(plain)
    four = channel_name({**plain, "ratios": "1:1,2:1,3:1,4:1"})
    assert four.startswith("1x1_2x1_3x1_and_1_more-webp-9-")
    assert channel_name({**plain, "ratios": "1:1,2:1,3:1"}).startswith("1x1_2x1_3x1-webp-9-")
    assert len(channel_name(plain).rpartition("-")[2]) == 6


def test_a_run_says_which_channel_it_is_for(store: Store) -> None:
    manifest = run_all(open_ledger(store, make_inputs(1)))
    assert channel_of(manifest) == channel_name(SPEC.settings)
    assert channel_of(replace(manifest, job={"channel": "mine"})) == "mine"
