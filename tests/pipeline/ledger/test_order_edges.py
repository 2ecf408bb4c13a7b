"""Runs that come between others: what still counts, what is read again, and how often."""

from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.ledger import manifest_copies, stored_runs
from pipeline.ledger.author import whoami
from pipeline.ledger.channels.channel import ChannelVersion, channel_name, history
from pipeline.ledger.channels.live import live_layers, standing
from pipeline.ledger.coverage import compaction, compare, covered
from pipeline.ledger.coverage.compaction import write_indexes
from pipeline.ledger.coverage.covered import read_index
from pipeline.ledger.coverage.incremental import uncovered
from pipeline.ledger.failures import FAILURE_COLUMNS, failed_rows, kinds_of
from pipeline.ledger.manifest import data_files
from pipeline.ledger.promotion import crop_files
from pipeline.ledger.promotion.crop_files import live_files
from pipeline.ledger.promotion.promotion import Request, promote, rollback
from pipeline.ledger.table_formats.delta_changes import path_of
from pipeline.ledger.table_formats.published_rows import copy_remaining_rows, photos_of_run
from pipeline.ledger.unify import common_type
from pipeline.storage.store import Store
from tests.support.shaped_runs import of_shapes, run_photos
from tests.support.tasks import SPEC, make_inputs, open_ledger, run_all

CHANNEL = channel_name(SPEC.settings)


@pytest.fixture
def store(memory: Store) -> Store:
    return memory


def waits(store: Store, inputs: pa.Table, spec: dict[str, Any] | None = None, **job: Any) -> str:
    """A committed run that waits for a person."""
    ledger = open_ledger(store, inputs, **(spec or {}))
    return run_all(ledger, **{"promote": "manual", "trial": False, **job}).run_id


@pytest.mark.parametrize("between", ["weights", "detector", "settings", "trial", "channel", "back"])
def test_a_later_run_of_another_sort_does_not_hide_that_a_photo_is_covered(
    store: Store, between: str
) -> None:
    inputs = make_inputs(3)
    promote(store, waits(store, inputs), Request())
    match between:
        case "weights":
            waits(store, inputs, {"weights_sha256": "b" * 64})
        case "detector":
            waits(store, inputs, {"detector": "other"})
        case "settings":
            waits(store, inputs, {"settings": {"ratios": "4:3"}})
        case "trial":
            waits(store, inputs, {"code_version": "b"}, trial=True)
        case "channel":
            waits(store, inputs, {"code_version": "b"}, channel="shop")
        case "back":
            promote(store, waits(store, inputs, {"code_version": "b"}), Request())
            rollback(store, CHANNEL)
    todo = uncovered(store, SPEC, inputs)
    assert (todo.covered, todo.reasons, dict(todo.waiting)) == (3, {}, {})


def test_a_run_that_counts_again_between_others_is_taken_into_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (compaction, covered, compare, manifest_copies, stored_runs):
        monkeypatch.setattr(module, "TAIL", 2)
    tried = waits(store, make_inputs(1), trial=True)
    manifest = None
    for number in (1, 2, 3):
        manifest = run_all(open_ledger(store, make_inputs(1, start=number)))
        write_indexes(store, manifest)
    assert manifest is not None
    kind = covered.kind_of(manifest)
    assert [len(one.runs) for one in read_index(store, kind).segments] == [3]
    promote(store, tried, Request(trial=True))
    last = run_all(open_ledger(store, make_inputs(1, start=4)))
    assert write_indexes(store, last)
    (segment,) = read_index(store, kind).segments
    assert (len(segment.runs), segment.runs[-1], segment.rows) == (5, tried, 5)


def test_each_live_manifest_is_read_once(store: Store) -> None:
    for number in range(3):
        promote(store, waits(store, make_inputs(1, start=number)), Request())
    before = store.requests["get"]
    assert [len(layer) for layer in live_layers(store)] == [3]
    assert store.requests["get"] - before == 1 + 3  # what is live, and each of it
    assert len(standing(store).live(CHANNEL)) == 3


