"""Lists written by pandas, DuckDB, polars and Spark: every column is kept or reported."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.inputs.listing import Listing, list_all
from pipeline.inputs.plain_types import as_plain, plain_type

URIS = ["s3://b/1", "s3://b/2"]
AT = datetime.datetime(2026, 11, 26, 9, 30, 0, 123456)
NOON = datetime.time(12, 0, 0, 1)
DAY = datetime.date(2026, 11, 26)


def column(found: Listing, name: str) -> list[Any]:
    values: list[Any] = found.table[name].to_pylist()
    return values


def types(found: Listing) -> dict[str, str]:
    return {field.name: str(field.type) for field in found.table.schema}


def test_a_list_by_pandas(tmp_path: Path) -> None:
    paris = pandas.Timestamp(AT, tz="Europe/Paris")
    frame = pandas.DataFrame(
        {
            "uri": URIS,
            "nothing": [None, None],
            "shop": pandas.Categorical(["x", "y"]),
            "price": [Decimal("1.50"), Decimal("2.25")],
            "open": [NOON, NOON],
            "at": pandas.Series([AT, None], dtype="datetime64[ns]"),
            "there": [paris, paris],
            "count": pandas.Series([7, None], dtype="UInt32"),
            "text": pandas.Series(["a", None], dtype="string"),
            "flag": pandas.Series([True, None], dtype="boolean"),
            "took": pandas.to_timedelta(["1s", "2s"]),
            "tags": [["a"], ["b", "c"]],
            "period": pandas.period_range("2026-01", periods=2, freq="M").astype(str),
        }
    )
    frame.to_parquet(tmp_path / "list.parquet")
    found = list_all(str(tmp_path / "list.parquet"))
    assert set(found.left_out.columns) == {"took", "tags"}
    assert "column 'took', duration" in found.left_out.message
    told = types(found)
    assert (told["nothing"], told["shop"].removeprefix("large_")) == ("string", "string")
    assert (told["at"], told["there"]) == ("timestamp[us]", "timestamp[us, tz=UTC]")
    assert (told["open"], told["count"]) == ("time64[us]", "int64")
    assert column(found, "price") == [Decimal("1.50"), Decimal("2.25")]
    assert column(found, "open") == [NOON, NOON]
    assert column(found, "at") == [AT, None]
    wanted = AT.replace(tzinfo=ZoneInfo("Europe/Paris")).astimezone(datetime.UTC)
    assert column(found, "there")[0] == wanted
    assert (column(found, "count"), column(found, "flag")) == ([7, None], [True, None])
    assert column(found, "nothing") == [None, None]


def test_a_list_by_duckdb(tmp_path: Path) -> None:
    duckdb.sql(
        f"""
        COPY (SELECT unnest(['s3://b/1', 's3://b/2']) AS uri, NULL AS nothing,
            'x'::ENUM('x', 'y') AS shop, 1.50::DECIMAL(9, 2) AS price,
            TIME '12:00:00.000001' AS open,
            TIMESTAMP_NS '2026-11-26 09:30:00.123456789' AS at,
            TIMESTAMPTZ '2026-11-26 09:30:00+01' AS there, 4294967295::UINTEGER AS big,
            18446744073709551615::UBIGINT AS huge, 200::UTINYINT AS small,
            170141183460469231731687303715884105727::HUGEINT AS vast, DATE '2026-11-26' AS day,
            uuid() AS id, INTERVAL 1 DAY AS span, [1, 2] AS numbers, {{'a': 1}} AS pair,
            MAP {{'k': 'v'}} AS map, '\\x01'::BLOB AS raw, '{{"a": 1}}'::JSON AS more,
            [[0.0, 0.0, 5.0, 5.0]]::FLOAT[4][] AS boxes)
        TO '{tmp_path}/list.parquet' (FORMAT parquet)
        """
    )
    found = list_all(str(tmp_path / "list.parquet"))
    assert set(found.left_out.columns) == {"span", "numbers", "pair", "map", "raw", "id"}
    assert types(found)["vast"] == "double"  # DuckDB's own file has no wider integer
    assert column(found, "uri") == URIS
    assert column(found, "boxes") == [[[0, 0, 5, 5]]] * 2
    assert (column(found, "shop"), column(found, "nothing")) == (["x", "x"], [None, None])
    assert (column(found, "big"), column(found, "small")) == ([4294967295] * 2, [200] * 2)
    assert column(found, "huge") == [Decimal(18446744073709551615)] * 2
    assert (column(found, "at")[0], column(found, "open")[0]) == (AT, NOON)
    assert column(found, "there")[0].astimezone(datetime.UTC).hour == 8
    assert (column(found, "day")[0], column(found, "price")[0]) == (DAY, Decimal("1.50"))
    assert "a" in column(found, "more")[0]


def test_a_list_by_polars(tmp_path: Path) -> None:
    frame = polars.DataFrame(
        {
            "uri": URIS,
            "nothing": polars.Series([None, None], dtype=polars.Null),
            "shop": polars.Series(["x", "y"], dtype=polars.Categorical),
            "size": polars.Series(["s", "l"], dtype=polars.Enum(["s", "l"])),
            "price": polars.Series([Decimal("1.50"), None], dtype=polars.Decimal(9, 2)),
            "open": [NOON, NOON],
            "at": polars.Series([AT, None], dtype=polars.Datetime("ns")),
            "huge": polars.Series([2**64 - 1, 1], dtype=polars.UInt64),
            "few": polars.Series([5, None], dtype=polars.UInt64),
            "took": [datetime.timedelta(1), None],
            "raw": [b"1", None],
            "tags": [["a"], None],
            "pair": [{"a": 1}, None],
        }
    )
    frame.write_parquet(tmp_path / "list.parquet")
    found = list_all(str(tmp_path / "list.parquet"))
    assert set(found.left_out.columns) == {"took", "raw", "tags", "pair"}
    assert (column(found, "shop"), column(found, "size")) == (["x", "y"], ["s", "l"])
    assert (column(found, "open"), column(found, "at")) == ([NOON, NOON], [AT, None])
    assert column(found, "huge") == [Decimal(2**64 - 1), Decimal(1)]
    assert (column(found, "few"), types(found)["few"]) == ([5, None], "int64")
    assert column(found, "price") == [Decimal("1.50"), None]
    frame.select("uri", "shop").write_ndjson(tmp_path / "list.ndjson")
    assert column(list_all(str(tmp_path / "list.ndjson")), "shop") == ["x", "y"]


def test_a_list_by_spark(tmp_path: Path) -> None:
    """Spark's files: INT96 times, old decimals of fixed length, names with a dot or a space."""
    table = pa.table(
        {
            "uri": URIS,
            "at": pa.array([AT, None], pa.timestamp("us")),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(20, 2)),
            "a.b": [1, 2],
            "with space": ["x", None],
            "few": pa.array([1, None], pa.int8()),
            "pair": pa.array([{"a": 1}, None]),
        }
    )
    pq.write_table(
        table, tmp_path / "part-00000.snappy.parquet", use_deprecated_int96_timestamps=True,
        compression="snappy", version="1.0", store_schema=False,
    )  # fmt: skip
    found = list_all(str(tmp_path / "part-00000.snappy.parquet"))
    assert set(found.left_out.columns) == {"pair"}
    assert (column(found, "at"), types(found)["at"]) == ([AT, None], "timestamp[us]")
    assert (column(found, "a.b"), column(found, "with space")) == ([1, 2], ["x", None])
    assert column(found, "price") == [Decimal("1.50"), None]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_columns_called_like_ours_are_refused_alike(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"list.{ending}"
    frame = polars.DataFrame({"uri": URIS, "confidence": [1, 2]})
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](
        path  # type: ignore[arg-type]
    )
    with pytest.raises(UsageError, match="named as ours: 'confidence'; rename them"):
        list_all(str(path))


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (pa.uint8(), pa.int16()), (pa.uint16(), pa.int32()), (pa.uint32(), pa.int64()),
        (pa.float16(), pa.float32()), (pa.date64(), pa.date32()),
        (pa.time32("s"), pa.time64("us")), (pa.time64("ns"), pa.time64("us")),
        (pa.timestamp("s"), pa.timestamp("us")), (pa.timestamp("ns"), pa.timestamp("us")),
        (pa.timestamp("ms", "Europe/Paris"), pa.timestamp("us", "UTC")),
        (pa.decimal256(38, 2), pa.decimal128(38, 2)), (pa.decimal256(39, 2), pa.string()),
        (pa.null(), pa.string()), (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.uint8()), pa.int16()),
        (pa.int32(), pa.int32()), (pa.large_string(), pa.large_string()), (pa.bool_(), pa.bool_()),
    ],
)  # fmt: skip
def test_types_that_every_engine_knows(kind: pa.DataType, plain: pa.DataType) -> None:
    assert plain_type(kind) == plain
    assert as_plain(pa.chunked_array([pa.nulls(2, kind)])).type == plain


