"""Columns whose types differ between two nights' lists: any two kinds give one readable table."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.ledger.reader import Run, open_run
from pipeline.ledger.unify import TypedColumn, cast_column, common_type, shared_type
from pipeline.storage.store import open_store
from tests.support.keys_read import keys_read
from tests.support.tasks import make_inputs, open_ledger, run_all

NOON = datetime(2026, 1, 2, 12, 30)
VALUES: dict[str, tuple[pa.DataType, Any, str]] = {  # by kind: type, a value, and it as text
    "null": (pa.null(), None, ""),
    "bool": (pa.bool_(), True, "true"),
    "int8": (pa.int8(), -7, "-7"),
    "int32": (pa.int32(), 70_000, "70000"),
    "int64": (pa.int64(), 2**40, "1099511627776"),
    "large_int": (pa.int64(), 2**53 + 1, "9007199254740993"),
    "uint8": (pa.uint8(), 200, "200"),
    "uint64": (pa.uint64(), 2**64 - 1, "18446744073709551615"),
    "float32": (pa.float32(), 0.5, "0.5"),
    "float64": (pa.float64(), 2.25, "2.25"),
    "decimal": (pa.decimal128(5, 2), Decimal("9.50"), "9.50"),
    "string": (pa.string(), "007", "007"),
    "large_string": (pa.large_string(), "é", "é"),
    "categorical": (pa.dictionary(pa.int8(), pa.string()), "red", "red"),
    "binary": (pa.binary(), b"ab", "ab"),
    "date": (pa.date32(), date(2026, 1, 2), "2026-01-02"),
    "millis": (pa.timestamp("ms"), NOON, "2026-01-02 12:30:00.000"),
    "micros": (pa.timestamp("us"), NOON, "2026-01-02 12:30:00.000000"),
    "zoned": (pa.timestamp("us", "UTC"), NOON.replace(tzinfo=UTC), "2026-01-02 12:30:00.000000Z"),
    "time": (pa.time64("us"), time(1, 2), "01:02:00.000000"),
    "duration": (pa.duration("s"), timedelta(seconds=5), "5"),
    "ints": (pa.list_(pa.int32()), [1, 2], "[1, 2]"),
    "floats": (pa.list_(pa.float64()), [1.5], "[1.5]"),
    "struct": (pa.struct({"a": pa.int8()}), {"a": 1}, '{"a": 1}'),
}
# Every pair that has a type in common by which nothing is lost, written down by hand.
SHARED: dict[tuple[str, str], pa.DataType] = {
    ("int8", "int32"): pa.int32(),
    ("int8", "int64"): pa.int64(),
    ("int8", "large_int"): pa.int64(),
    ("int8", "uint8"): pa.int16(),
    ("int8", "uint64"): pa.decimal128(20),
    ("int8", "float32"): pa.float64(),
    ("int8", "float64"): pa.float64(),
    ("int8", "decimal"): pa.decimal128(21, 2),
    ("int32", "int64"): pa.int64(),
    ("int32", "large_int"): pa.int64(),
    ("int32", "uint8"): pa.int32(),
    ("int32", "uint64"): pa.decimal128(20),
    ("int32", "float32"): pa.float64(),
    ("int32", "float64"): pa.float64(),
    ("int32", "decimal"): pa.decimal128(21, 2),
    ("int64", "uint8"): pa.int64(),
    ("int64", "uint64"): pa.decimal128(20),
    ("int64", "float32"): pa.float64(),
    ("int64", "float64"): pa.float64(),
    ("int64", "decimal"): pa.decimal128(21, 2),
    ("large_int", "uint8"): pa.int64(),
    ("large_int", "uint64"): pa.decimal128(20),
    ("large_int", "decimal"): pa.decimal128(21, 2),
    ("uint8", "uint64"): pa.uint64(),
    ("uint8", "float32"): pa.float64(),
    ("uint8", "float64"): pa.float64(),
    ("uint8", "decimal"): pa.decimal128(22, 2),
    ("uint64", "decimal"): pa.decimal128(22, 2),
    ("float32", "float64"): pa.float64(),
    ("string", "large_string"): pa.large_string(),
    ("large_string", "categorical"): pa.large_string(),
    ("date", "millis"): pa.timestamp("ms"),
    ("date", "micros"): pa.timestamp("us"),
    ("millis", "micros"): pa.timestamp("us"),
    ("ints", "floats"): pa.list_(pa.float64()),
}  # uint64's value, 2**64 - 1, is no float, so that it is text beside floats
KINDS = list(VALUES)
PAIRS = [
    (a, b)
    for number, a in enumerate(KINDS)
    for b in KINDS[number + 1 :]
    if a != "null" and VALUES[a][0] != VALUES[b][0]
]


def night(folder: Path, start: int, columns: dict[str, pa.Array]) -> str:
    inputs = make_inputs(1, start=start)
    for name, column in columns.items():
        inputs = inputs.append_column(name, column)
    return run_all(open_ledger(open_store(str(folder)), inputs)).run_id


def array(kind: str) -> pa.Array:
    type_, value, _ = VALUES[kind]
    return (
        pa.array([value], pa.string()).cast(type_)
        if kind == "categorical"
        else pa.array([value], type_)
    )


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A column for each pair of kinds: the one in the first night, the other in the second."""
    folder = tmp_path_factory.mktemp("nights")
    night(folder, 0, {f"{a}_{b}": array(a) for a, b in PAIRS})
    night(folder, 1, {f"{a}_{b}": array(b) for a, b in PAIRS})
    return open_run(str(folder))


