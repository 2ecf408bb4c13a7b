"""Rows of CSV and JSON Lines that are too long, and quotes that are not closed."""

import json
import re
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.inputs import list_limits
from pipeline.inputs.table_files import read_table_file

MIB = 1 << 20


def values(folder: Path, name: str, data: bytes) -> list[dict[str, str]]:
    (folder / name).write_bytes(data)
    rows: list[dict[str, str]] = read_table_file(str(folder / name))[0].to_pylist()
    return rows


def test_rows_longer_than_a_block_of_arrow_s_are_read(tmp_path: Path) -> None:
    """Arrow's own blocks have 1 MiB; its own error for a longer row was about block sizes."""
    note = "x" * (3 * MIB)
    before = "".join(f"{number}.jpg,\n" for number in range(200_000))
    rows = values(tmp_path, "l.csv", f"uri,note\n{before}a.jpg,{note}\nb.jpg,c\n".encode())
    assert len(rows) == 200_002
    assert rows[-2:] == [{"uri": "a.jpg", "note": note}, {"uri": "b.jpg", "note": "c"}]
    line = json.dumps({"uri": "a.jpg", "note": note})
    assert values(tmp_path, "l.jsonl", line.encode()) == [{"uri": "a.jpg", "note": note}]
    (long,) = values(tmp_path, "h.csv", f"uri,{note}\na.jpg,1\n".encode())
    assert long == {"uri": "a.jpg", note: "1"}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("l.csv", 'uri,note\na.jpg,"one\ntwo"\nb.jpg,{}\nc.jpg,\n', 4),
        ("l.csv", "uri,{}\na.jpg,\n", 1),
        ("l.csv", "uri,note\r\na.jpg,\r\nb.jpg,{}", 3),
        ("l.jsonl", '{{"uri": "a.jpg"}}\n\n{{"uri": "b.jpg", "note": "{}"}}\n', 3),
    ],
)
def test_a_row_that_is_too_long_is_named_with_its_list(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    data = text.format("x" * (2 * list_limits.MAX_ROW_BYTES)).encode()
    with pytest.raises(UsageError) as refused:
        values(tmp_path, name, data)
    assert str(refused.value) == (
        f"{str(tmp_path / name)!r} cannot be read as a list: the row in line {line} has over "
        "16,777,216 bytes: leave long columns out"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('uri,note\na.jpg,ok\nb.jpg,"open\nc.jpg,ok\n', 3),
        ('uri,note\n"a.jpg,ok\nb.jpg,ok\n', 2),
        ('uri,note\na.jpg,"x ""y"" z\nb.jpg,ok\n', 2),
        ('uri,note\na.jpg,"two\nlines"\r\nb.jpg,"\n', 4),
        ('"uri,note\na.jpg,ok\n', 1),
    ],
)
def test_an_open_quote_does_not_swallow_the_rows_after_it(
    tmp_path: Path, text: str, line: int
) -> None:
    why = re.escape(f"the quote that begins in line {line} is not closed: close it")
    with pytest.raises(UsageError, match=f"l.csv' cannot be read as a list: {why}$"):
        values(tmp_path, "l.csv", text.encode())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('5" disk', '5" disk'),  # an odd number of quotes, none at the start of a field
        ('5" disk\nb.jpg,"a,"', '5" disk'),  # the last one follows a comma, but closes
        ('"a ""b"""', 'a "b"'),
        ('""', None),
        ('"two\nlines"', "two\nlines"),
    ],
)
def test_quotes_that_are_no_fault_are_read(tmp_path: Path, written: str, read: str | None) -> None:
    rows = values(tmp_path, "l.csv", f"uri,note\na.jpg,{written}\n".encode())
    assert rows[0] == {"uri": "a.jpg", "note": read}


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("uri;focus_x\na.jpg;0,3\n", "semicolons"),  # a row of two fields, as commas count
        ("\ufeffuri;note\r\na.jpg;x\r\n", "semicolons"),  # as Excel writes it
        ("sep=;\nuri;note\na.jpg;x\n", "semicolons"),
        ("uri\tnote\na.jpg\tx\n", "tabs"),
    ],
)
def test_a_csv_without_commas_is_said_to_need_them(tmp_path: Path, text: str, mark: str) -> None:
    why = f"cannot be read as a list: its header .* commas between the columns, not {mark}, and"
    with pytest.raises(UsageError, match=why):
        values(tmp_path, "l.csv", text.encode())


def test_semicolons_beside_commas_and_in_values_are_read(tmp_path: Path) -> None:
    assert values(tmp_path, "a.csv", b"uri,a;b\nx;y.jpg,1;2\n") == [
        {"uri": "x;y.jpg", "a;b": "1;2"}
    ]
    assert values(tmp_path, "b.csv", b"uri\nx;y.jpg\n") == [{"uri": "x;y.jpg"}]


def test_an_empty_csv_is_said_to_have_no_columns(tmp_path: Path) -> None:
    assert values(tmp_path, "l.csv", b"") == values(tmp_path, "l.csv", b"\n") == []


def test_a_csv_value_that_is_not_utf_8_is_told_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"l.csv' is not text in UTF-8: write it in UTF-8$"):
        values(tmp_path, "l.csv", b"uri,note\na.jpg,caf\xe9\n")
