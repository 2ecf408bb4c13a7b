"""Lists are untrusted: fixed columns, plain types, no local files in remote lists, no secrets."""

import datetime
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SettingError, UsageError
from pipeline.inputs.listing import image_id, list_all
from pipeline.storage.store import open_store


def parquet(folder: Path, **columns: object) -> str:
    path = folder / "list.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


def csv(folder: Path, text: str) -> str:
    path = folder / "list.csv"
    path.write_text(text)
    return str(path)


def test_a_parquet_list_with_other_columns(tmp_path: Path) -> None:
    day = datetime.date(2026, 11, 21)
    boxes = [[[0.0, 0.0, 5.0, 5.0]], None]
    uri = parquet(
        tmp_path, user=[7, 8], uri=["s3://b/2", "s3://b/1"], day=[day, day], bytes=[10, None],
        boxes=boxes,
    )  # fmt: skip
    table = list_all(uri).table
    assert table.column_names == ["image_id", "uri", "etag", "bytes", "boxes", "user", "day"]
    assert table.to_pylist() == [
        {"image_id": image_id("s3://b/1"), "uri": "s3://b/1", "etag": None, "bytes": None,
         "boxes": None, "user": 8, "day": day},
        {"image_id": image_id("s3://b/2"), "uri": "s3://b/2", "etag": None, "bytes": 10,
         "boxes": [[0, 0, 5, 5]], "user": 7, "day": day},
    ]  # fmt: skip


def test_a_csv_list_keeps_its_text(tmp_path: Path) -> None:
    text = 'uri,user,boxes,bytes\n"s3://b/a,\n1",007,"[[0,1,2,3]]",5\ns3://b/z,,,\n'
    table = list_all(csv(tmp_path, text)).table
    assert table["uri"].to_pylist() == ["s3://b/a,\n1", "s3://b/z"]
    assert table["user"].to_pylist() == ["007", None]
    assert table["boxes"].to_pylist() == [[[0, 1, 2, 3]], None]
    assert table["bytes"].to_pylist() == [5, None]


def test_files_of_a_local_list_are_pinned(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"123")
    table = list_all(parquet(tmp_path, uri=[str(tmp_path / "x.jpg"), "/absent.jpg"])).table
    assert table["bytes"].to_pylist() == [None, 3]
    assert table["etag"].null_count == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"url": ["x"]}, "needs a column 'uri'; it has url. Name another with --uri-column"),
        ({"/p/a.jpg": ["/p/b.jpg"]}, "it has /p/a.jpg. Its first line must name the columns. Name"),
        ({"uri": [1]}, None),
        ({"uri": [""]}, "no row of the list"),
        ({"uri": ["s3://b/" + "k" * 5000]}, "have a uri of over 4,096 characters: 1 (row 1)"),
        ({"uri": ["s3://b/k"], "status": ["ok"]}, "named as ours: 'status'; rename them"),
        ({"uri": ["s3://b/k"], "image": ["ok"], "score": [1]}, "ours: 'image', 'score'; rename"),
        ({"uri": ["s3://b/k"], "boxes": [[[1.0, 2.0]]]}, "'boxes' must be list<"),
        ({"uri": ["s3://b/k"], "bytes": ["many"]}, "'bytes' must be int64"),
        ({"uri": ["https://user:secret@host/k"]}, "carry a credential in their uri: 1 (row 1)"),
        ({"uri": ["https://host/k?X-Amz-Signature=secret"]}, "carry a credential"),
        ({"uri": ["https://[host/k"]}, "have a uri whose host is not valid: 1 (row 1)"),
    ],
)
def test_a_list_that_is_not_acceptable(
    tmp_path: Path, columns: dict[str, object], message: str | None
) -> None:
    uri = parquet(tmp_path, **columns)
    if message is None:  # a number is text enough
        assert list_all(uri).table["uri"].to_pylist() == ["1"]
        return
    with pytest.raises(UsageError) as refused:
        list_all(uri)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_row_that_can_t_be_used_costs_itself_alone(tmp_path: Path) -> None:
    uris = [
        "s3://b/2", None, "s3://b/1", "s3://b/2", " \t", "https://h/k?jwt=hunter2",
        "s3://b/" + "k" * 5000, "s3a://b/1", "https://h/k?monkey=1",
    ]  # fmt: skip
    uri = parquet(tmp_path, uri=uris, user=list(range(len(uris))))
    found = list_all(uri)
    assert [(row["uri"], row["user"]) for row in found.table.to_pylist()] == [
        ("https://h/k?monkey=1", 8), ("s3://b/1", 2), ("s3://b/2", 0),
    ]  # fmt: skip
    assert found.left_out.rows == {
        "have no uri": 2, "repeat a uri": 2, "carry a credential in their uri": 1,
        "have a uri of over 4,096 characters": 1,
    }  # fmt: skip
    assert found.left_out.places["have no uri"] == ["row 2", "row 5"]
    assert "hunter2" not in found.left_out.message


