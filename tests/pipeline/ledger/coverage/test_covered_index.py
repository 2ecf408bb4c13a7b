"""The index of covered photos agrees with the runs' own lists, and costs a few requests."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.ledger import manifest_copies, stored_runs
from pipeline.ledger.channels.channel import channel_name, read_channel
from pipeline.ledger.coverage import compaction, compare, covered
from pipeline.ledger.coverage.compaction import write_indexes
from pipeline.ledger.coverage.covered import ROWS, CoveredIndex, file_key, kind_of, read_index
from pipeline.ledger.coverage.covered_rows import latest_rows
from pipeline.ledger.coverage.incremental import Todo, uncovered
from pipeline.ledger.coverage.key_ranges import buckets
from pipeline.ledger.forgetting import forget, prune, take_back
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.indexes import read_verified, write_numbered
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import read_committed
from pipeline.ledger.pinned import _input_file
from pipeline.ledger.plan import cut_tasks
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.reader import open_run
from pipeline.ledger.records import to_bytes
from pipeline.schema import INPUT_OVERRIDE
from pipeline.storage.store import Store, open_store
from tests.support.tasks import SPEC, make_inputs, run_all

KINDS = ("transient", "circumstances", "permanent")
CHANNEL = channel_name(SPEC.settings)
JOB = {"promote": "auto", "channel": CHANNEL, "trial": False}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose indexes begin at three runs and cut their rows into 16 files."""
    for module in (compaction, covered, compare, manifest_copies, stored_runs):
        monkeypatch.setattr(module, "TAIL", 2)
    monkeypatch.setattr(compaction, "FILE_ROWS", 3)
    monkeypatch.setattr(compaction, "GROWTH", 0.5)
    monkeypatch.setattr(compaction, "MAX_ID_DIGITS", 1)
    return open_store(str(tmp_path))


@contextmanager
def without_index() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "read_index", lambda *_: CoveredIndex(segments=()))
        patch.setattr(covered, "read_index", lambda *_: CoveredIndex(segments=()))
        patch.setattr(stored_runs, "copied_manifests", lambda _: {})
        yield


def figures(todo: Todo) -> dict[str, Any]:
    named = ("reasons", "covered", "waiting", "postponed", "given_up", "forgotten", "returned")
    return {"uris": todo.inputs["uri"].to_pylist(), **{name: getattr(todo, name) for name in named}}


def agreed(store: Store, inputs: pa.Table, **changes: Any) -> Todo:
    """The plan by the index, which is the one by the lists.

    Of runs of another kind the index knows the latest alone, so there words may differ.
    """
    todo = uncovered(store, replace(SPEC, **changes), inputs)
    with without_index():
        expected = figures(uncovered(store, replace(SPEC, **changes), inputs))
    found = figures(todo)
    if changes.keys() - {"code_version"}:
        del found["reasons"], expected["reasons"]
    assert found == expected
    return todo


def night(
    store: Store, inputs: pa.Table, failed: dict[int, str] | None = None, **job: Any
) -> str | None:
    todo = uncovered(store, SPEC, inputs)
    if not todo.inputs.num_rows:
        return None
    ledger = Ledger.open(store, todo.spec, todo.inputs, cut_tasks(todo.inputs, 3))
    manifest = run_all(ledger, failed, **{**JOB, **job})
    write_indexes(store, manifest)
    return manifest.run_id


def index_of(store: Store) -> CoveredIndex:
    (folder,) = (name for name in store.folders("runs/_index/") if name.startswith("covered-"))
    return read_index(store, folder.removeprefix("covered-"))


def rows_of(numbers: dict[int, str], overrides: dict[int, str] | None = None) -> pa.Table:
    """A list of photos by number and ETag, some with a person's word."""
    parts = [make_inputs(1, etag=etag, start=number) for number, etag in sorted(numbers.items())]
    table = pa.concat_tables(parts)
    texts = [(overrides or {}).get(number) for number in sorted(numbers)]
    return table.append_column(INPUT_OVERRIDE, pa.array(texts, INPUT_OVERRIDE.type))


