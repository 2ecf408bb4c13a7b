"""Edge cases of lists: the last allowed value of each limit, rare types and values."""

import gzip
import json
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema
from pipeline.errors import ReadError, UsageError
from pipeline.inputs import list_limits, table_files
from pipeline.inputs.left_out import LeftOut
from pipeline.inputs.list_values import MAX_BOXES, NO_SIZE, sizes_of
from pipeline.inputs.listing import list_all
from pipeline.inputs.lists import MAX_URI_CHARACTERS
from pipeline.inputs.plain_types import as_plain
from pipeline.inputs.reading import read_image
from pipeline.inputs.table_files import is_table_file, table_format
from pipeline.storage.store import open_store


def csv(folder: Path, text: str) -> str:
    (folder / "list.csv").write_text(text)
    return str(folder / "list.csv")


def test_what_is_left_out_names_three_places_of_each_reason() -> None:
    left_out = LeftOut()
    assert not left_out
    for number in range(3):
        left_out.row("repeat a uri", f"row {number}")
    assert left_out.message == (
        "left out of the input: those that repeat a uri: 3 (row 0, row 1, row 2)"
    )
    left_out.row("repeat a uri", "row 3")
    left_out.row("have no uri", "x" * 300)
    assert "those that repeat a uri: 4 (row 0, row 1, row 2, …)" in left_out.message
    assert left_out.places["have no uri"] == ["x" * 200]
    assert LeftOut(columns={"a": "binary"})


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("a.parquet", ".parquet"), ("a.PQ", ".parquet"), ("a.csv", ".csv"), ("a.csv.gz", ".csv"),
     ("a.jsonl", ".jsonl"), ("a.ndjson.GZ", ".jsonl"), ("a.jpg", None), ("csv", None),
     ("a.csv/b.jpg", None)],
)  # fmt: skip
def test_lists_are_known_by_their_endings(uri: str, kind: str | None) -> None:
    assert table_format(uri) == kind
    assert is_table_file(uri) is (kind is not None)


def test_a_list_of_which_no_line_can_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('[{"uri": "s3://b/a.jpg"}]\n')
    with pytest.raises(UsageError, match=r"no row of the list .* can be used; .*line 1"):
        list_all(str(tmp_path / "a.jsonl"))


def test_limits_of_lists() -> None:
    """A list that was taken yesterday is taken tomorrow."""
    assert (MAX_URI_CHARACTERS, MAX_BOXES) == (4096, 1000)
    assert table_files.MAX_LIST_BYTES == 4 * 1024**3
    assert (table_files.MAX_LIST_ROWS, table_files.MAX_TEXT_BYTES) == (50_000_000, 1024**2)
    assert table_files.THRIFT_LIMIT == 64 * 1024**2
    assert (list_limits.MAX_COLUMNS, table_files.MAX_DEPTH) == (1000, 32)


def test_a_list_on_the_disk_is_named_by_its_path_or_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my list.csv").write_text("uri\ns3://b/1\n")
    monkeypatch.chdir(tmp_path)
    for name in ("my list.csv", f"FILE://{tmp_path}/my%20list.csv"):
        assert list_all(name).table["uri"].to_pylist() == ["s3://b/1"]
    with pytest.raises(UsageError, match=r"^the list 'no\.csv' does not exist$"):
        list_all("no.csv")


def test_a_value_of_a_csv_may_have_more_lines_than_are_read_at_once(tmp_path: Path) -> None:
    long = "line\n" * 400_000  # 2 MB, read in steps of 1 MB
    table = list_all(csv(tmp_path, f'uri,"no\nte"\ns3://b/1,"{long}"\ns3://b/2,x\n')).table
    assert table["no\nte"].to_pylist() == [long, "x"]