@pytest.fixture(scope="module")
def rows(two_nights: Run) -> pa.Table:
    return two_nights.images().sort_by("uri")


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_a_pair_of_kinds_is_one_column(a: str, b: str, rows: pa.Table) -> None:
    column = rows[f"{a}_{b}"]
    assert len(column) == 2
    type_ = SHARED.get((a, b), pa.string())
    assert column.type == type_
    if type_ == pa.string():
        assert column.to_pylist() == [VALUES[a][2], VALUES[b][2]]
    else:
        values = [VALUES[kind][1] for kind in (a, b)]
        if pa.types.is_timestamp(type_):
            values = [v if isinstance(v, datetime) else datetime(v.year, 1, v.day) for v in values]
        assert column.to_pylist() == values


def test_every_pair_is_told_in_words(two_nights: Run) -> None:
    assert {*two_nights.unified} == {f"{a}_{b}" for a, b in PAIRS}
    first, second = (m["run_id"] for m in reversed(two_nights.manifests))
    assert two_nights.unified["int8_string"] == (
        f"int8_string is text: string in run {second}, int8 in run {first}"
    )


def test_files_one_at_a_time_have_the_same_types(two_nights: Run, rows: pa.Table) -> None:
    for part in two_nights.batches("images"):
        assert {f.name: f.type for f in part.schema} == {f.name: f.type for f in rows.schema}


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_without_values_takes_the_other_type(kind: str) -> None:
    assert common_type([pa.null(), VALUES[kind][0]]) == VALUES[kind][0]


def test_bytes_that_are_no_text_are_hexadecimal() -> None:
    column = pa.chunked_array([[b"ab", b"\xff\x00", None]])
    assert cast_column(column, pa.string()).to_pylist() == ["6162", "ff00", None]


def test_a_float_that_would_round_an_integer_is_text_in_all_files(tmp_path: Path) -> None:
    """Only the last row of three nights is too large; a reader of the first file sees text, too."""
    night(tmp_path, 0, {"n": pa.array([1.5])})
    night(tmp_path, 1, {"n": pa.array([4], pa.int64())})
    night(tmp_path, 2, {"n": pa.array([2**53 + 1], pa.int64())})
    found = open_run(str(tmp_path)).images(["uri", "n"]).sort_by("uri")
    assert found["n"].to_pylist() == ["1.5", "4", "9007199254740993"]


def test_a_date_that_nanoseconds_cannot_hold_is_text(tmp_path: Path) -> None:
    night(tmp_path, 0, {"at": pa.array([date(1500, 1, 1)])})
    night(tmp_path, 1, {"at": pa.array([NOON], pa.timestamp("ns"))})
    found = open_run(str(tmp_path)).images(["uri", "at"]).sort_by("uri")
    assert found["at"].to_pylist() == ["1500-01-01", "2026-01-02 12:30:00.000000000"]