def test_random_histories_are_told_alike(store: Store) -> None:
    draw = random.Random(7)
    segments, photos = 0, range(40)
    for _ in range(24):
        etags = ["v1", "v1", "v1", "v2"]
        numbers = {n: draw.choice(etags) for n in photos if draw.random() < 0.6}
        overrides = {n: draw.choice(["one", "two"]) for n in numbers if draw.random() < 0.05}
        inputs = rows_of(numbers, overrides)
        todo = agreed(store, inputs)
        others = [{"settings": {}}, {"code_version": "next"}, {"weights_sha256": "bb" * 32}]
        agreed(store, inputs, **draw.choice(others))
        failed = {row: draw.choice(KINDS) for row in range(3) if draw.random() < 0.4}
        dice = draw.random()
        ids = todo.inputs["image_id"].to_pylist()[:2]
        if dice < 0.05 and ids:
            forget(store, ids[:1])
        elif dice < 0.1 and ids:
            prune(store, ids)
            take_back(store, ids[:1])
        done = night(store, inputs, failed)
        if done and dice > 0.6:
            promote(store, done, Request(behind=True))
        elif dice > 0.57 and read_channel(store, CHANNEL).runs:
            rollback(store, CHANNEL)
        if any(name.startswith("covered-") for name in store.folders("runs/_index/")):
            segments = max(segments, len(index_of(store).segments))
    assert segments >= 2


def test_the_live_table_is_told_alike_and_reads_fewer_tables(store: Store) -> None:
    draw = random.Random(3)
    for number in range(12):
        numbers = {n: f"v{number if draw.random() < 0.2 else 1}" for n in range(number * 2 + 1)}
        run_id = night(store, rows_of(numbers), {0: draw.choice(KINDS)})
        promote(store, run_id or "", Request(behind=True))
    columns = ["uri", "etag", "status", "run_id"]
    assert index_of(store).segments
    before = store.requests["get"]
    run = open_run(store.uri)
    found = run.images(columns).sort_by("uri")
    asked = run._store.requests["get"]
    with without_index():
        run = open_run(store.uri)
        assert run.images(columns).sort_by("uri").equals(found)
        assert run._store.requests["get"] > asked
    assert store.requests["get"] == before
    assert len(found) == 23


def many(store: Store, nights: int) -> None:
    for number in range(nights):
        night(store, make_inputs(1, start=number))


def test_a_plan_costs_a_few_requests_whatever_the_nights(store: Store) -> None:
    asked = []
    for nights in (30, 60):
        many(store, nights)
        before = store.requests["get"] + store.requests["list"]
        assert agreed_count(store) == nights
        asked.append(store.requests["get"] + store.requests["list"] - before)
    assert max(asked) < 40  # four a night by the runs' own lists


def agreed_count(store: Store) -> int:
    return uncovered(store, SPEC, make_inputs(90)).covered


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
@pytest.mark.parametrize("what", ["*.json", "files/*.parquet", "../manifests/*.parquet"])
def test_damage_is_found_and_mended_from_the_truth(store: Store, what: str, damage: str) -> None:
    many(store, 9)
    folder = next(Path(store.uri, "runs/_index").glob("covered-*"))
    paths = sorted(folder.glob(what))
    assert paths
    for path in paths:
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-3] if damage == "cut" else b"something else")
    assert agreed(store, make_inputs(12)).covered == 9
    many(store, 15)  # six more nights
    assert agreed(store, make_inputs(20)).covered == 15
    segments = index_of(store).segments
    assert sum(len(segment.runs) for segment in segments) >= 12
    files = [file.sha256 for segment in segments for file in segment.files if file.sha256]
    assert all(read_verified(store, file_key(folder.name[8:], sha), sha) for sha in files)


def test_a_file_that_is_gone_is_mended_by_the_next_night(store: Store) -> None:
    """However few nights are in no segment yet."""
    many(store, 9)
    folder = next(Path(store.uri, "runs/_index").glob("covered-*"))
    newest = [file.sha256 for segment in index_of(store).segments for file in segment.files]
    for path in folder.glob("files/*.parquet"):
        path.unlink()
    night(store, make_inputs(1, start=9))
    made = [file.sha256 for segment in index_of(store).segments for file in segment.files]
    assert made != newest
    assert all(store.exists(file_key(folder.name[8:], sha)) for sha in made if sha)


