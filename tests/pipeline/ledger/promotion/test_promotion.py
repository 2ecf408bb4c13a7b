"""What is live, what is waiting, and how the next night handles it."""

from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.errors import LedgerError, UsageError
from pipeline.gate import DEFAULT_GATE, parse_gate
from pipeline.ledger.channels.channel import channel_name, history, read_channel
from pipeline.ledger.channels.live import standing
from pipeline.ledger.coverage.incremental import Todo, uncovered
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion.promotion import (
    Outcome,
    Request,
    only_channel,
    promote,
    promote_waiting,
    rollback,
)
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import Manifest
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all

CHANNEL = channel_name(SPEC.settings)
AUTO = Request(gate=parse_gate(DEFAULT_GATE), strict=False, behind=True, who="job")


def night(
    store: Store, inputs: pa.Table, failed: dict[int, str] | None = None, mark: str = "",
    spec: dict[str, Any] | None = None, **job: Any,
) -> tuple[Manifest | None, Todo]:  # fmt: skip
    """Plan and commit as a job does, without going live."""
    made = replace(SPEC, **(spec or {}))
    todo = uncovered(store, made, inputs, job.pop("mode", "incremental"), job.get("channel"))
    if todo.inputs.num_rows == 0:
        return None, todo
    ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs, 3))
    return run_all(ledger, failed, mark, **{"promote": "auto", "trial": False, **job}), todo


def commit(store: Store, inputs: pa.Table, **how: Any) -> str:
    manifest, _ = night(store, inputs, **how)
    assert manifest is not None
    return manifest.run_id


def go(store: Store, channel: str = CHANNEL) -> list[tuple[str, str]]:
    return [(one.run_id, one.decision) for one in promote_waiting(store, channel, AUTO)]


def marks(store: Store, channel: str | None = None) -> dict[int, str]:
    """What the current table's crops are, by photo."""
    rows = open_run(store.uri, channel=channel).crops(["uri", "image"]).to_pylist()
    return {int(r["uri"][-10:-4]): r["image"].decode().partition(" ")[2] for r in rows}


def test_a_committed_run_is_a_candidate_until_it_is_promoted(store_uri: str) -> None:
    store = open_store(store_uri)
    first = commit(store, make_inputs(3), mark=" one", promote="manual")
    with pytest.raises(LedgerError, match="no run is live"):
        open_run(store.uri)
    assert open_run(store.uri, first).images().num_rows == 3
    assert promote(store, first, Request(who="me", why="looked at")).decision == "promoted"
    assert marks(store) == {0: "one", 1: "one", 2: "one"}
    assert promote(store, first, Request()).decision == "live already"
    (version,) = history(store, CHANNEL)
    assert (version.who, version.why, version.added) == ("me", "looked at", (first,))  # type: ignore[union-attr]


def test_nights_add_up_and_a_rollback_gives_the_night_before(store: Store) -> None:
    commit(store, make_inputs(3), mark=" one")
    assert [d for _, d in go(store)] == ["promoted"]
    commit(store, make_inputs(2, etag="v2", start=2), mark=" two")
    go(store)
    assert marks(store) == {0: "one", 1: "one", 2: "two", 3: "two"}
    rollback(store, CHANNEL, why="wrong")
    assert marks(store) == {0: "one", 1: "one", 2: "one"}


def test_the_photos_of_a_run_that_was_rolled_back_are_done_again_but_not_by_itself_live(
    store: Store,
) -> None:
    commit(store, make_inputs(3), mark=" one")
    go(store)
    tonight = make_inputs(5)
    commit(store, tonight, mark=" two")
    go(store)
    rollback(store, CHANNEL)
    manifest, todo = night(store, tonight, mark=" three")
    assert (todo.reasons, todo.covered) == ({"withdrawn": 2}, 3)
    assert manifest is not None
    assert go(store) == [(manifest.run_id, "rolled back")]
    assert marks(store) == {0: "one", 1: "one", 2: "one"}
    promote(store, manifest.run_id, Request())  # a person lets it go on
    assert marks(store)[4] == "three"
    commit(store, make_inputs(6), mark=" four")
    assert [d for _, d in go(store)] == ["promoted"]


def test_new_code_after_a_rollback_goes_live_by_itself(store: Store) -> None:
    commit(store, make_inputs(2), mark=" one")
    go(store)
    commit(store, make_inputs(4), mark=" two")
    go(store)
    rollback(store, CHANNEL)
    commit(store, make_inputs(4), mark=" three", spec={"code_version": "mended"})
    assert [d for _, d in go(store)] == ["promoted"]
    assert marks(store)[3] == "three"


def test_a_trial_is_never_promoted_by_itself_and_covers_nothing(store: Store) -> None:
    first = commit(store, make_inputs(3), mark=" tried", trial=True)
    assert go(store) == []
    with pytest.raises(LedgerError, match="no run is live"):
        open_run(store.uri)
    assert promote(store, first, Request()).decision == "trial"
    manifest, todo = night(store, make_inputs(3), mark=" done")
    assert todo.reasons == {"trial": 3}
    assert manifest is not None
    go(store)
    assert marks(store) == dict.fromkeys(range(3), "done")
    assert promote(store, first, Request(trial=True)).decision == "promoted"
    assert marks(store) == dict.fromkeys(range(3), "tried")


