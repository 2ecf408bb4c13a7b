"""A list's column has one type in an Iceberg table, whatever types it had on different nights."""

import datetime
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pytest

from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.pinned import _input_file
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.table_formats.iceberg import publish_iceberg, publish_live_as_iceberg
from pipeline.storage.store import Store
from tests.support.keys_read import keys_read
from tests.support.tasks import make_inputs, open_ledger, run_all

pytest.importorskip("pyiceberg")
from pyiceberg.table import StaticTable

from pipeline.ledger.table_formats.iceberg_catalog import io_properties, location_of


@pytest.fixture(autouse=True)
def _plans_by_pyiceberg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # else it warns of a faster one


def made(store: Store, start: int, values: pa.Array | None, **asked: Any) -> Any:
    """A committed run of two photos with a column `shop`."""
    inputs = make_inputs(2, start=start, **asked)
    if values is not None:
        inputs = inputs.append_column("shop", values)
    return run_all(open_ledger(store, inputs))


def night(store: Store, start: int, values: pa.Array | None, **asked: Any) -> str:
    run_id: str = made(store, start, values, **asked).run_id
    publish_iceberg(store, run_id)
    return run_id


def table_at(store: Store, name: str = "images") -> StaticTable:
    return StaticTable.from_metadata(location_of(store, f"_iceberg/{name}"), io_properties())


def shops(store: Store) -> list[Any]:
    """The column as PyIceberg, polars and DuckDB read it, which has to be the same; by address."""
    table = table_at(store)
    rows = table.scan().to_arrow().sort_by("uri")
    by_polars = polars.scan_iceberg(table).select("uri", "shop").collect().sort("uri")
    assert by_polars["shop"].to_list() == rows["shop"].to_pylist()
    by_duckdb = duckdb.sql("SELECT shop FROM rows ORDER BY uri").fetchall()
    assert [one for (one,) in by_duckdb] == rows["shop"].to_pylist()
    return list(rows["shop"].to_pylist())


def copies(store: Store) -> set[str]:
    return {info.key for info in store.list("_iceberg/images/data/")}


def test_text_yesterday_and_a_number_today(store: Store) -> None:
    night(store, 0, pa.array(["a", "007"]))
    run_id = night(store, 2, pa.array([7, None]))
    assert shops(store) == ["a", "007", "7", None]
    assert len(copies(store)) == 1
    assert set(publish_iceberg(store, run_id).values()) == {None}


def test_a_number_yesterday_text_and_a_struct_afterwards(store: Store) -> None:
    datafusion = pytest.importorskip("datafusion")
    night(store, 0, pa.array([1, 2]))
    old = table_at(store)
    night(store, 2, None)
    assert not copies(store)
    night(store, 4, pa.array(["x", None]))
    assert shops(store) == ["1", "2", None, None, "x", None]
    assert len(copies(store)) == 1  # of the night with numbers; the others are as they were
    night(store, 6, pa.array([{"id": 5}, None]))
    assert shops(store) == ["1", "2", None, None, "x", None, '{"id": 5}', None]
    context = datafusion.SessionContext()  # Iceberg in Rust
    context.register_table("images", table_at(store))
    by_rust = context.sql("SELECT shop FROM images ORDER BY uri").to_pydict()["shop"]
    assert by_rust == shops(store)
    night(store, 0, pa.array([3, 4]), etag="v2")
    assert shops(store)[:3] == ["3", "4", None]
    # A reader of the snapshot before still has numbers.
    assert sorted(old.scan().to_arrow()["shop"].to_pylist()) == [1, 2]
    forget(store, make_inputs(1)["image_id"].to_pylist())
    remove_garbage(store, look_for_garbage(store, 0).garbage)
    assert shops(store) == ["4", None, None, "x", None, '{"id": 5}', None]


