"""Edge cases of common types, and small values that the ledger writes: by hand."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec.structs import replace

from pipeline.ledger.channels.channel import Channel
from pipeline.ledger.channels.moves import _numbered
from pipeline.ledger.garbage import Garbage, look_for_garbage, remove_garbage
from pipeline.ledger.indexes import numbered, read_verified, write_numbered
from pipeline.ledger.layout import manifest_key
from pipeline.ledger.manifest import FAILURES, FILES, UNSETTLED, write_list
from pipeline.ledger.unify import cast_column, common_type
from pipeline.storage.store import open_store
from tests.support.tasks import done, make_inputs, open_ledger


def text_of(values: pa.Array) -> list[str | None]:
    return cast_column(pa.chunked_array([values]), pa.string()).to_pylist()


def test_lists_as_text_are_json_with_letters_as_they_are() -> None:
    assert text_of(pa.array([["é", "ü"], None])) == ['["é", "ü"]', None]
    assert text_of(pa.array([[datetime(2026, 1, 2, tzinfo=UTC)]])) == [
        '["2026-01-02 00:00:00+00:00"]'
    ]
    assert text_of(pa.array([[b"\xff\x00"]])) == ['["ff00"]']


@pytest.mark.parametrize(
    ("types", "common"),
    [
        ([pa.decimal128(38, 2), pa.decimal128(36, 2)], pa.decimal128(38, 2)),
        ([pa.decimal128(38, 0), pa.decimal128(3, 1)], pa.string()),  # 39 digits
        ([pa.decimal128(5, 2), pa.float64()], pa.string()),
        ([pa.decimal128(5, 2), pa.int64()], pa.decimal128(21, 2)),
        ([pa.decimal128(5, 2), pa.uint64()], pa.decimal128(22, 2)),
        ([pa.uint8(), pa.uint16()], pa.uint16()),
        ([pa.int8(), pa.uint8()], pa.int16()),
        ([pa.int64(), pa.uint64()], pa.decimal128(20)),
        ([pa.float32(), pa.float32()], pa.float32()),
        ([pa.float32(), pa.float64()], pa.float64()),
        ([pa.float32(), pa.int8()], pa.float64()),
        ([pa.string(), pa.large_string()], pa.large_string()),
        ([pa.binary(), pa.large_binary()], pa.large_binary()),
        ([pa.date32(), pa.date64()], pa.date32()),
        ([pa.date32(), pa.timestamp("ms")], pa.timestamp("ms")),
        ([pa.date32(), pa.timestamp("ms", "UTC")], pa.string()),
        ([pa.timestamp("s"), pa.timestamp("us")], pa.timestamp("us")),
        ([pa.timestamp("s", "UTC"), pa.timestamp("ms", "Asia/Tokyo")], pa.timestamp("ms", "UTC")),
        ([pa.timestamp("s"), pa.timestamp("s", "UTC")], pa.string()),
        ([pa.time32("s"), pa.time32("ms")], pa.time32("ms")),
        ([pa.time32("ms"), pa.time64("ns")], pa.time64("ns")),
        ([pa.duration("s"), pa.duration("ns")], pa.duration("ns")),
        ([pa.list_(pa.int8()), pa.large_list(pa.int32())], pa.list_(pa.int32())),
        (
            [pa.struct({"a": pa.int8()}), pa.struct({"b": pa.string(), "a": pa.int32()})],
            pa.struct({"a": pa.int32(), "b": pa.string()}),
        ),
        ([pa.struct({"a": pa.int8()}), pa.list_(pa.int8())], pa.string()),
        ([pa.bool_(), pa.int8()], pa.string()),
        ([pa.null(), pa.int8()], pa.int8()),
    ],
    ids=str,
)
def test_types_in_common(types: list[pa.DataType], common: pa.DataType) -> None:
    assert common_type(types) == common
    assert common_type(types[::-1]) == (
        pa.struct({"b": pa.string(), "a": pa.int32()}) if pa.types.is_struct(common) else common
    )


def test_lists_of_a_run_have_no_empty_places() -> None:
    for schema in (FILES, UNSETTLED, FAILURES):
        assert not any(field.nullable for field in schema)


def test_a_list_of_a_run_is_named_by_what_it_is(tmp_path: Path) -> None:
    rows = pa.table({"image_id": ["a", "b"]}, UNSETTLED)
    entry = write_list(open_store(str(tmp_path)), "run-x", "unsettled", rows)
    assert entry.key == f"runs/run-x/unsettled-{entry.sha256[:16]}.parquet"
    assert (entry.rows, (tmp_path / entry.key).is_file()) == (2, True)


def test_an_index_is_found_by_the_key_that_is_told(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    keys = [write_numbered(store, "index/", number, b"%d" % number, "json") for number in (2, 10)]
    assert [info.key for _, _, info in numbered(store, "index/")] == keys[::-1]
    (number, sha256, info), _ = numbered(store, "index/")
    assert number == 10
    assert read_verified(store, info.key, sha256) == b"10"
    assert read_verified(store, info.key, "0" * 64) is None
    assert read_verified(store, "gone", sha256) is None


def test_an_abandoned_run_says_whose_end_it_is(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(6))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    remove_garbage(store, look_for_garbage(store, older_than_s=-60).garbage)
    stone = json.loads(store.read(manifest_key(ledger.run_id)))
    assert stone["run_id"] == ledger.run_id
    assert stone["verdict"] == "abandoned"


def test_a_run_that_was_committed_meanwhile_spares_its_own_objects_alone(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(3))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    found = look_for_garbage(store, older_than_s=-60).garbage
    assert {one.run_id for one in found} == {ledger.run_id}
    store.write("_data/crops/run=other/0-x.parquet", b"12345")
    other = Garbage(store.head("_data/crops/run=other/0-x.parquet"), "other", "orphan")
    ledger.finish({})
    assert remove_garbage(store, [*found, other]) == 5
    assert not store.exists(other.info.key)
    assert all(store.exists(one.info.key) for one in found)


def test_a_stand_in_for_a_damaged_version_is_counted_on() -> None:
    made = _numbered(Channel("shop"), 7)
    assert (made.channel, made.number, made.action) == ("shop", 7, "start")
    live = Channel("shop", ("a",), replace(made, action="promote", recent=("a",)))
    again = _numbered(live, 9)
    assert (again.number, again.action, again.recent) == (9, "promote", ("a",))