def test_a_run_that_was_rolled_back_is_not_hidden_in_a_segment(store: Store) -> None:
    for number in range(9):
        promote(store, night(store, make_inputs(1, start=number)) or "", Request())
    assert index_of(store).segments
    rollback(store, CHANNEL)
    todo = agreed(store, make_inputs(9))
    assert todo.reasons == {"withdrawn": 1}


def test_a_run_whose_list_is_gone_is_left_out_and_named(store: Store) -> None:
    runs = [night(store, make_inputs(1, start=number)) for number in range(2)]
    for path in Path(store.uri, f"runs/{runs[1]}/input").iterdir():
        path.unlink()
    _input_file.cache_clear()
    for number in (2, 3, 4):
        night(store, make_inputs(1, start=number))
    (segment, *_) = index_of(store).segments
    assert runs[1] not in segment.runs
    assert index_of(store).left_out == (runs[1],)
    todo = agreed(store, make_inputs(5))
    assert (todo.covered, todo.reasons, list(todo.damaged)) == (4, {"new": 1}, [runs[1]])


def test_another_kind_has_an_index_of_its_own(store: Store) -> None:
    many(store, 6)
    manifest = read_committed(store, night(store, make_inputs(1, start=50)) or "")
    assert manifest is not None
    assert kind_of(manifest) != kind_of(replace(manifest, detector="other"))
    assert kind_of(manifest) == kind_of(replace(manifest, code_version="other"))


def test_rows_lie_in_the_file_of_their_first_digits() -> None:
    ids = pa.array(["0a", "ff", "f0", "10", "00"])
    assert [list(rows) for rows in buckets(ids, 1) if len(rows)] == [[0, 4], [3], [1, 2]]
    assert [list(rows) for rows in buckets(ids, 0)] == [[0, 1, 2, 3, 4]]
    two = buckets(ids, 2)
    assert len(two) == 256
    assert (list(two[0x0A]), list(two[0xFF]), list(two[0xF0])) == ([0], [1], [2])


def test_the_latest_row_of_a_photo_stays_and_its_failures_are_added_up() -> None:
    def row(name: str, run: int, etag: str = "v1", fails: bool = False, **more: Any) -> Any:
        left = 4 if fails else 0
        return {
            "image_id": name, "etag": etag, "override": None, "listed": None, "left": left,
            "tries": int(fails), "open": fails, "run": run, "first": run, **more,
        }  # fmt: skip

    rows = [
        row("b", 2), row("a", 3, fails=True), row("a", 0, fails=True), row("b", 0),
        row("a", 1, fails=True, tries=2, first=2), row("a", 5), row("a", 6, fails=True),
        row("c", 0, fails=True), row("c", 1, "v0", fails=True),
    ]  # fmt: skip
    found = latest_rows(pa.Table.from_pylist(rows, ROWS)).to_pylist()
    assert found == [
        row("a", 0, fails=True, tries=4, first=3, open=False),
        row("b", 0),
        row("c", 0, fails=True, open=False),
    ]


def test_old_indexes_are_garbage_and_new_ones_not(store: Store) -> None:
    many(store, 30)
    found = look_for_garbage(store, 0, now_s=1e12).garbage
    garbage = [one for one in found if one.why == "old index"]
    assert garbage
    remove_garbage(store, garbage)
    left = look_for_garbage(store, 0, now_s=1e12).garbage
    assert "old index" not in {one.why for one in left}
    before = store.requests["get"]
    assert agreed_count(store) == 30
    assert store.requests["get"] - before < 40
    newer = to_bytes({"format": 2})
    key = write_numbered(store, f"runs/_index/covered-{'0' * 32}/", 1, newer, "json")
    assert key not in {one.info.key for one in look_for_garbage(store, 0, now_s=1e12).garbage}


def test_the_index_of_a_photo_that_is_erased_goes_with_it(store: Store) -> None:
    many(store, 9)
    forget(store, [make_inputs(1)["image_id"][0].as_py()])
    garbage = look_for_garbage(store, 1e9).garbage
    assert {one.why for one in garbage} >= {"forgotten photos", "old index"}
    remove_garbage(store, garbage)
    texts = [
        path.read_bytes() for path in Path(store.uri, "runs/_index").rglob("covered-*/**/*.parquet")
    ]
    assert texts == []
    assert agreed(store, make_inputs(9)).covered == 8