@pytest.mark.parametrize(
    ("types", "common"),
    [
        ([pa.decimal128(5, 0), pa.decimal128(7, 0)], pa.decimal128(7, 0)),
        ([pa.decimal128(5, 0), pa.int8()], pa.decimal128(19, 0)),
        ([pa.uint64(), pa.decimal128(3, 0)], pa.decimal128(20, 0)),
        ([pa.int8(), pa.int16(), pa.uint8()], pa.int16()),
        ([pa.uint32(), pa.int8()], pa.int64()),
        ([pa.float16(), pa.float32()], pa.float32()),
        ([pa.time32("s"), pa.time64("us")], pa.time64("us")),
        ([pa.string_view(), pa.string()], pa.string()),
        ([pa.binary_view(), pa.binary(4)], pa.binary()),
        ([pa.dictionary(pa.int8(), pa.int16()), pa.int32()], pa.int32()),
        ([pa.run_end_encoded(pa.int32(), pa.int8()), pa.int16()], pa.int16()),
        ([pa.list_(pa.int8(), 2), pa.list_(pa.int16())], pa.list_(pa.int16())),
        ([pa.null(), pa.null()], pa.null()),
        ([pa.binary(), pa.string()], pa.string()),
        ([pa.duration("s"), pa.int8()], pa.string()),
        ([pa.time32("s"), pa.date32()], pa.string()),
    ],
    ids=str,
)
def test_further_types_in_common(types: list[pa.DataType], common: pa.DataType) -> None:
    assert common_type(types) == common
    assert common_type(types[::-1]) == common


def test_a_failure_without_a_stage_is_what_its_row_says() -> None:
    rows = [("a", "forbidden", None, "permanent", None),
            ("b", "forbidden", "read", "permanent", ""),
            ("c", "too_large", "decode", "permanent", "x"), ("d", "ok", None, None, None),
            ("e", "unsupported_format", "decode", "circumstances", "x"),
            ("f", "unsupported_format", "decode", None, "x")]  # fmt: skip
    columns = pa.schema([(name, pa.string()) for name in FAILURE_COLUMNS])
    table = pa.Table.from_pylist(
        [dict(zip(FAILURE_COLUMNS, row, strict=True)) for row in rows], columns
    )
    kinds = kinds_of(table).to_pylist()
    assert kinds[:2] == ["permanent", "circumstances"]
    assert kinds[3:] == [None, "circumstances", None]
    failed = {row["image_id"]: row["status"] for row in failed_rows(table).to_pylist()}
    assert failed == {"a": "forbidden", "b": "forbidden", "c": "too_large", "e": "extra_missing"}


def test_the_same_crop_twice_under_one_name_is_no_collision(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"image_id": "a", "name": "x", "key": "k", "sha256": "1"}
    monkeypatch.setattr(crop_files, "_rows", lambda *_: iter([row, row]))
    assert list(live_files(store, standing(store), "web")) == ["x"]


def test_within_a_channel_a_run_takes_all_rows_of_its_photos(store: Store) -> None:
    run = of_shapes(store, "1:1,16:9", 3)
    own = photos_of_run(store, run.run_id)
    assert own is not None
    (file,) = data_files(store, run, "crops")
    same = run_photos(run, "4:3", "1x1_16x9", 0)
    left = copy_remaining_rows(store, "crops", path_of("crops", file), own, [same])
    assert left is not None
    assert left.rows == 4
    everything = run_photos(run, "4:3", "1x1_16x9", 0, 1, 2)
    nothing = copy_remaining_rows(store, "crops", path_of("crops", file), own, [everything])
    assert nothing is not None
    assert nothing.path is None
    later = replace(run, committed_at=run.committed_at + 1)
    after = type(own)(later, own.tasks, own.photos)
    assert (after.is_after(own), own.is_after(after), own.is_after(own)) == (True, False, False)
    named = type(own)(replace(run, run_id="f" * 20), own.tasks, own.photos)
    assert named.is_after(own)


def test_who_moved_a_channel_is_told_where_nobody_says(store: Store) -> None:
    run_all(open_ledger(store, make_inputs(1)))  # of a release before promotion
    for number in (1, 2):
        promote(store, waits(store, make_inputs(1, start=number)), Request())
    rollback(store, CHANNEL)
    rollback(store, CHANNEL, who="me", why="too dark")
    told = [
        (one.action, one.who, one.why)
        for one in history(store, CHANNEL)
        if isinstance(one, ChannelVersion)
    ]
    assert told == [
        ("start", whoami(), "live before promotion was kept"), ("promote", whoami(), ""),
        ("promote", whoami(), ""), ("rollback", whoami(), ""), ("rollback", "me", "too dark"),
    ]  # fmt: skip