def test_columns_without_a_type_or_a_value_become_texts(tmp_path: Path) -> None:
    columns = {
        "uri": ["s3://b/1"], "none": pa.nulls(1), "text": pa.array([None], pa.string()),
        "view": pa.array(["v"]).cast(pa.string_view()),
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    table = list_all(str(tmp_path / "l.parquet")).table
    assert [table.schema.field(n).type for n in ("none", "text", "view")] == [pa.string()] * 3
    assert table["view"].to_pylist() == ["v"]


def test_each_limit_of_a_list_is_its_last_allowed_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = "s3://b/".ljust(MAX_URI_CHARACTERS, "k")
    boxes = json.dumps([[0, 0, 1, 1]] * MAX_BOXES)
    path = csv(tmp_path, f'uri,boxes\n{longest},"{boxes}"\n')
    (row,) = list_all(path).table.to_pylist()
    assert (len(row["uri"]), len(row["boxes"])) == (MAX_URI_CHARACTERS, MAX_BOXES)

    text = "uri\n" + "".join(f"s3://b/{number}\n" for number in range(3))
    monkeypatch.setattr(table_files, "MAX_LIST_ROWS", 3)
    assert list_all(csv(tmp_path, text)).table.num_rows == 3
    monkeypatch.setattr(table_files, "MAX_LIST_ROWS", 2)
    with pytest.raises(UsageError, match="has 3 rows, at most 2: split it"):
        list_all(csv(tmp_path, text))
    pq.write_table(pa.table({"uri": ["s3://b/1"] * 3}), tmp_path / "l.parquet")
    with pytest.raises(
        UsageError, match="cannot be read as a list: it has 3 rows, at most 2: split it"
    ):
        list_all(str(tmp_path / "l.parquet"))
    monkeypatch.setattr(table_files, "MAX_LIST_ROWS", 3)
    assert list_all(str(tmp_path / "l.parquet")).left_out.rows == {"repeat a uri": 2}

    packed = tmp_path / "list.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", max(len(text), packed.stat().st_size))
    assert list_all(str(packed)).table.num_rows == 3
    long = "uri\n" + "s3://b/k\n" * 30
    packed.write_bytes(gzip.compress(long.encode()))
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", len(long) - 1)
    with pytest.raises(UsageError, match=f"has over {len(long) - 1} bytes unpacked; split it"):
        list_all(str(packed))
    (tmp_path / "list.csv").write_text(long)
    with pytest.raises(UsageError, match="is too large"):
        list_all(str(tmp_path / "list.csv"))
    packed.write_bytes(gzip.compress(text.encode())[:-4])
    with pytest.raises(UsageError, match="is no gzip file"):
        list_all(str(packed))


def test_texts_of_a_parquet_list_have_a_longest_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"uri": ["s3://b/1", "s3://b/2", None]}), path)
    monkeypatch.setattr(table_files, "MAX_TEXT_BYTES", 8)
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", path.stat().st_size)
    assert list_all(str(path)).table.num_rows == 2
    monkeypatch.setattr(table_files, "MAX_TEXT_BYTES", 7)
    with pytest.raises(UsageError, match="a text in the column 'uri' has over 7 bytes: shorten it"):
        list_all(str(path))
    texts = pa.array([f"{number:04}" for number in range(9)] * 100)
    pq.write_table(pa.table({"uri": texts}), path, compression="zstd")
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", 3600)
    assert path.stat().st_size < 3600
    assert list_all(str(path)).left_out.rows == {"repeat a uri": 891}
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", 3599)
    with pytest.raises(UsageError, match="the column 'uri' has 3,600 bytes of text, at most 3,599"):
        list_all(str(path))


def test_a_uri_that_was_refused_does_not_hide_the_next(tmp_path: Path) -> None:
    found = list_all(csv(tmp_path, "uri\nhttps://h/?sig=1\nhttps://h/?sig=1\ns3://b/k\n"))
    assert found.left_out.rows == {"carry a credential in their uri": 2}
    assert found.table.num_rows == 1


def test_all_boxes_may_be_null_and_json_lines_may_differ(tmp_path: Path) -> None:
    pq.write_table(pa.table({"uri": ["s3://b/1"], "boxes": pa.nulls(1)}), tmp_path / "l.parquet")
    assert list_all(str(tmp_path / "l.parquet")).table["boxes"].type == schema.INPUT_BOXES.type
    (tmp_path / "l.jsonl").write_text(
        '{"uri": "s3://b/1", "a": 1, "big": 99999999999999999999, "on": true}\n'
        '{"uri": "s3://b/2", "a": 2.5, "big": 1, "on": null}\n'
    )
    one, two = list_all(str(tmp_path / "l.jsonl")).table.to_pylist()
    assert (one["a"], two["a"]) == (1.0, 2.5)
    assert (one["big"], two["big"]) == ("99999999999999999999", "1")
    assert (one["on"], two["on"]) == (True, None)