def test_columns_that_other_programs_write(tmp_path: Path) -> None:
    """All-null, categorical, decimal, time, view and large types; what is not plain stays out."""
    uris = pa.array(["s3://b/1", "s3://b/2"])
    uri = parquet(
        tmp_path,
        uri=uris.cast(pa.string_view()),
        none=pa.nulls(2),
        category=pa.array(["x", "y"]).dictionary_encode(),
        price=pa.array(["1.50", "2.25"]).cast(pa.decimal128(7, 2)),
        at=pa.array([1_500, 2_000_000_999], pa.time64("ns")),
        large=pa.array(["l", "m"], pa.large_string()),
        half=pa.array([0.5, 1.5], pa.float16()),
        numbers=[[1], [2]],
        raw=[b"1", b"2"],
        took=pa.array([1, 2], pa.duration("us")),
    )
    found = list_all(uri)
    assert set(found.left_out.columns) == {"numbers", "raw", "took"}
    assert "column 'raw', binary is no plain value" in found.left_out.message
    rows = found.table.to_pylist()
    assert [row["price"] for row in rows] == [Decimal("1.50"), Decimal("2.25")]
    assert [row["at"] for row in rows] == [datetime.time(0, 0, 0, 1), datetime.time(0, 0, 2)]
    assert [(row["none"], row["category"], row["large"]) for row in rows] == [
        (None, "x", "l"), (None, "y", "m"),
    ]  # fmt: skip
    assert found.table.schema.field("category").type == pa.string()
    copy = tmp_path / "copy.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=found.table.schema), copy)
    assert pq.read_table(copy)["half"].to_pylist() == [0.5, 1.5]


def test_json_lines_and_gzip(tmp_path: Path) -> None:
    lines = (
        '{"uri": "s3://b/1", "user": "007", "age": 3, "boxes": [[0, 1, 2, 3]], '
        '"day": "2026-11-01"}\n'
        "not json\n\n[1]\n"
        '{"uri": "s3://b/2", "user": 8, "more": {"a": [1]}}\n'
    )
    plain, packed = tmp_path / "list.jsonl", tmp_path / "list.jsonl.gz"
    plain.write_text(lines)
    packed.write_bytes(gzip.compress(lines.encode()))
    for path in (plain, packed):
        found = list_all(str(path))
        assert found.left_out.rows == {"are no JSON object": 2}
        assert found.left_out.places["are no JSON object"] == ["line 2", "line 4"]
        first, second = found.table.to_pylist()
        assert first["boxes"] == [[0, 1, 2, 3]]
        assert (first["user"], second["user"]) == ("007", "8")  # text and number: text
        assert (first["age"], second["age"]) == (3, None)
        assert (first["day"], second["more"]) == ("2026-11-01", '{"a": [1]}')
    packed.write_bytes(b"no gzip")
    with pytest.raises(UsageError, match="is no gzip file"):
        list_all(str(packed))
    (tmp_path / "list.csv.gz").write_bytes(gzip.compress(b"uri\ns3://b/9\n"))
    assert list_all(str(tmp_path / "list.csv.gz")).table["uri"].to_pylist() == ["s3://b/9"]


