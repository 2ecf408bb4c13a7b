"""Edge cases of Delta tables: what is copied, retried, removed and recorded."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.manifest import data_files
from pipeline.ledger.table_formats import delta
from pipeline.ledger.table_formats.delta import _remove_copies, forget_in_delta, publish_delta
from pipeline.ledger.table_formats.delta_changes import Change, path_of
from pipeline.ledger.table_formats.delta_types import delta_columns
from pipeline.ledger.table_formats.published_rows import (
    DeltaCopy,
    _without_view,
    _without_views,
    copy_remaining_rows,
    owners,
    photos_of_run,
    write_delta_copy,
)
from pipeline.storage.store import Store
from tests.support.committed import committed_runs
from tests.support.shaped_runs import HOUR_S, IDS, of_shapes, run_photos
from tests.support.tasks import make_inputs, open_ledger, run_all

deltalake = pytest.importorskip("deltalake")


def test_shapes_are_told_as_asked_and_as_rows_spell_them(memory: Store) -> None:
    run = of_shapes(memory, "1:1", 1)
    assert run_photos(run, "16:9,free, 1:1", "tv", 0).shapes == {"16:9", "free", "1:1"}
    assert run_photos(run, "16 : 9,Circle", "tv", 0).shapes == {
        "16 : 9",
        "16:9",
        "Circle",
        "circle",
    }


def test_what_is_left_of_a_delta_file_is_told_without_reading_where_it_can_be(
    memory: Store,
) -> None:
    run = of_shapes(memory, "1:1,16:9", 3)
    own = photos_of_run(memory, run.run_id)
    assert own is not None
    (file,) = data_files(memory, run, "crops")
    path = path_of("crops", file)
    stranger = run_photos(run, "1:1", "tv", 7)
    narrow = run_photos(run, "4:3", "tv", 0, 1, 2)
    whole = run_photos(run, "1:1,16:9,4:3", "tv", 0, 1, 2)
    as_many = run_photos(run, "16:9,1:1", "tv", 0, 1, 2, 7)
    before = memory.requests["get"]
    for others in ([], [stranger], [narrow], [stranger, narrow]):
        assert copy_remaining_rows(memory, "crops", path, own, others) is None
    for more in (whole, as_many):
        nothing = copy_remaining_rows(memory, "crops", path, own, [stranger, more])
        assert nothing is not None
        assert (nothing.path, nothing.bytes, nothing.rows) == (None, 0, 0)
    assert memory.requests["get"] == before
    some = copy_remaining_rows(memory, "crops", path, own, [run_photos(run, "16:9", "tv", 0, 2, 7)])
    assert some is not None
    assert some.rows == 4
    assert str(some.path).startswith(f"from={run.run_id}/00000000-")
    assert str(some.path).rpartition("/")[2] != file.key.rpartition("/")[2]
    left = memory.read(f"_data/crops/{some.path}")
    assert len(left) == some.bytes
    strange = copy_remaining_rows(
        memory, "crops", path, None, [run_photos(run, "1:1", "tv", *range(3))]
    )
    assert strange is not None
    assert strange.rows == 3  # the run is not known, so the other counts before it, for its shapes


def test_a_copy_of_several_runs_has_no_run_in_its_name(memory: Store) -> None:
    rows = pa.table({"image_id": ["a"]})
    kept = write_delta_copy(memory, "crops", "part-0001.parquet", rows)
    assert str(kept.path).startswith("from=several/00000000-")
    run = run_all(open_ledger(memory, make_inputs(1)))
    paths = [f"run={run.run_id}/00000000-a.parquet", "part-1.parquet", str(kept.path),
             f"from={run.run_id}/00000001-b.parquet"]  # fmt: skip
    found = list(owners(memory, paths, "another", {}))
    assert [path for path, _ in found] == paths
    known = [owner.manifest.run_id if owner else None for _, owner in found]
    assert known == [run.run_id, None, None, run.run_id]
    assert [path for path, _ in owners(memory, paths, run.run_id, {})] == paths[1:3]


def test_rows_with_views_are_read_with_plain_types() -> None:
    kinds = {
        "a": pa.string_view(), "b": pa.binary_view(), "c": pa.list_(pa.string_view()),
        "d": pa.struct([("x", pa.string_view())]), "e": pa.int8(),
    }  # fmt: skip
    values = {"a": "x", "b": b"y", "c": ["z"], "d": {"x": "w"}, "e": 3}
    plain = {"a": pa.string(), "b": pa.large_binary(), "c": pa.list_(pa.string()),
             "d": pa.struct([("x", pa.string())]), "e": pa.int8()}  # fmt: skip
    as_plain = pa.schema(list(plain.items()))
    schema = pa.schema([pa.field(n, kind) for n, kind in kinds.items() if n in "abe"])
    rows = pa.table([[values[n]] for n in schema.names], schema=schema)
    found = _without_views(rows)
    assert found.schema == pa.schema([as_plain.field(n) for n in schema.names])
    assert found.to_pylist() == [{n: values[n] for n in schema.names}]
    inner = [_without_view(pa.field(n, kinds[n])).type for n in "cd"]
    assert inner == [plain[n] for n in "cd"]


def test_types_that_delta_has() -> None:
    union = pa.dense_union([pa.field("x", pa.int8())])
    lacked = [pa.uint8(), pa.float16(), pa.time32("s"), pa.time64("us"), pa.duration("s"),
              pa.month_day_nano_interval(), pa.null(), pa.decimal256(40, 1), union,
              pa.timestamp("s"), pa.timestamp("ns"),
              pa.timestamp("us", "Europe/Paris"), pa.list_(pa.uint8()),
              pa.struct([("x", pa.int8()), ("y", pa.null())])]  # fmt: skip
    known = [pa.int8(), pa.string(), pa.bool_(), pa.decimal128(9, 2), pa.date32(), pa.binary(),
             pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.list_(pa.float64()),
             pa.struct([("x", pa.int8()), ("y", pa.string())])]  # fmt: skip
    names = [f"k{n}" for n in range(len(known))]
    columns = [*zip(names, known, strict=True), *((f"l{n}", one) for n, one in enumerate(lacked))]
    assert delta_columns(pa.schema(columns)).names == names
    marked = pa.schema([pa.field("a", pa.int8(), metadata={"x": "y"})])
    assert delta_columns(marked).field("a").metadata is None


def test_the_actions_of_a_delta_commit(memory: Store) -> None:
    run = run_all(open_ledger(memory, make_inputs(2)))
    own = photos_of_run(memory, run.run_id)
    assert own is not None
    (file,) = data_files(memory, run, "images")
    change = Change()
    change.add_file(own, "images", file)
    before_ms = int(time.time() * 1000)
    change.add_copy(DeltaCopy("from=a/0-b.parquet", 5, 3))
    change.removed["old"] = 9
    fake = SimpleNamespace(
        transaction=SimpleNamespace(
            AddAction=lambda *all_of_it: ("add", *all_of_it),
            RemoveAction=lambda *all_of_it: ("remove", *all_of_it),
        )
    )
    as_it_is, copy, remove = change.actions(fake)
    name = file.key.removeprefix("_data/images/")
    committed_ms = int(run.committed_at * 1000)
    rows = json.dumps({"numRecords": 2})
    assert as_it_is == ("add", name, file.bytes, {}, committed_ms, True, rows)
    assert copy[:4] == ("add", "from=a/0-b.parquet", 5, {})
    assert copy[5:] == (True, json.dumps({"numRecords": 3}))
    for at_ms in (copy[4], remove[3]):
        assert before_ms <= at_ms <= before_ms + 60_000
    assert (*remove[:3], *remove[4:]) == ("remove", "old", True, 9, {})
    assert change.copies == ["from=a/0-b.parquet"]
    change.whole = True
    assert [action[0] for action in change.actions(fake)] == ["add", "add"]


def test_copies_that_a_table_no_longer_has_are_removed(store: Store) -> None:
    names = ["from=a/was.parquet", "from=a/is.parquet", "from=a/young.parquet",
             "from=a/old.parquet", "was.parquet", "run=a/was.parquet", "_delta_log/was.parquet",
             "from=a/was.json", "old.parquet"]  # fmt: skip
    for name in names:
        store.write(f"_data/images/{name}", b"1")
        if "old" in name:
            os.utime(Path(store.uri, "_data/images", name), (time.time() - 25 * HOUR_S,) * 2)
    store.write("_data/crops/from=a/was.parquet", b"1")
    before = {name for name in names if "was" in name} | {"from=a/is.parquet"}
    _remove_copies(store, "images", before, {"from=a/is.parquet"})
    left = {info.key.removeprefix("_data/images/") for info in store.list("_data/images/")}
    assert left == {
        "from=a/is.parquet", "from=a/young.parquet", "run=a/was.parquet",
        "_delta_log/was.parquet", "from=a/was.json",
    }  # fmt: skip
    assert store.exists("_data/crops/from=a/was.parquet")


def test_photos_are_forgotten_in_delta_tables_by_name(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert forget_in_delta(store, IDS[:1]) == []
    run = run_all(open_ledger(store, make_inputs(3)))
    publish_delta(store, run.run_id)
    table = deltalake.DeltaTable(f"{store.uri}/_data/images")
    assert table.transaction_version(run.run_id) == 1
    assert table.history()[0]["run_id"] == run.run_id
    assert forget_in_delta(store, []) == []
    assert table.version() == 0
    assert forget_in_delta(store, IDS[:2]) == ["images", "crops"]
    left = deltalake.DeltaTable(f"{store.uri}/_data/images").to_pyarrow_table()
    assert left["image_id"].to_pylist() == [IDS[2]]
    for error in (deltalake.exceptions.DeltaError("held"), OSError("held")):

        def refuse(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", refuse)
        with pytest.raises(LedgerError, match="takes no deletion: held; try again later"):
            forget_in_delta(store, IDS[2:3])


def test_a_delta_commit_that_is_refused_leaves_no_copies_and_is_tried_twenty_times(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = committed_runs(store, make_inputs(3), make_inputs(1, start=1))
    publish_delta(store, first.run_id)
    plain = deltalake.DeltaTable.create_write_transaction
    tried: list[int] = []
    most = [10**6]

    def refuse(self: Any, *given: Any, **more: Any) -> Any:
        tried.append(1)
        if len(tried) <= most[0]:
            raise deltalake.exceptions.CommitFailedError("another was faster")
        return plain(self, *given, **more)

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", refuse)
    with pytest.raises(LedgerError, match="takes no commit: another was faster; publish again"):
        publish_delta(store, second.run_id)
    assert len(tried) == delta.ATTEMPTS == 20

    def copies() -> list[str]:
        return [info.key for info in store.list("_data/") if "/from=" in info.key]

    assert copies() == []
    tried.clear()
    most[0] = 2
    assert publish_delta(store, second.run_id) == {"images": 1, "crops": 1}
    assert (len(tried), len(copies())) == (4, 2)

    def silent(*_: object, **__: object) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", silent)
    third = run_all(open_ledger(store, make_inputs(1, start=5)))
    with pytest.raises(LedgerError, match="does not answer: no answer; publish again later"):
        publish_delta(store, third.run_id)


@pytest.mark.parametrize(
    ("first", "second", "values"),
    [
        (pa.array([20_000], pa.date32()), pa.array([86_400 * 10**9], pa.timestamp("ns")),
         ["2024-10-04", "1970-01-02 00:00:00.000000000"]),
        (pa.array(["x"]), pa.array([2**32 - 1], pa.uint32()), ["x", "4294967295"]),
        (pa.array([7]), pa.array([2**32 - 1], pa.uint32()), [7, 4294967295]),
    ],
    ids=["a time beside a date", "a number without sign beside text", "beside a number"],
)  # fmt: skip
def test_a_type_that_delta_lacks_comes_into_a_column_that_is_there(
    store: Store, first: pa.Array, second: pa.Array, values: list[Any]
) -> None:
    for start, column in enumerate((first, second)):
        inputs = make_inputs(1, start=start).append_column("at", column)
        publish_delta(store, run_all(open_ledger(store, inputs)).run_id)
    table = deltalake.DeltaTable(f"{store.uri}/_data/images").to_pyarrow_table().sort_by("uri")
    assert table["at"].to_pylist() == values