def test_a_size_below_nothing_costs_its_row_whatever_the_others_are(tmp_path: Path) -> None:
    rows = "s3://b/a,-1\ns3://b/b,5\ns3://b/c,\n"
    for more, left in (("", ["row 1"]), ("s3://b/d,x\n", ["row 1", "row 4"])):
        found = list_all(csv(tmp_path, f"uri,bytes\n{rows}{more}"))
        assert found.table["uri"].to_pylist() == ["s3://b/b", "s3://b/c"]
        assert found.table["bytes"].to_pylist() == [5, None]
        assert list(found.left_out.places.values()) == [left]
    pq.write_table(pa.table({"uri": ["a", "b"], "bytes": [-1, 7]}), tmp_path / "l.parquet")
    assert list_all(str(tmp_path / "l.parquet")).table["bytes"].to_pylist() == [7]
    with pytest.raises(UsageError, match="'bytes' must be int64, 0 or more: no row has such"):
        list_all(csv(tmp_path, "uri,bytes\ns3://b/a,-1\n"))


def test_times_that_are_too_far_away_leave_their_column_out(tmp_path: Path) -> None:
    """A microsecond's int64 ends in the year 294247: 9223372036854.775807 s after 1970."""
    columns = {
        "uri": ["a", "b"],
        "far": pa.array([0, 9_223_372_036_854_776], pa.timestamp("ms")),
        "near": pa.array([0, 9_223_372_036_854_775], pa.timestamp("ms")),
        "fine": pa.array([0, 1_999], pa.timestamp("ns")),
        "seconds": pa.array([0, -9_223_372_036_855], pa.timestamp("s")),
    }
    pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    found = list_all(str(tmp_path / "l.parquet"))
    assert set(found.left_out.columns) == {"far", "seconds"}
    assert "with times too far for microseconds" in found.left_out.message
    assert found.table["near"].cast(pa.int64()).to_pylist() == [0, 9_223_372_036_854_775_000]
    assert found.table["fine"].cast(pa.int64()).to_pylist() == [0, 1]
    days = pa.array([0, 86_400_000 * 2**31], pa.int64()).cast(pa.date64())
    with pytest.raises(pa.ArrowInvalid):  # a date32 ends after 2**31 - 1 days
        as_plain(pa.chunked_array([days]))
    days = pa.array([-86_400_000, 86_400_000 * (2**31 - 1)], pa.int64()).cast(pa.date64())
    assert as_plain(pa.chunked_array([days])).cast(pa.int32()).to_pylist() == [-1, 2**31 - 1]


def test_a_list_is_the_object_of_its_key_exactly(s3: str) -> None:
    client = boto3.client("s3")
    keys = ("a/list.csv", "a//list.csv", "/list.csv", "list.csv")
    for key in keys:
        client.put_object(Bucket=s3[5:], Key=key, Body=f"uri\ns3://of/{key}\n".encode())
    for key in keys:
        for scheme in ("s3", "s3a"):
            found = list_all(f"{scheme}{s3[2:]}/{key}").table
            assert found["uri"].to_pylist() == [f"s3://of/{key}"]
    with pytest.raises(UsageError, match="names a bucket and no list"):
        list_all("s3://list.csv")


def test_a_photo_is_the_object_of_its_key_exactly() -> None:
    store = open_store("memory://exact-keys")
    for key in ("a/x", "b//x"):
        store._backend.put(key, key.encode())
    assert read_image("memory://exact-keys/b//x") == b"b//x"
    assert read_image("memory://exact-keys/a/x") == b"a/x"
    for uri in ("memory://exact-keys/a//x", "memory://exact-keys//a/x", "memory://x.jpg"):
        with pytest.raises(ReadError):
            read_image(uri)


def test_sizes_that_no_number_can_hold_or_that_lack() -> None:
    """Infinity is a size that is wrong, NaN none; a column of none is not wrong at all."""
    made, reasons = sizes_of(pa.chunked_array([[float("inf"), 3.0, 0.0, float("nan")]]))
    assert made.to_pylist() == [None, 3, 0, None]
    assert reasons == [NO_SIZE, None, None, None]
    made, reasons = sizes_of(pa.chunked_array([[float("nan"), None]]))
    assert made.to_pylist() == [None, None]
    assert reasons == [None, None]


