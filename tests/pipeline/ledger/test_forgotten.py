"""The latest decision on each photo, who made it, and how many a version can contain."""

import json

import pyarrow as pa
import pytest

from pipeline.errors import RecordError
from pipeline.inputs.listing import image_id
from pipeline.ledger import author, forgetting
from pipeline.ledger.author import whoami
from pipeline.ledger.coverage.key_ranges import digits_for
from pipeline.ledger.forgetting import (
    Entry,
    forget,
    prune,
    read_forgotten,
    take_back,
    without,
)
from pipeline.ledger.pruning import gone_photos, live_photos
from pipeline.ledger.versions import Versions
from pipeline.storage.backend import StoreUnavailableError
from pipeline.storage.store import Store
from tests.support.small_pieces import in_small_pieces
from tests.support.tasks import make_inputs, open_ledger, run_all


def test_who_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_JOB_SUBMISSION_ID", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(author.getpass, "getuser", lambda: "ann")
    monkeypatch.setattr(author.socket, "gethostname", lambda: "host")
    assert whoami() == "ann@host"
    config = {"metadata": {"job_submission_id": "raysubmit_1"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(config))
    assert whoami() == "ann@host (job raysubmit_1)"
    monkeypatch.setenv("RAY_JOB_SUBMISSION_ID", "other")
    assert whoami() == "ann@host (job other)"
    monkeypatch.delenv("RAY_JOB_SUBMISSION_ID")
    for odd in ("no json", "[1]", '{"metadata": 3}'):
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", odd)
        assert whoami() == "ann@host"

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(author.getpass, "getuser", nameless)
    assert whoami() == f"uid-{author.os.getuid()}@host"


def test_the_last_word_on_a_photo(store: Store) -> None:
    assert read_forgotten(store).number == 0
    assert take_back(store, ["a"]) == 0
    assert prune(store, ["a", "b", "a"]) == 2
    assert prune(store, ["a"]) == 0
    assert forget(store, ["a", "c"], who="me", why="asked") == 2
    assert forget(store, ["a"]) == 0
    assert prune(store, ["a", "c"]) == 0, "what a person forgot is never only pruned"
    now = read_forgotten(store)
    assert (now.number, now.ids("forgotten"), now.ids("pruned")) == (2, ["a", "c"], ["b"])
    assert now.hidden.to_pylist() == ["a", "b", "c"]
    assert now.returned == {}
    assert take_back(store, ["a", "b", "x"]) == 2
    now = read_forgotten(store)
    assert (now.hidden.to_pylist(), sorted(now.returned)) == (["c"], ["a", "b"])
    assert prune(store, ["a"]) == 1
    assert forget(store, ["b"]) == 1


@pytest.mark.parametrize("count", [255, 256, 257])
def test_a_version_of_the_forgotten_holds_256_photos_itself(store: Store, count: int) -> None:
    names = [f"{number:04}" for number in range(count)]
    forget(store, names)
    versions = Versions(store, "forgotten/")
    version = versions.read(1, forgetting.ForgottenVersion)
    assert len(version.recent) == (count if count <= 256 else 0)
    assert (version.photos, version.kind, version.number) == (count, "forgotten", 1)
    assert forget(store, ["new"]) == 1
    take_back(store, ["0003"])
    now = read_forgotten(store)
    assert now.hidden.to_pylist() == [name for name in [*names, "new"] if name != "0003"]
    assert now.entries["0003"].kind == "back"


def test_a_stored_list_of_forgotten_photos_is_checked(store: Store) -> None:
    forget(store, [f"{number}" for number in range(300)])
    (info,) = store.list("forgotten/list-")
    assert Entry("a", "forgotten", 1.0) == Entry("a", "forgotten", 1.0)
    store.delete(info.key)
    with pytest.raises(RecordError, match="it is gone"):
        read_forgotten(store)


def test_rows_without_the_hidden_ones() -> None:
    rows = pa.table({"image_id": ["a", "b", "a"]})
    assert without(rows, None) is rows
    assert without(rows, pa.array([], pa.string())) is rows
    assert without(rows, pa.array(["a"]))["image_id"].to_pylist() == ["b"]


def test_many_live_photos_are_looked_for_by_key_range(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overlapping runs, each photo once, with the address that the latest gives it."""
    for start, count in ((0, 30), (20, 25), (10, 7)):
        run_all(open_ledger(store, make_inputs(count, start=start, etag=f"v{start}")))
    forget(store, make_inputs(2, start=22)["image_id"].to_pylist())
    in_small_pieces(monkeypatch)
    assert digits_for(62) == 2
    uris = make_inputs(45)["uri"].to_pylist()
    left = uris[:22] + uris[24:]
    live = live_photos(store)
    assert live["uri"].to_pylist() == left
    assert live["image_id"].to_pylist() == [image_id(uri) for uri in left]
    listed = make_inputs(40, start=3)
    gone = gone_photos(store, listed, lambda uri: uri != uris[1])
    assert gone.photos["uri"].to_pylist() == [uris[0], uris[2], uris[43], uris[44]]
    assert gone.live == 42


def test_a_store_that_does_not_answer_is_not_one_where_nothing_is_live(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job would prune nothing, and not forget what a pattern matches, without a word."""
    run_all(open_ledger(store, make_inputs(2)))

    def busy(operation: str, attempt: object, key: str = "") -> None:
        raise StoreUnavailableError("throttled", "503")

    monkeypatch.setattr(store, "_try", busy)
    with pytest.raises(StoreUnavailableError):
        live_photos(store)
    with pytest.raises(StoreUnavailableError):
        gone_photos(store, make_inputs(1), lambda uri: True)


def test_live_photos_and_those_that_are_gone(store: Store) -> None:
    assert live_photos(store).num_rows == 0
    nothing = gone_photos(store, make_inputs(1), lambda uri: True)
    assert (nothing.live, nothing.share) == (0, 0.0)
    run_all(open_ledger(store, make_inputs(6)))
    run_all(open_ledger(store, make_inputs(6, start=4)))
    assert live_photos(store)["uri"].to_pylist() == make_inputs(10)["uri"].to_pylist()
    forget(store, [make_inputs(1)["image_id"][0].as_py()])
    assert live_photos(store).num_rows == 9
    gone = gone_photos(store, make_inputs(7), lambda uri: not uri.endswith("9.jpg"))
    assert gone.photos["uri"].to_pylist() == make_inputs(2, start=7)["uri"].to_pylist()
    assert (gone.live, gone.share) == (8, 0.25)
    for info in [*store.list("runs/")]:
        if info.key.endswith("_MANIFEST.json"):
            store.write(info.key, b"{")
    with pytest.raises(RecordError):
        live_photos(store)
