"""A list's column has one type in a Delta table, whatever types it had on different nights."""

import datetime
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.audit import verify_run
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.table_formats.delta import publish_delta
from pipeline.ledger.table_formats.delta_tables import CONFIGURATION
from pipeline.ledger.table_formats.delta_types import _schemas, delta_columns
from pipeline.ledger.tables import parquet_bytes
from pipeline.ledger.unify import cast_column
from pipeline.storage.store import Store
from tests.support.keys_read import keys_read
from tests.support.tasks import done, make_inputs, open_ledger, run_all

deltalake = pytest.importorskip("deltalake")
polars = pytest.importorskip("polars")


def night(store: Store, start: int, values: pa.Array | None, photos: int = 2, **asked: Any) -> str:
    """A committed and published run of some photos with a column `shop`."""
    inputs = make_inputs(photos, start=start, **asked)
    if values is not None:
        inputs = inputs.append_column("shop", values)
    run_id = run_all(open_ledger(store, inputs)).run_id
    publish_delta(store, run_id)
    return run_id


def table_at(store: Store, name: str) -> Any:
    return deltalake.DeltaTable(f"{store.uri}/_data/{name}")


def shops(store: Store) -> list[Any]:
    """The column as delta-rs and polars read it, which has to be the same; by address."""
    by_rust = table_at(store, "images").to_pyarrow_table().sort_by("uri")["shop"].to_pylist()
    read = polars.scan_delta(f"{store.uri}/_data/images").select("uri", "shop").collect()
    assert read.sort("uri")["shop"].to_list() == by_rust
    return by_rust


def copies(store: Store, name: str) -> int:
    return sum("/from=" in info.key for info in store.list(f"_data/{name}/"))


def test_text_yesterday_and_a_number_today(store: Store) -> None:
    """The table's text takes the number: only the new files are written once more."""
    night(store, 0, pa.array(["a", "007"]))
    run_id = night(store, 2, pa.array([7, None]))
    assert shops(store) == ["a", "007", "7", None]
    assert (copies(store, "images"), copies(store, "crops")) == (1, 0)  # no crop has the column
    assert publish_delta(store, run_id) == {"images": None, "crops": None}
    assert verify_run(store, run_id).problems == []