def test_unsigned_numbers_by_their_values() -> None:
    for most, kind in ((2**63 - 1, pa.int64()), (2**63, pa.decimal128(20))):
        made = as_plain(pa.chunked_array([pa.array([most, None], pa.uint64())]))
        assert (made.type, made.to_pylist()) == (kind, [most, None])
    assert as_plain(pa.chunked_array([pa.nulls(1, pa.uint64())])).type == pa.int64()


def test_a_row_with_an_odd_size_or_odd_boxes_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "uri,bytes\ns3://b/1,5\ns3://b/2,n/a\ns3://b/3,\ns3://b/4,-1\ns3://b/5,1e3\n"
    )
    found = list_all(str(tmp_path / "list.csv"))
    assert column(found, "uri") == ["s3://b/1", "s3://b/3"]
    assert column(found, "bytes") == [5, None]
    assert found.left_out.rows == {"have bytes that are no number of 0 or more": 3}
    pandas.DataFrame({"uri": URIS, "bytes": [None, 7]}).to_csv(tmp_path / "list.csv", index=False)
    assert (tmp_path / "list.csv").read_text().endswith(",7.0\n")
    found = list_all(str(tmp_path / "list.csv"))
    assert column(found, "bytes") == [None, 7]
    assert not found.left_out
    sizes = polars.DataFrame({"uri": URIS, "bytes": [float("nan"), 7.0]})
    sizes.write_parquet(tmp_path / "list.parquet")
    assert column(list_all(str(tmp_path / "list.parquet")), "bytes") == [None, 7]
    boxes = [[[0.0, 0.0, 5.0, 5.0]], [[1.0, 2.0]]]
    pq.write_table(pa.table({"uri": URIS, "boxes": boxes}), tmp_path / "list.parquet")
    found = list_all(str(tmp_path / "list.parquet"))
    assert (column(found, "uri"), column(found, "boxes")) == (URIS[:1], boxes[:1])
    assert list(found.left_out.rows.values()) == [1]