def test_sizes_that_are_whole_numbers_in_whatever_form() -> None:
    """pandas writes 5.0 for 5 where a size is missing. No size is cut to a whole number."""
    texts = ["5.0", " 7 ", "8.", "0", None, "5.5", "1_000", "1e3", "", "9" * 21]
    made, reasons = sizes_of(pa.chunked_array([texts]))
    assert made.to_pylist() == [5, 7, 8, 0, *[None] * 6]
    assert reasons == [*[None] * 5, *[NO_SIZE] * 5]
    made, reasons = sizes_of(pa.chunked_array([[1234.7, 2.0]]))
    assert (made.to_pylist(), reasons) == ([None, 2], [NO_SIZE, None])


def test_good_boxes_do_not_bring_back_a_row_that_was_left_out(tmp_path: Path) -> None:
    box = '"[[0,0,5,5]]"'
    text = f"uri,boxes\ns3://b/1,{box}\n,{box}\ns3://b/1,{box}\ns3://b/2,{box}\n"
    found = list_all(csv(tmp_path, text))
    assert found.table["uri"].to_pylist() == ["s3://b/1", "s3://b/2"]
    assert found.left_out.rows == {"have no uri": 1, "repeat a uri": 1}


@pytest.mark.parametrize("damaged", [20, -5])
def test_a_gzip_file_that_is_damaged_in_the_middle_or_at_its_sum(
    tmp_path: Path, damaged: int
) -> None:
    rows = "".join(f"s3://b/{number * 7919 % 1000}\n" for number in range(300))
    data = bytearray(gzip.compress(f"uri\n{rows}".encode(), mtime=0))
    data[damaged] ^= 0xFF
    (tmp_path / "list.csv.gz").write_bytes(data)
    with pytest.raises(UsageError, match="is no gzip file"):
        list_all(str(tmp_path / "list.csv.gz"))


def test_a_number_that_no_box_can_have_leaves_its_row_out(tmp_path: Path) -> None:
    text = f'uri,boxes\ns3://b/1,"[[0,0,5,{10**30}]]"\ns3://b/2,"[[0,0,5,""a""]]"\ns3://b/3,\n'
    found = list_all(csv(tmp_path, text))
    assert found.table["uri"].to_pylist() == ["s3://b/3"]
    assert sum(found.left_out.rows.values()) == 2


@pytest.mark.parametrize("bad", [{"bytes": -5}, {"boxes": "[[1]]"}])
def test_a_row_that_can_t_be_used_does_not_hide_the_next_of_its_photo(
    tmp_path: Path, bad: dict[str, object]
) -> None:
    rows = [{"uri": "s3a://b/k", **bad}, {"uri": "s3://b/k", "bytes": 1}, {"uri": "s3://b/k"}]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = list_all(str(tmp_path / "l.jsonl"))
    assert found.table["bytes"].to_pylist() == [1]
    assert found.left_out.rows["repeat a uri"] == 1
    assert [places for why, places in found.left_out.places.items() if "repeat" not in why] == [
        ["row 1"]
    ]


def test_photos_of_rows_that_can_t_be_used_are_not_gone(tmp_path: Path) -> None:
    """Their addresses are in the list. Where one cannot be read, it may be any photo's."""
    found = list_all(csv(tmp_path, "uri,bytes\ns3://b/1,5\ns3a://b/2,-1\n"))
    known = {uri: found.within(uri) for uri in ("s3://b/1", "s3://b/2", "s3://b/3")}
    assert known == {"s3://b/1": True, "s3://b/2": False, "s3://b/3": True}
    assert (found.unreadable, found.why_no_pruning) == (0, None)
    without = list_all(csv(tmp_path, "uri,bytes\ns3://b/1,5\n,6\n"))
    assert without.unreadable == 1
    assert without.why_no_pruning is not None
    assert "rows of the list (1) have addresses that cannot be read" in without.why_no_pruning
    (tmp_path / "l.jsonl").write_text('{"uri": "s3://b/1"}\n{"uri": \n{"uri": ""}\n')
    assert list_all(str(tmp_path / "l.jsonl")).unreadable == 2


@pytest.mark.parametrize("etag", ["", '""', 'W/""', " "])
def test_an_empty_etag_is_none(tmp_path: Path, etag: str) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"xyz")
    rows = [{"uri": str(photo), "etag": etag}, {"uri": "s3://b/k", "etag": etag}]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, rows)))
    local, remote = list_all(str(tmp_path / "l.jsonl")).table.to_pylist()
    assert (local["bytes"], remote["etag"]) == (3, None)
    assert read_image(local["uri"], local["etag"]) == b"xyz"