def test_a_candidate_covers_its_photos_and_the_plan_says_so(store: Store) -> None:
    first = commit(store, make_inputs(3), promote="manual")
    manifest, todo = night(store, make_inputs(5))
    assert (todo.reasons, todo.covered) == ({"new": 2}, 3)
    assert todo.waiting == {first: 3}
    assert manifest is not None
    assert go(store) == [(manifest.run_id, "promoted")]  # the other one is a person's to promote
    assert sorted(marks(store)) == [3, 4]
    promote(store, first, Request())
    assert sorted(marks(store)) == [0, 1, 2, 3, 4]
    assert night(store, make_inputs(5))[1].waiting == {}


def test_a_job_that_was_killed_before_it_went_live_is_made_live_by_the_next(store: Store) -> None:
    first = commit(store, make_inputs(3))
    manifest, todo = night(store, make_inputs(3))
    assert (manifest, todo.waiting) == (None, {first: 3})
    assert go(store) == [(first, "promoted")]


def test_a_night_that_fails_the_gate_waits_until_its_failures_are_repaired(store: Store) -> None:
    commit(store, make_inputs(3), mark=" one")
    go(store)
    all_failed = dict.fromkeys(range(3), "transient")
    bad = commit(store, make_inputs(9), failed=all_failed)
    assert go(store) == [(bad, "gate")]
    assert sorted(marks(store)) == [0, 1, 2]
    manifest, todo = night(store, make_inputs(9), mark=" again")
    assert todo.reasons == {"failed": 6}
    assert manifest is not None
    assert go(store) == [(manifest.run_id, "promoted"), (bad, "promoted")]
    assert sorted(marks(store)) == list(range(9))
    assert read_channel(store, CHANNEL).runs[:2] == (manifest.run_id, bad)


def test_the_history_names_a_gate_only_where_one_was_met(store: Store) -> None:
    """The first night of an output goes live however many photos failed: no gate is judged."""
    for start, failed in ((0, {0: "permanent", 1: "permanent"}), (6, None)):
        commit(store, make_inputs(6, start=start), failed=failed)
        go(store)
    assert [version.gate for version in history(store, CHANNEL)] == ["", DEFAULT_GATE]


def test_a_retry_is_promoted_with_the_run_that_it_repairs(store: Store) -> None:
    bad = commit(store, make_inputs(3), failed={0: "transient"}, promote="manual")
    retry = open_ledger(store, make_inputs(1), parent=bad)
    run_all(retry, mark=" repaired", promote="manual", trial=False)
    outcome = promote(store, retry.run_id, Request(gate=parse_gate("error_rate<=0")))
    assert outcome.decision == "promoted"
    assert read_channel(store, CHANNEL).runs == (retry.run_id, bad)
    assert marks(store)[0] == "repaired"
    rollback(store, CHANNEL)
    with pytest.raises(LedgerError, match="no run is live"):
        open_run(store.uri)


def test_promoting_an_older_run_puts_it_in_front_or_behind(store: Store) -> None:
    old = commit(store, make_inputs(3), mark=" old", promote="manual")
    new = commit(store, make_inputs(2, etag="v2"), mark=" new")
    promote(store, new, Request())
    promote(store, old, Request(behind=True))
    assert marks(store) == {0: "new", 1: "new", 2: "old"}
    assert promote(store, old, Request()).decision == "promoted"
    assert marks(store) == {0: "old", 1: "old", 2: "old"}
    rollback(store, CHANNEL)
    assert marks(store) == {0: "new", 1: "new", 2: "old"}


WIDE = {"settings": {"ratios": "16:9", "top_k": 1}}


def test_channels_stand_side_by_side(store: Store) -> None:
    """The crops of both; a photo once; one channel alone by its name."""
    wide = channel_name(WIDE["settings"])
    commit(store, make_inputs(3), mark=" square")
    go(store)
    commit(store, make_inputs(2, start=2), mark=" wide", spec=WIDE)
    assert [d for _, d in go(store, wide)] == ["promoted"]
    run = open_run(store.uri)
    assert sorted(run.images(["uri"])["uri"].to_pylist()) == make_inputs(4)["uri"].to_pylist()
    assert run.images().num_rows == 4
    # the made crops all say 1:1; by the settings the channels have no shape in common
    assert run.crops().num_rows == 5
    assert marks(store, CHANNEL) == dict.fromkeys(range(3), "square")
    assert marks(store, wide) == {2: "wide", 3: "wide"}
    with pytest.raises(UsageError, match="choose a channel"):
        only_channel(store, "")
    with pytest.raises(UsageError, match="live are"):
        open_run(store.uri, channel="other")