def test_rows_of_a_csv_that_are_cut_or_have_odd_boxes(tmp_path: Path) -> None:
    many = json.dumps([[0, 0, 1, 1]] * 1001).replace('"', '""')
    deep = "[" * 100_000
    text = (
        'uri,boxes\ns3://b/1,"[[0,0,5,5]]"\ns3://b/2\ns3://b/3,nonsense\n'
        f's3://b/4,"{many}"\ns3://b/5,"{deep}"\ns3://b/6,"[[1,2]]"\ns3://b/7,\n'
    )
    found = list_all(csv(tmp_path, text))
    assert found.table["uri"].to_pylist() == ["s3://b/1", "s3://b/7"]
    assert found.table["boxes"].to_pylist() == [[[0, 0, 5, 5]], None]
    assert found.left_out.rows == {
        "have boxes that are not JSON like [[x0, y0, x1, y1]]": 3,
        "have over 1,000 boxes": 1,
        "have not 2 fields as the header has": 1,
    }


def test_etags_lose_their_quotes_and_the_mark_of_a_weak_one(tmp_path: Path) -> None:
    text = 'uri,etag\ns3://b/1,"""abc"""\ns3://b/2,"W/""def"""\ns3://b/3,ghi-2\ns3://b/4,\n'
    assert list_all(csv(tmp_path, text)).table["etag"].to_pylist() == ["abc", "def", "ghi-2", None]


def test_another_column_of_addresses(tmp_path: Path) -> None:
    path = parquet(tmp_path, photo_url=["s3://b/1"], user=[1])
    assert list_all(path, uri_column="photo_url").table["uri"].to_pylist() == ["s3://b/1"]
    with pytest.raises(UsageError, match="Name another with --uri-column"):
        list_all(path)
    with pytest.raises(SettingError, match="names 'url', and the list has photo_url, user"):
        list_all(path, uri_column="url")
    both = parquet(tmp_path, photo_url=["s3://b/1"], uri=["s3://b/2"])
    with pytest.raises(SettingError, match="has a 'uri' too"):
        list_all(both, uri_column="photo_url")
    with pytest.raises(SettingError, match="the input is no list"):
        list_all(str(tmp_path), uri_column="photo_url")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"\x00" * 999])
def test_a_broken_list(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.parquet").write_bytes(data)
    with pytest.raises(UsageError, match="cannot be read as a list"):
        list_all(str(tmp_path / "list.parquet"))
    with pytest.raises(UsageError, match="does not exist"):
        list_all(str(tmp_path / "other.parquet"))


def test_a_small_file_that_stands_for_terabytes(tmp_path: Path) -> None:
    for length, rows, message in (
        (2 << 20, 1000, "a text in the column 'uri' has over 1,048,576 bytes"),
        (9000, 600_000, "column 'uri' has 5,400,000,000 bytes"),
    ):
        text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * length])
        table = pa.table({"uri": text})
        pq.write_table(table, tmp_path / "list.parquet", compression="zstd", store_schema=False)
        assert (tmp_path / "list.parquet").stat().st_size < 100_000
        with pytest.raises(UsageError, match=message):
            list_all(str(tmp_path / "list.parquet"))


def test_a_broken_csv(tmp_path: Path) -> None:
    for text in ("", "uri,a\nx\n", "uri,uri\na,b\n", "uri,score\ns3://b/k,1\n"):
        with pytest.raises(UsageError):
            list_all(csv(tmp_path, text))
    with pytest.raises(UsageError, match="not JSON like"):
        list_all(csv(tmp_path, "uri,boxes\ns3://b/k,nonsense\n"))


def test_a_list_in_a_bucket_may_not_name_local_files(s3: str, tmp_path: Path) -> None:
    data = Path(parquet(tmp_path, uri=["s3://b/k", "/etc/passwd"])).read_bytes()
    open_store(s3).write("lists/tonight.parquet", data)
    found = list_all(f"{s3}/lists/tonight.parquet")
    assert found.table["uri"].to_pylist() == ["s3://b/k"]
    assert found.left_out.rows == {"name a local file, which only a local list may": 1}


def test_a_pickled_extension_type_is_not_brought_to_life(tmp_path: Path) -> None:
    field = pa.field(
        "x", pa.string(),
        metadata={
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": b"cos\nsystem\n(S'touch /tmp/owned'\ntR.",
        },
    )  # fmt: skip
    table = pa.table([["s3://b/k"], ["v"]], schema=pa.schema([pa.field("uri", pa.string()), field]))
    pq.write_table(table, tmp_path / "list.parquet")
    column = list_all(str(tmp_path / "list.parquet")).table.schema.field("x")
    assert column.type == pa.string()
    assert column.metadata is None