def test_a_column_that_one_night_lacks_is_null_there(tmp_path: Path) -> None:
    night(tmp_path, 0, {"album": pa.array(["007"])})
    night(tmp_path, 1, {})
    run = open_run(str(tmp_path))
    assert run.images(["uri", "album"]).sort_by("uri")["album"].to_pylist() == ["007", None]
    assert run.unified == {}
    assert run.crops(["album"]).num_rows == 2
    for read, name in ((run.images, "nobody"), (run.crops, "width_px"), (run.previews, "album")):
        with pytest.raises(KeyError, match=f"no column '{name}' in any run"):
            read([name])
    with pytest.raises(KeyError, match=r"did you mean uri\?"):
        run.images(["url"])


NO_TEXTS = pa.array([None], pa.string())  # as a list's column without a value is stored


@pytest.mark.parametrize("nulls_first", [True, False])
@pytest.mark.parametrize("kind", ["bool", "int8", "float64", "decimal", "date", "zoned", "ints"])
def test_a_night_without_a_value_changes_no_type(
    tmp_path: Path, kind: str, nulls_first: bool
) -> None:
    columns = [array(kind), NO_TEXTS]
    for start, column in enumerate(reversed(columns) if nulls_first else columns):
        night(tmp_path, start, {"n": column})
    found = open_run(str(tmp_path)).images(["uri", "n"]).sort_by("uri")["n"]
    assert found.type == VALUES[kind][0]
    expected = [VALUES[kind][1], None]
    assert found.to_pylist() == (expected[::-1] if nulls_first else expected)


def test_nights_without_a_value_leave_the_others_their_common_type(tmp_path: Path) -> None:
    """No cast leads from Booleans to dates; these have no value, and so need none."""
    no_flags = pa.array([None], pa.bool_())
    days = pa.array([date(2026, 1, 2)])
    for start, column in enumerate(
        [NO_TEXTS, days, no_flags, pa.array([NOON], pa.timestamp("us"))]
    ):
        night(tmp_path, start, {"at": column})
    found = open_run(str(tmp_path)).images(["uri", "at"]).sort_by("uri")["at"]
    assert found.to_pylist() == [None, datetime(2026, 1, 2), None, NOON]
    night(tmp_path, 4, {"at": pa.array(["soon"])})  # a value that is text
    found = open_run(str(tmp_path)).images(["uri", "at"]).sort_by("uri")["at"]
    assert found.to_pylist() == [
        None, "2026-01-02", None, "2026-01-02 12:30:00.000000", "soon"
    ]  # fmt: skip


def test_nights_of_different_types_without_a_value_are_text(tmp_path: Path) -> None:
    night(tmp_path, 0, {"n": NO_TEXTS})
    night(tmp_path, 1, {"n": pa.array([None], pa.date32())})
    found = open_run(str(tmp_path)).images(["n"])["n"]
    assert (found.type, found.to_pylist()) == (pa.string(), [None, None])


def test_a_part_without_a_value_is_read_once() -> None:
    """A part is a run, whose files may be many: that it has no value is found out only once."""
    read: list[str] = []

    def part(name: str, values: pa.Array) -> TypedColumn:
        def column() -> Iterator[pa.ChunkedArray]:
            read.append(name)
            yield pa.chunked_array([values])

        return values.type, column

    parts = [part("numbers", pa.array([1])), part("first", NO_TEXTS), part("second", NO_TEXTS)]
    assert shared_type(parts) == pa.int64()
    assert read == ["first", "second", "numbers"]


def test_a_column_s_type_costs_few_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a night of ten files without a value, one is read, for its columns, and its list."""
    store = open_store(str(tmp_path))
    without = make_inputs(30).append_column("n", pa.array([None] * 30, pa.string()))
    first = run_all(open_ledger(store, without)).run_id
    files = {one.key for one in store.list(f"_data/images/run={first}/")}
    assert len(files) == 10  # of three photos each
    night(tmp_path, 30, {"n": pa.array([7])})
    read = keys_read(monkeypatch)
    assert list(open_run(str(tmp_path)).unified) == ["n"]
    assert len(files.intersection(read)) == 1
    assert sum(key.startswith(f"runs/{first}/input/") for key in read) == 1
