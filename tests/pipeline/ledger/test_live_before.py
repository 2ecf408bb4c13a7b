"""A run is compared with what was live before it: by photo, whatever has happened since."""

import json
from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.errors import LedgerError, RecordError
from pipeline.ledger.differences import RunPair, compare_runs, live_before
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.storage.store import Store, open_store
from tests.pipeline.ledger.promotion.test_promotion import CHANNEL, commit, go
from tests.support.tasks import make_inputs


def before(store: Store, run_id: str) -> list[str]:
    return [manifest.run_id for manifest in live_before(store, run_id)]


def made_live(store: Store, *inputs: object, **how: object) -> str:
    run_id = commit(store, *inputs, **how)  # type: ignore[arg-type]
    assert promote(store, run_id, Request(who="me")).decision == "promoted"
    return run_id


def test_a_night_is_compared_with_the_nights_before_it(store: Store) -> None:
    """Photos 0 to 2; new contents of 1 and 2, and new photos 3 and 4; then new photos 5."""
    first = made_live(store, make_inputs(3), mark=" one")
    second = made_live(store, make_inputs(4, etag="v2", start=1), mark=" two")
    third = made_live(store, make_inputs(1, start=5), mark=" three")
    assert (before(store, first), before(store, second)) == ([], [first])
    assert before(store, third) == [second, first]
    pair = RunPair.with_live(store, second)
    assert (pair.old_id, pair.new_id) == (first, second)
    assert compare_runs(store, pair)["images"] == {
        "both": 2, "only_old": 0, "only_new": 2, "status_changed": 0, "content_changed": 0,
    }  # fmt: skip
    uris = make_inputs(3)["uri"].to_pylist()
    assert sorted(pair.old.images()["uri"].to_pylist()) == uris[1:]
    assert set(pair.old.crops()["uri"].to_pylist()) == {*uris[1:]}
    none = compare_runs(store, RunPair.with_live(store, third))
    assert none["images"] == {
        "both": 0, "only_old": 0, "only_new": 1, "status_changed": 0, "content_changed": 0,
    }  # fmt: skip
    with pytest.raises(LedgerError, match="before it: name a run to compare it with"):
        RunPair.with_live(store, first)


def test_each_photo_is_compared_with_the_last_run_that_has_it(store: Store) -> None:
    """The id and the settings that are shown are those of the run with most of these photos."""
    first = made_live(store, make_inputs(4), mark=" one")
    second = made_live(store, make_inputs(1, etag="v2"), mark=" two")
    redo = {"weights_sha256": "bb" * 32}
    third = made_live(store, make_inputs(4, etag="v3"), mark=" three", mode="full", spec=redo)
    pair = RunPair.with_live(store, third)
    rows = pair.old.images(["run_id", "uri"]).to_pylist()
    assert [row["run_id"] for row in rows] == [second, first, first, first]
    told = compare_runs(store, pair)
    assert told["old"] == first
    assert told["settings"][0].startswith("the weights was ")
    assert told["images"]["both"] == 4


def test_after_a_rollback_it_is_compared_with_what_is_live_again(store: Store) -> None:
    first = made_live(store, make_inputs(2), mark=" one")
    full = made_live(store, make_inputs(2), mark=" two", mode="full", spec={"code_version": "next"})
    assert before(store, full) == [first]
    rollback(store, CHANNEL, who="me", why="worse")
    assert before(store, full) == [first]  # it is not live any more: what is
    assert before(store, first) == []


def test_a_live_run_that_is_gone_or_damaged_is_not_passed_over(store: Store) -> None:
    """Else its photos would be compared with older crops. Runs in front do not matter."""
    first, second, third = (
        made_live(store, make_inputs(2, etag=etag), mark=f" {etag}") for etag in ("v1", "v2", "v3")
    )
    store.delete(f"runs/{second}/_MANIFEST.json")
    assert before(store, first) == []
    with pytest.raises(RecordError, match="it is gone, and the run is live"):
        live_before(store, third)
    store.write(f"runs/{second}/_MANIFEST.json", b"{")
    assert before(store, first) == []
    with pytest.raises(RecordError, match=second):
        live_before(store, third)


def test_a_candidate_is_compared_with_what_is_live(store: Store) -> None:
    first = commit(store, make_inputs(3))
    assert [decision for _, decision in go(store)] == ["promoted"]
    waiting = commit(store, make_inputs(3, etag="v2"), promote="manual")
    assert before(store, waiting) == [first]


def test_the_command_takes_one_run_or_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path)
    store = open_store(out)
    first = made_live(store, make_inputs(3), mark=" one")
    second = made_live(store, make_inputs(2, etag="v2", start=2), mark=" two")
    capsys.readouterr()
    for ids, only_old in (((second,), 0), ((first, second), 2)):
        assert main(["diff", out, *ids, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["old"], told["new"]) == (first, second)
        assert told["images"]["only_old"] == only_old
    assert main(["diff", out, first]) == 1
    assert "nothing was live in the channel" in capsys.readouterr().err