def test_few_files_of_a_table_of_texts_are_read_for_a_number(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with a text decides: of the ten files that are there, the others are not read."""
    night(store, 0, pa.array([f"shop {number}" for number in range(30)]), photos=30)
    texts = {one.key for one in store.list("_data/images/run=")}
    assert len(texts) == 10  # of three photos each
    inputs = make_inputs(2, start=30).append_column("shop", pa.array([7, 8]))
    run_id = run_all(open_ledger(store, inputs)).run_id
    read = keys_read(monkeypatch)
    publish_delta(store, run_id)
    assert len(texts.intersection(read)) <= 2  # one for the columns, and one with a text
    assert shops(store)[28:] == ["shop 28", "shop 29", "7", "8"]


def test_files_that_delta_wrote_itself_may_have_other_columns_each(memory: Store) -> None:
    """Those of a compaction lie side by side, and no run's id is in their names."""
    ids = pa.table({"image_id": ["a"]})
    with_shop = ids.append_column("shop", pa.array([1]))
    for path, rows in (("part-1.parquet", ids), ("part-2.parquet", with_shop)):
        memory.write(f"_data/images/{path}", parquet_bytes(rows))
    found = _schemas(memory, "images", ["part-1.parquet", "part-2.parquet"])
    assert [one.names for one in found.values()] == [["image_id"], ["image_id", "shop"]]


def test_a_number_yesterday_text_and_a_struct_afterwards(store: Store) -> None:
    """What the table has is written again once, as text; then everything fits into it."""
    night(store, 0, pa.array([1, 2]))
    night(store, 2, None)
    assert copies(store, "images") == 0
    night(store, 4, pa.array(["x", None]))
    assert shops(store) == ["1", "2", None, None, "x", None]
    rewritten = copies(store, "images")
    night(store, 6, pa.array([{"id": 5}, None]))
    assert shops(store) == ["1", "2", None, None, "x", None, '{"id": 5}', None]
    about = table_at(store, "images").metadata()
    assert (about.name, about.configuration) == ("images", CONFIGURATION)
    assert copies(store, "images") == rewritten + 1
    night(store, 0, pa.array([3, 4]), etag="v2")  # of photos that are there: they stay once
    assert shops(store)[:3] == ["3", "4", None]
    forget(store, make_inputs(1)["image_id"].to_pylist())
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert shops(store)[0] == "4"
    assert table_at(store, "crops").to_pyarrow_table().num_rows == 7


@pytest.mark.parametrize(
    ("first", "second", "values", "kind"),
    [
        # into the table's own type, where that takes every value
        (pa.array([1, 2**40]), pa.array([3, 4], pa.int32()), [1, 2**40, 3, 4], "long"),
        (pa.array([0.5, 1.5]), pa.array([3, 4]), [0.5, 1.5, 3.0, 4.0], "double"),
        # into a wider one
        (pa.array([1, 2], pa.int32()), pa.array([3, 2**40]), [1, 2, 3, 2**40], "long"),
        (pa.array([1, 2]), pa.array([0.5, None]), [1.0, 2.0, 0.5, None], "double"),
        (
            pa.array([datetime.date(2026, 11, 26), None]),
            pa.array([datetime.datetime(2026, 11, 27, 9), None], pa.timestamp("us")),
            [datetime.datetime(2026, 11, 26), None, datetime.datetime(2026, 11, 27, 9), None],
            "timestamp_ntz",
        ),
        # a night without a value is stored as text, and decides nothing
        (pa.array([1, 2]), pa.array([None, None], pa.string()), [1, 2, None, None], "long"),
        (pa.array([None, None], pa.string()), pa.array([1.5, 2]), [None, None, 1.5, 2.0], "double"),
        # none holds both without loss
        (pa.array([2**53 + 1, 2]), pa.array([0.5, None]), [str(2**53 + 1), "2", "0.5", None],
         "string"),
        (pa.array([True, False]), pa.array([3, 4]), ["true", "false", "3", "4"], "string"),
    ],
)  # fmt: skip
def test_a_type_that_loses_nothing(
    store: Store, first: pa.Array, second: pa.Array, values: list[Any], kind: str
) -> None:
    night(store, 0, first)
    night(store, 2, second)
    assert shops(store) == values
    fields = {one.name: one.type for one in table_at(store, "images").schema().fields}
    assert fields["shop"].type == kind


@pytest.mark.parametrize(
    "values",
    [
        pa.array([datetime.time(9), None]),
        pa.array([2**32 - 1, 1], pa.uint32()),
        pa.array([1, 2], pa.timestamp("ns")),
        pa.array([1, 2], pa.timestamp("ms", "Europe/Paris")),
        pa.nulls(2),
    ],
    ids=str,
)
def test_a_column_that_delta_has_no_type_for_is_not_in_the_table(
    store: Store, values: pa.Array
) -> None:
    night(store, 0, values)
    assert "shop" not in table_at(store, "images").to_pyarrow_table().column_names
    assert polars.scan_delta(f"{store.uri}/_data/images").select("uri").collect().height == 2
    night(store, 2, values)
    assert copies(store, "images") == 0
    night(store, 4, pa.array(["x", "y"]))  # now Delta has a type for it: all of it as text
    was = cast_column(pa.chunked_array([values]), pa.string()).to_pylist()
    assert shops(store) == [*was, *was, "x", "y"]
    forget(store, make_inputs(1)["image_id"].to_pylist())
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert table_at(store, "images").to_pyarrow_table().num_rows == 5


def test_what_delta_knows() -> None:
    known = {"a": pa.list_(pa.struct([("x", pa.int32())])), "b": pa.timestamp("us", "UTC")}
    lacked = {"c": pa.list_(pa.uint8()), "d": pa.struct([("x", pa.time64("us"))])}
    assert delta_columns(pa.schema([*known.items(), *lacked.items()])).names == ["a", "b"]


def test_pictures_are_never_made_text(store: Store) -> None:
    night(store, 0, None)
    inputs = make_inputs(2, start=2)
    spec = {"settings": {"picture_column": "struct"}}
    other = run_all(open_ledger(store, inputs, **spec))
    with pytest.raises(LedgerError, match=r"image is .* and was .*picture-column"):
        publish_delta(store, other.run_id)
    assert table_at(store, "crops").to_pyarrow_table().num_rows == 2


@pytest.mark.parametrize(
    ("before", "column", "values", "message"),
    [
        ([], "Status", pa.array(["ok"]), "cannot be named 'status' and 'Status', as Delta"),
        (["Shop"], "shop", pa.array(["x"]), "cannot be named 'Shop' and 'shop', as Delta"),
        ([], "at", pa.array([[{"X": 1, "x": 2}]]), "cannot be named 'X' and 'x', as Delta"),
    ],
    ids=["as ours", "as another night's", "in a list of structs"],
)
def test_names_that_differ_only_in_capitals_are_refused_before_delta_tables_change(
    store: Store, before: list[str], column: str, values: pa.Array, message: str
) -> None:
    for name in before:
        inputs = make_inputs(1, start=1).append_column(name, pa.array(["y"]))
        publish_delta(store, run_all(open_ledger(store, inputs)).run_id)
    inputs = make_inputs(1).append_column(column, values)
    ledger = open_ledger(store, inputs)
    tables = done(ledger.task_inputs(0))
    tables["crops"] = tables["crops"].append_column(column, values)  # as a job's crops have it
    ledger.commit_task(0, tables)
    run_id = ledger.finish({}).run_id
    logs = sorted(info.key for info in store.list("_data/") if "_delta_log" in info.key)
    with pytest.raises(LedgerError, match=message) as refused:
        publish_delta(store, run_id)
    assert str(refused.value).startswith(f"run {run_id} is not published: in the Delta table ")
    after = sorted(info.key for info in store.list("_data/") if "_delta_log" in info.key)
    assert after == logs