def test_a_shape_of_two_channels_comes_from_the_one_promoted_last(store: Store) -> None:
    commit(store, make_inputs(3), mark=" web", channel="web")
    go(store, "web")
    commit(store, make_inputs(2), mark=" app", channel="app")
    assert [d for _, d in go(store, "app")] == ["promoted"]
    assert marks(store) == {0: "app", 1: "app", 2: "web"}
    assert open_run(store.uri).crops().num_rows == 3
    assert marks(store, "web") == dict.fromkeys(range(3), "web")
    assert night(store, make_inputs(3), channel="app")[1].reasons == {"channel": 1}


def test_earlier_runs_are_live_until_and_after_the_first_promotion(store: Store) -> None:
    """Runs of a release before promotion, of two settings, read by the rule of then."""
    run_all(open_ledger(store, make_inputs(3)), mark=" square")
    run_all(open_ledger(store, make_inputs(2), **WIDE), mark=" wide")
    assert marks(store) == {0: "wide", 1: "wide", 2: "square"}
    waits = commit(store, make_inputs(4), mark=" new", promote="manual")
    assert marks(store) == {0: "wide", 1: "wide", 2: "square"}
    promote(store, waits, Request())
    run = open_run(store.uri)
    assert run.images().num_rows == 4
    assert run.crops().num_rows == 6  # 4 squares and 2 wide ones side by side
    assert marks(store, CHANNEL) == {0: "square", 1: "square", 2: "square", 3: "new"}
    assert night(store, make_inputs(4))[1].covered == 4
    assert night(store, make_inputs(2), spec=WIDE)[1].covered == 2
    rollback(store, CHANNEL)
    assert marks(store, CHANNEL) == dict.fromkeys(range(3), "square")
    rollback(store, CHANNEL)
    with pytest.raises(LedgerError, match="nothing was before"):
        rollback(store, CHANNEL)


def test_a_run_of_an_earlier_release_that_comes_later_is_a_candidate(store: Store) -> None:
    first = commit(store, make_inputs(2), mark=" new")
    go(store)
    late = run_all(open_ledger(store, make_inputs(3)), mark=" late")  # its job knows no promotion
    assert marks(store) == {0: "new", 1: "new"}
    assert standing(store).state(late) == "candidate"
    assert night(store, make_inputs(3))[1].waiting == {late.run_id: 3}
    assert promote(store, late.run_id, Request(behind=True)).decision == "promoted"
    assert read_channel(store, CHANNEL).runs == (late.run_id, first)  # it was committed later


def test_what_every_run_is(store: Store) -> None:
    live = commit(store, make_inputs(1))
    go(store)
    commit(store, make_inputs(2))
    go(store)
    rollback(store, CHANNEL)
    tried = commit(store, make_inputs(3), trial=True)
    waits = commit(store, make_inputs(4), promote="manual")
    known = standing(store)
    states = {m.run_id: known.state(m) for m in known.runs.committed}
    assert states.pop(live) == "live"
    assert (states.pop(tried), states.pop(waits)) == ("trial", "candidate")
    assert list(states.values()) == ["withdrawn"]


def test_the_gate_is_asked_again_where_somebody_was_faster(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit(store, make_inputs(2), mark=" one", promote="manual")
    second = commit(store, make_inputs(2, etag="v2"), mark=" two", promote="manual")
    asked: list[list[str]] = []
    import pipeline.ledger.promotion.promotion as module

    plain = module.measure

    def slow(store: Store, run_id: str, live: Any, behind: bool) -> Any:
        asked.append([m.run_id for m in live])
        if len(asked) == 1:
            monkeypatch.setattr(module, "measure", plain)
            promote(store, first, Request())
            monkeypatch.setattr(module, "measure", slow)
        return plain(store, run_id, live, behind)

    monkeypatch.setattr(module, "measure", slow)
    outcome: Outcome = promote(store, second, Request())
    assert outcome.decision == "promoted"
    assert asked == [[], [first]]
    assert read_channel(store, CHANNEL).runs == (second, first)


def test_a_clock_that_was_ahead_neither_shadows_later_nights_nor_repeats_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 5 * 86400)
    commit(store, make_inputs(3), failed={0: "transient"}, mark=" ahead")
    go(store)
    monkeypatch.setattr(time, "time", real)
    manifest, todo = night(store, make_inputs(3), mark=" today")
    assert todo.reasons == {"failed": 1}
    assert 5 * 86400 - 60 < todo.ahead_s < 5 * 86400 + 60
    assert manifest is not None
    assert standing(store).runs.committed[0].run_id == manifest.run_id
    go(store)
    assert marks(store)[0] == "today"
    assert night(store, make_inputs(3))[1].covered == 3  # and not again each night


def test_a_gate_asks_for_what_is_not_known_unless_a_job_asks(store_uri: str) -> None:
    """These crops do not say whether they cut a head."""
    store = open_store(store_uri)
    run_id = commit(store, make_inputs(3))
    gate = parse_gate("head_cut_rate<=0.5")
    assert not promote(store, run_id, Request(gate=gate)).is_live
    assert Request() == Request(strict=True, channel=None, trial=False, behind=False)
    assert promote(store, run_id, Request(gate=gate, strict=False)).is_live
