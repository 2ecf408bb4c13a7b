"""Lists are untrusted: fixed columns, plain types, no local files from afar, no credentials."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.inputs.listing import image_id, list_inputs
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
    table = list_inputs(uri)
    assert table.column_names == ["image_id", "uri", "etag", "bytes", "boxes", "user", "day"]
    assert table.to_pylist() == [
        {"image_id": image_id("s3://b/1"), "uri": "s3://b/1", "etag": None, "bytes": None,
         "boxes": None, "user": 8, "day": day},
        {"image_id": image_id("s3://b/2"), "uri": "s3://b/2", "etag": None, "bytes": 10,
         "boxes": [[0, 0, 5, 5]], "user": 7, "day": day},
    ]  # fmt: skip


def test_a_csv_list_keeps_its_text(tmp_path: Path) -> None:
    text = 'uri,user,boxes,bytes\n"s3://b/a,\n1",007,"[[0,1,2,3]]",5\ns3://b/z,,,\n'
    table = list_inputs(csv(tmp_path, text))
    assert table["uri"].to_pylist() == ["s3://b/a,\n1", "s3://b/z"]
    assert table["user"].to_pylist() == ["007", None]
    assert table["boxes"].to_pylist() == [[[0, 1, 2, 3]], None]
    assert table["bytes"].to_pylist() == [5, None]


def test_files_of_a_local_list_are_pinned(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"123")
    table = list_inputs(parquet(tmp_path, uri=[str(tmp_path / "x.jpg"), "/absent.jpg"]))
    assert table["bytes"].to_pylist() == [None, 3]
    assert table["etag"].null_count == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"url": ["x"]}, "needs a column 'uri'; it has url"),
        ({"uri": [1]}, None),
        ({"uri": [None, "s3://b/k"]}, "1 rows of the list have no uri"),
        ({"uri": [""]}, "row 0 of the list: a uri has 1 to"),
        ({"uri": ["s3://b/" + "k" * 5000]}, "row 0 of the list: a uri has 1 to"),
        ({"uri": ["s3://b/k"] * 3}, "2 rows repeat a uri, the first is 's3://b/k'"),
        ({"uri": ["s3://b/k"], "status": ["ok"]}, "'status' would collide with ours"),
        ({"uri": ["s3://b/k"], "image": ["ok"]}, "'image' would collide with ours"),
        ({"uri": ["s3://b/k"], "x": [[1]]}, "'x' is list<"),
        ({"uri": ["s3://b/k"], "x": [b"\x80\x04"]}, "'x' is binary"),
        ({"uri": ["s3://b/k"], "x": [{"a": 1}]}, "'x' is struct<"),
        ({"uri": ["s3://b/k"], "boxes": [[[1.0, 2.0]]]}, "'boxes' must be list<"),
        ({"uri": ["s3://b/k"], "bytes": ["many"]}, "'bytes' must be int64"),
        ({"uri": ["https://user:secret@host/k"]}, "user:password@"),
        ({"uri": ["https://host/k?X-Amz-Signature=secret"]}, "parameter 'X-Amz-Signature'"),
    ],
)
def test_a_list_that_is_not_acceptable(
    tmp_path: Path, columns: dict[str, object], message: str | None
) -> None:
    uri = parquet(tmp_path, **columns)
    if message is None:  # a number is text enough
        assert list_inputs(uri)["uri"].to_pylist() == ["1"]
        return
    with pytest.raises(UsageError) as refused:
        list_inputs(uri)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"\x00" * 999])
def test_a_broken_list(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.parquet").write_bytes(data)
    with pytest.raises(UsageError, match="cannot be read as a list"):
        list_inputs(str(tmp_path / "list.parquet"))
    with pytest.raises(UsageError, match="does not exist"):
        list_inputs(str(tmp_path / "other.parquet"))


def test_a_small_file_that_stands_for_terabytes(tmp_path: Path) -> None:
    for length, rows, message in (
        (2 << 20, 1000, "a text of the list"),
        (9000, 600_000, "a column"),
    ):
        text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * length])
        table = pa.table({"uri": text})
        pq.write_table(table, tmp_path / "list.parquet", compression="zstd", store_schema=False)
        assert (tmp_path / "list.parquet").stat().st_size < 100_000
        with pytest.raises(UsageError, match=message):
            list_inputs(str(tmp_path / "list.parquet"))


def test_a_broken_csv(tmp_path: Path) -> None:
    for text in ("", "uri,a\nx\n", "uri,uri\na,b\n"):
        with pytest.raises(UsageError):
            list_inputs(csv(tmp_path, text))
    with pytest.raises(UsageError, match="must be JSON"):
        list_inputs(csv(tmp_path, "uri,boxes\ns3://b/k,nonsense\n"))


def test_a_list_in_a_bucket_may_not_name_local_files(s3: str, tmp_path: Path) -> None:
    data = Path(parquet(tmp_path, uri=["s3://b/k", "/etc/passwd"])).read_bytes()
    open_store(s3).write("lists/tonight.parquet", data)
    with pytest.raises(UsageError, match="only a local list may"):
        list_inputs(f"{s3}/lists/tonight.parquet")


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
    column = list_inputs(str(tmp_path / "list.parquet")).schema.field("x")
    assert column.type == pa.string()
    assert column.metadata is None