def text_of(data: bytes) -> pa.Array:
    """One text of these bytes, which Arrow's own constructors would refuse if they are no UTF-8."""
    ends = pa.py_buffer(b"\0\0\0\0" + len(data).to_bytes(4, "little"))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(data)])


@pytest.mark.parametrize("name", ["uri", "etag", "shop"])
def test_texts_of_a_parquet_list_are_utf_8(tmp_path: Path, name: str) -> None:
    columns = {"uri": ["s3://b/1"], name: text_of(b"caf\xe9")}
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    with pytest.raises(UsageError, match=f"column '{name}' has a text that is not UTF-8"):
        list_all(str(tmp_path / "list.parquet"))


@pytest.mark.parametrize(
    "data",
    ["uri\ns3://b/1\n".encode("utf-16"), "uri,größe\ns3://b/1,2\n".encode("latin-1")],
    ids=["utf-16", "latin-1"],
)
def test_a_header_in_another_encoding_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(UsageError, match="is not text in UTF-8: write it in UTF-8"):
        list_all(str(tmp_path / "list.csv"))


@pytest.mark.parametrize(
    ("ending", "text"),
    [("csv", "uri\ns3://b/1\ns3://b/2\n"), ("jsonl", '{"uri":"s3://b/1"}\n{"uri":"s3://b/2"}\n')],
    ids=["csv", "jsonl"],
)
def test_a_byte_order_mark_costs_no_row(tmp_path: Path, ending: str, text: str) -> None:
    """Windows programs write one at the start of UTF-8."""
    (tmp_path / f"list.{ending}").write_text(text, encoding="utf-8-sig")
    found = list_all(str(tmp_path / f"list.{ending}"))
    assert (column(found, "uri"), bool(found.left_out)) == (URIS, False)


def test_boxes_of_a_parquet_list_may_be_json(tmp_path: Path) -> None:
    texts = ["[[1, 2, 3, 4]]", None]
    pq.write_table(pa.table({"uri": URIS, "boxes": texts}), tmp_path / "list.parquet")
    found = list_all(str(tmp_path / "list.parquet"))
    assert column(found, "boxes") == [[[1.0, 2.0, 3.0, 4.0]], None]


def test_a_parquet_list_that_names_a_column_twice(tmp_path: Path) -> None:
    twice = pa.table([URIS, ["x", "y"], ["z", None]], names=["uri", "shop", "shop"])
    pq.write_table(twice, tmp_path / "list.parquet")
    with pytest.raises(UsageError, match="names a column twice"):
        list_all(str(tmp_path / "list.parquet"))


def test_addresses_that_are_stored_as_bytes_are_named(tmp_path: Path) -> None:
    """Impala and old versions of Hive write texts so."""
    pq.write_table(pa.table({"uri": [b"s3://b/1"], "x": [1]}), tmp_path / "list.parquet")
    with pytest.raises(UsageError, match=r"'uri' has no addresses: binary is no plain value"):
        list_all(str(tmp_path / "list.parquet"))