@pytest.mark.parametrize(
    ("first", "second", "values", "cast"),
    [
        (pa.array([1, 2], pa.int32()), pa.array([3, 2**40]), [1, 2, 3, 2**40], False),
        (pa.array([1.5, 2], pa.float32()), pa.array([0.1, None]), [1.5, 2.0, 0.1, None], False),
        (pa.array([1, 2]), pa.array([0.5, None]), [1.0, 2.0, 0.5, None], True),
        (pa.array([0.5, None]), pa.array([1, 2]), [0.5, None, 1.0, 2.0], True),
        (pa.array([2**53 + 1, 2]), pa.array([0.5, None]), [str(2**53 + 1), "2", "0.5", None], True),
        (pa.array([True, False]), pa.array([3, 4]), ["true", "false", "3", "4"], True),
        (
            pa.array([datetime.date(2026, 11, 26), None]),
            pa.array([datetime.datetime(2026, 11, 27, 9), None], pa.timestamp("us")),
            [datetime.datetime(2026, 11, 26), None, datetime.datetime(2026, 11, 27, 9), None],
            True,
        ),
        (pa.array([1, 2], pa.int32()), pa.array([None, None], pa.string()), [1, 2, None, None],
         True),
        (pa.array([None, None], pa.string()), pa.array([True, False]), [None, None, True, False],
         True),
        (pa.array([datetime.time(9), None]), pa.array(["x", "y"]), ["09:00:00.000000", None, "x",
         "y"], True),
    ],
)  # fmt: skip
def test_a_type_that_loses_nothing(
    store: Store, first: pa.Array, second: pa.Array, values: list[Any], cast: bool
) -> None:
    night(store, 0, first)
    night(store, 2, second)
    assert shops(store) == values
    assert bool(copies(store)) is cast


def test_runs_that_disagree_are_published_at_once(store: Store) -> None:
    for start, values in ((0, pa.array([1, 2])), (2, pa.array(["x", "y"]))):
        run = made(store, start, values)
        promote(store, run.run_id, Request())
    publish_live_as_iceberg(store)
    assert shops(store) == ["1", "2", "x", "y"]
    assert set(publish_live_as_iceberg(store).values()) == {None}


def test_a_wider_number_after_a_night_without_a_value(store: Store) -> None:
    """What the night without a value made of the column takes every later integer, then floats."""
    night(store, 0, pa.array([1, 2], pa.int32()))
    night(store, 2, pa.array([None, None], pa.string()))
    night(store, 4, pa.array([2**40, None]))
    assert shops(store) == [1, 2, None, None, 2**40, None]
    night(store, 6, pa.array([0.5, None]))
    assert shops(store) == [1.0, 2.0, None, None, float(2**40), None, 0.5, None]
    assert table_at(store).schema().as_arrow().field("shop").type == pa.float64()


@pytest.mark.parametrize("text", ["x", None])
def test_few_objects_tell_the_types_of_columns(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """Of a night of ten files, one tells its columns; the pinned list tells the values of both.

    A night without a value gets the other's type, so all its files are copied, and the last one
    tells once more which columns the copies have.
    """
    inputs, texts = make_inputs(30), pa.array([text] * 30, pa.string())
    for name in ("shop", "till"):
        inputs = inputs.append_column(name, texts)
    first = run_all(open_ledger(store, inputs)).run_id
    publish_iceberg(store, first)
    files = sorted(info.key for info in store.list(f"_data/images/run={first}/"))
    assert len(files) == 10  # of three photos each
    inputs = make_inputs(2, start=30)
    for name in ("shop", "till"):
        inputs = inputs.append_column(name, pa.array([7, 8]))
    second = run_all(open_ledger(store, inputs)).run_id
    _input_file.cache_clear()
    read = keys_read(monkeypatch)
    publish_iceberg(store, second)
    copied = 0 if text else 1
    expected = [1 + copied, *[copied] * 8, 2 * copied]
    assert [read.count(key) for key in files] == expected
    assert sum(key.startswith(f"runs/{first}/input/") for key in read) == 1
    assert shops(store) == [text] * 30 + (["7", "8"] if text else [7, 8])
