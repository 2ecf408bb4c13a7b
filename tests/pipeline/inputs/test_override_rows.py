"""The values allowed in a row of overrides: last allowed and first refused ones."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SettingError
from pipeline.inputs.override_rows import OverrideRow, read_override_rows
from pipeline.inputs.overrides import Overrides


def csv(folder: Path, text: str) -> str:
    (folder / "list.csv").write_text(text)
    return str(folder / "list.csv")


HEADER = "uri,ratio,x0,y0,x1,y1,focus_x,focus_y,never_crop,forget\n"


def override_rows(folder: Path, *rows: str) -> list[OverrideRow]:
    return read_override_rows(csv(folder, HEADER + "".join(f"{row}\n" for row in rows)))


@pytest.mark.parametrize(
    ("row", "right"),
    [
        ("x,1:1,0,0,100,102,,,,", True),  # 2 pixels
        ("x,1:1,0,0,100,103,,,,", False),
        ("x,1:1,0,0,1000,1020,,,,", True),  # 2 % of the ratio: 1000 / 1020 = .9804
        ("x,1:1,0,0,1000,1021,,,,", False),
        ("x,1:1,0,0,1021,1000,,,,", False),
        ("x,16:9,0,0,160,92,,,,", True),  # 3.6 px of the width are 2 of the height
        ("x,16:9,0,0,160,93,,,,", False),
        ("x,9:16,0,0,90,162,,,,", True),
        ("x,16:9,0,0,1600,910,,,,", True),  # 1.1 % of the ratio
        ("x,9:16,0,0,910,1600,,,,", True),
        ("x,free,0,0,7,500,,,,", True),
        ("x,1:1,4,5,5,6,,,,", True),  # one pixel
        ("x,1:1,4,5,4.9,5.9,,,,", False),
        ("x,,,,,,0,1,,", True),
        ("x,,,,,,-0.01,1,,", False),
        ("x,,,,,,inf,1,,", False),
        ("x,,,,,,,, YES ,", True),
        ("x,,,,,,,,,0", True),
        ("x,,,,,,.5,.5,false,", True),
        ("x,1:1,0,0,5,5,,,true,", True),
    ],
)
def test_what_a_row_of_overrides_may_say(tmp_path: Path, row: str, right: bool) -> None:
    if right:
        assert len(override_rows(tmp_path, row)) == 1
        return
    with pytest.raises(SettingError, match="overrides table, row 1, "):
        override_rows(tmp_path, row)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_joined_by_cat_are_one_table(tmp_path: Path, mark: str) -> None:
    tables = (f"{mark}uri,never_crop,note\r\n{uri},true,\r\n" for uri in ("a", "b"))
    (tmp_path / "o.csv").write_text("".join(tables), "utf-8")
    assert [row.name for row in read_override_rows(str(tmp_path / "o.csv"))] == ["a", "b"]
    with (tmp_path / "o.csv").open("a") as table:
        table.write("c,maybe,\n")
    with pytest.raises(SettingError, match="row 4, never_crop"):  # the second header is row 2
        read_override_rows(str(tmp_path / "o.csv"))


@pytest.mark.parametrize(
    ("saved", "name"),
    [
        ("1:01", "1:1"), ("01:01", "1:1"), ("16:09", "16:9"), ("9:16", "9:16"), ("04:03", "4:3"),
        ("16:09:00", "16:9"), ("01:01:00", "1:1"), ("640:480", "640:480"), ("100:101", "100:101"),
        ("10:10", "10:10"), ("0.5:1", "0.5:1"), ("1.01:1", "1.01:1"), ("circle", "circle"),
    ],
)  # fmt: skip
def test_a_spreadsheet_s_times_of_the_day_are_shapes(tmp_path: Path, saved: str, name: str) -> None:
    numbers = [float(side) for side in name.split(":")] if ":" in name else [1.0, 1.0]
    box = ",".join(f"{1000 * side:g}" for side in numbers)
    (row,) = override_rows(tmp_path, f"x,{saved},0,0,{box},,,,")
    assert row.ratio == name


def test_an_empty_text_says_nothing(tmp_path: Path) -> None:
    columns = {"uri": ["a"], "ratio": [""], "focus_x": [""], "never_crop": ["true"], "note": [""]}
    pq.write_table(pa.table(columns | {"focus_y": [""]}), tmp_path / "o.parquet")
    (row,) = read_override_rows(str(tmp_path / "o.parquet"))
    assert (row.ratio, row.focus_rel, row.never_crop) == (None, None, True)


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".jsonl.gz"])
def test_a_table_of_overrides_may_be_json_lines(tmp_path: Path, ending: str) -> None:
    lines = (
        {"uri": "a", "focus_x": 0.25, "focus_y": 1, "never_crop": None},
        {"uri": "b", "ratio": "1:1", "x0": 0, "y0": 0, "x1": 5, "y1": 5},
        {"uri": "c", "never_crop": True, "forget": False},
    )
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    table = tmp_path / f"o{ending}"
    table.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    same = override_rows(tmp_path, "a,,,,,,.25,1,,", "b,1:1,0,0,5,5,,,,", "c,,,,,,,,true,false")
    assert read_override_rows(str(table)) == same


def test_a_table_of_overrides_is_used_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^overrides table can't be used whole; "):
        read_override_rows(csv(tmp_path, "uri,never_crop\nx,true\ny\n"))
    with pytest.raises(SettingError, match="it names a column twice: rename one") as no:
        read_override_rows(csv(tmp_path, "uri,uri\nx,y\n"))
    assert str(no.value).startswith("overrides cannot")
    with pytest.raises(SettingError, match=r"^overrides must name") as no:
        read_override_rows("x.jpg")
    accepted = ".parquet, .pq, .csv, .jsonl, .ndjson, each perhaps with .gz"
    assert str(no.value) == f"overrides must name a table ({accepted}), not 'x.jpg'"
    with pytest.raises(SettingError, match=r"^overrides table has a column 'a'"):
        read_override_rows(csv(tmp_path, "uri,a\nx,y\n"))
    with pytest.raises(SettingError, match=r"^overrides table needs"):
        read_override_rows(csv(tmp_path, "forget\ntrue\n"))


def test_only_patterns_that_forget_may_match_what_no_list_has(tmp_path: Path) -> None:
    def forgets(*rows: str) -> bool:
        return Overrides.read(csv(tmp_path, HEADER + "\n".join(rows) + "\n")).has_forget_patterns

    assert forgets("s3://b/*,,,,,,,,,true")
    assert not forgets("s3://b/*,,,,,,,,true,", "s3://b/1,,,,,,,,,true")
    assert not forgets("s3://b/*,,,,,,,,true,false")


def test_the_decision_on_a_photo_that_no_row_names_stays_pinned() -> None:
    inputs = pa.table({"uri": ["a", "b"], "override": ['{"name": "", "focus": [0.1, 0.2]}', None]})
    assert Overrides().apply(inputs).inputs.equals(inputs)
    assert Overrides().forgotten_among(pa.array(["a"])) == []
    assert Overrides.read("") == Overrides()
    assert Overrides().apply(inputs).count == 0


def test_hadoop_s_spelling_names_the_same_photos(tmp_path: Path) -> None:
    inputs = pa.table({"uri": ["s3://ugc/a.jpg", "s3://ugc/b.jpg", "s3://ugc/c/d.jpg"]})
    rows = "s3a://ugc/a.jpg,,,,,,,,,true\ns3n://ugc/c/*,,,,,,,,true,\nS3A://gone/x,,,,,,,,,true\n"
    found = Overrides.read(csv(tmp_path, HEADER + rows)).apply(inputs)
    assert found.forgotten == ("s3://gone/x", "s3://ugc/a.jpg")
    assert found.inputs["uri"].to_pylist() == ["s3://ugc/b.jpg", "s3://ugc/c/d.jpg"]
    assert [text and json.loads(text) for text in found.inputs["override"].to_pylist()] == [
        None, {"name": "s3://ugc/c/*", "never_crop": True},
    ]  # fmt: skip
