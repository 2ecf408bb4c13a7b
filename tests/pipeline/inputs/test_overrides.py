"""People's decisions: which rows a table may have, which photo each applies to, what is pinned."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SettingError, UsageError
from pipeline.inputs.listing import list_all
from pipeline.inputs.overrides import Overridden, Overrides

HEADER = "uri,ratio,x0,y0,x1,y1,focus_x,focus_y,never_crop,forget\n"


def read(folder: Path, *rows: str, header: str = HEADER) -> Overrides:
    path = folder / "overrides.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return Overrides.read(str(path))


def applied(overrides: Overrides, *uris: str) -> Overridden:
    return overrides.apply(pa.table({"uri": pa.array(sorted(uris), pa.string())}))


def pinned(overrides: Overrides, *uris: str) -> dict[str, object]:
    """What is pinned with each photo that stays, by uri."""
    rows = applied(overrides, *uris).inputs.to_pylist()
    return {row["uri"]: json.loads(row.get("override") or "null") for row in rows}


def test_a_photo_has_what_its_row_says(tmp_path: Path) -> None:
    overrides = read(
        tmp_path, "s3://b/1,1:1,10,20,110,120,,,,", "s3://b/2,,,,,,.25,0.75,,", "s3://b/3,,,,,,,,yes,"
    )  # fmt: skip
    assert pinned(overrides, "s3://b/0", "s3://b/1", "s3://b/2", "s3://b/3") == {
        "s3://b/0": None,
        "s3://b/1": {"name": "s3://b/1", "boxes": {"1:1": [10, 20, 110, 120]}},
        "s3://b/2": {"name": "s3://b/2", "focus": [0.25, 0.75]},
        "s3://b/3": {"name": "s3://b/3", "never_crop": True},
    }


def test_an_exact_row_wins_over_a_later_pattern(tmp_path: Path) -> None:
    overrides = read(tmp_path, "s3://b/1,,,,,,.1,.2,,", "s3://b/*,,,,,,.3,.4,,")
    assert pinned(overrides, "s3://b/1", "s3://b/2") == {
        "s3://b/1": {"name": "s3://b/1", "focus": [0.1, 0.2]},
        "s3://b/2": {"name": "s3://b/*", "focus": [0.3, 0.4]},
    }


def test_later_rows_win_and_boxes_of_other_ratios_stay(tmp_path: Path) -> None:
    one, two, wide = "x,1:1,0,0,5,5,,,,", "x,1:1,1,1,6,6,,,,", "x,16:9,0,0,16,9,,,,"
    boxes = {"1:1": [1, 1, 6, 6], "16:9": [0, 0, 16, 9]}
    assert pinned(read(tmp_path, one, wide, two), "x") == {"x": {"name": "x", "boxes": boxes}}
    focus, whole, crop = "x,,,,,,.5,.5,,", "x,,,,,,,,true,", "x,,,,,,,,false,"
    said = {"boxes": {"1:1": [0, 0, 5, 5]}, "focus": [0.5, 0.5]}
    assert pinned(read(tmp_path, whole, one, focus), "x") == {"x": {"name": "x", **said}}
    assert pinned(read(tmp_path, one, focus, whole), "x") == {
        "x": {"name": "x", "never_crop": True}
    }
    assert pinned(read(tmp_path, whole, crop), "x") == {"x": None}
    assert "override" not in applied(read(tmp_path, whole, crop), "x").inputs.column_names


def test_patterns_keep_to_one_level_and_brackets_mean_the_character(tmp_path: Path) -> None:
    uris = ("s3://b/a/1", "s3://b/a/b/1", "s3://b/a[1].jpg", "s3://b/a1.jpg", "s3://c/a/1")
    for pattern, matched in (
        ("s3://b/a/*", {"s3://b/a/1"}),
        ("s3://b/**", set(uris) - {"s3://c/a/1"}),
        ("s3://b/a[1].jpg", {"s3://b/a1.jpg"}),
        ("s3://b/a[[]1].jpg", {"s3://b/a[1].jpg"}),
        ("s3://?/a/1", {"s3://b/a/1", "s3://c/a/1"}),
    ):
        found = pinned(read(tmp_path, f"{pattern},,,,,,,,true,"), *uris)
        assert {uri for uri, said in found.items() if said} == matched


def test_with_a_column_pattern_an_address_stands_for_itself(tmp_path: Path) -> None:
    overrides = read(
        tmp_path, "s3://b/a[1].jpg,,true", ",s3://b/c*,true", header="uri,pattern,never_crop\n"
    )  # fmt: skip
    found = pinned(overrides, "s3://b/a[1].jpg", "s3://b/a1.jpg", "s3://b/c1")
    assert {uri for uri, said in found.items() if said} == {"s3://b/a[1].jpg", "s3://b/c1"}


def test_forgotten_photos_are_not_done_and_are_told(tmp_path: Path) -> None:
    overrides = read(tmp_path, "s3://b/u7/**,,,,,,,,,true", "s3://b/gone,,,,,,,,,1",
                     "s3://b/u7/kept,,,,,,,,,no")  # fmt: skip
    found = applied(overrides, "s3://b/u7/1", "s3://b/u7/kept", "s3://b/u8/1")
    assert found.inputs["uri"].to_pylist() == ["s3://b/u7/kept", "s3://b/u8/1"]
    assert found.forgotten == ("s3://b/gone", "s3://b/u7/1")
    assert found.count == 1
    assert overrides.has_forget_patterns
    assert overrides.forgotten_among(pa.array(["s3://b/u7/old", "s3://b/u9"])) == ["s3://b/u7/old"]


def test_the_order_of_rows_of_other_photos_changes_nothing(tmp_path: Path) -> None:
    rows = ["a,,,,,,.1,.1,,", "b,,,,,,.2,.2,,", "[ab],,,,,,.3,.3,,"]
    first = applied(read(tmp_path, *rows), "a", "b", "c").inputs
    assert first.equals(applied(read(tmp_path, *reversed(rows)), "a", "b", "c").inputs)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("x,,,,,,.5,,,", "row 2, focus_y: is empty"),
        ("x,,,,,,.5,1.5,,", "row 2, focus_y: must be 0 to 1"),
        ("x,,,,,,.5,nan,,", "row 2, focus_y: must be a number, not 'nan'"),
        ("x,,,,,,left,.5,,", "row 2, focus_x: must be a number, not 'left'"),
        ("x,1:1,0,0,5,,,,,", "row 2, y1: is empty"),
        ("x,,0,0,5,5,,,,", "row 2, ratio: is empty"),
        ("x,1:1,,,,,,,,", "row 2, ratio: says for which shape a box is"),
        ("x,square,0,0,5,5,,,,", "row 2, ratio: 'square' is not a shape"),
        ("x,1:1,5,0,5,5,,,,", "row 2, x0, x1: the box has no pixel"),
        ("x,1:1,-1,0,5,5,,,,", "row 2, x0: must be 0 or more"),
        ("x,16:9,0,0,100,100,,,,", "row 2, x0, y0, x1, y1: 100 × 100 is not 16:9"),
        ("x,,,,,,,,maybe,", "row 2, never_crop: must be true or false, not 'maybe'"),
        ("x,,,,,,.5,.5,true,", "row 2, never_crop, focus_x:"),
        (",,,,,,.5,.5,,", "row 2, uri: is empty"),
        ("x,,,,,,,,,", "row 2, focus_x … forget: all are empty"),
        ("x[z-a],,,,,,,,true,", "row 2, uri: 'x[z-a]' is not a pattern"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(SettingError) as refused:
        read(tmp_path, "y,,,,,,,,true,", row)
    assert str(refused.value).startswith("overrides table, ")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("uri,nevercrop\nx,true\n", "has a column 'nevercrop' and knows only uri, pattern"),
        ("never_crop\ntrue\n", "needs a column 'uri' or 'pattern'"),
        ("uri,pattern,never_crop\nx,y,1\n", "row 1, uri, pattern: give one of the two"),
        ("", "needs a column 'uri' or 'pattern'"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingError, match="overrides") as refused:
        read(tmp_path, header=text)
    assert told in str(refused.value)
    with pytest.raises(SettingError, match=r"must name a table \(\.parquet, "):
        Overrides.read("s3://b/overrides.json")
    with pytest.raises(SettingError, match="does not exist"):
        Overrides.read(str(tmp_path / "absent.csv"))


def test_a_box_may_be_rounded_to_pixels(tmp_path: Path) -> None:
    for width, height in ((1280, 719), (1601, 900), (16, 9), (7, 5)):
        assert pinned(read(tmp_path, f"x,16:9,0,0,{width},{height},,,,"), "x")["x"]


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    table = pa.table(
        {"uri": ["a", "b", "c"], "focus_x": [0.5, None, None], "focus_y": [0.25, None, None],
         "never_crop": [None, True, None], "ratio": [None, None, "Circle"],
         "x0": [None, None, 1], "y0": [None, None, 2], "x1": [None, None, 3],
         "y1": [None, None, 4]}
    )  # fmt: skip
    pq.write_table(table, tmp_path / "o.parquet")
    assert pinned(Overrides.read(str(tmp_path / "o.parquet")), "a", "b", "c") == {
        "a": {"name": "a", "focus": [0.5, 0.25]},
        "b": {"name": "b", "never_crop": True},
        "c": {"name": "c", "boxes": {"circle": [1, 2, 3, 4]}},
    }


def test_the_focus_of_a_list_is_pinned_and_an_override_wins(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("uri,focus_x,their_y\ns3://b/1,0,1\ns3://b/2,,\ns3://b/3,1,0\n")
    inputs = list_all(str(path), focus_columns=("focus_x", "their_y")).table
    assert "focus_x" not in inputs.column_names
    assert inputs["their_y"].to_pylist() == ["1", None, "0"]
    rows = read(tmp_path, "s3://b/3,,,,,,.5,.5,,").apply(inputs).inputs.to_pylist()
    assert [json.loads(row["override"] or "null") for row in rows] == [
        {"name": "", "focus": [0, 1]},
        None,
        {"name": "s3://b/3", "focus": [0.5, 0.5]},
    ]


def test_a_focus_of_a_list_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    for text, told in (
        ("uri,a,b\nx,.2,\n", "the list's row of x: 'b' is missing"),
        ("uri,a,b\nx,.2,1.2\n", "the list's row of x: 'b' must be 0 to 1, not 1.2"),
        ("uri,a,b\n,.5,.5\nx,.5,.5\nx,.5,.5\ny,7,.5\n", "row of y: 'a' must be 0 to 1, not 7"),
        ("uri,a,b\nx,.2,left\n", "'b' must hold numbers"),
        ("uri,a\nx,.2\n", "names 'b', and the list has no such column"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=re.escape(told)):
            list_all(str(path), focus_columns=("a", "b"))
    with pytest.raises(SettingError, match="the input is no list"):
        list_all(str(tmp_path), focus_columns=("a", "b"))


def test_rows_that_say_nothing_about_a_focus_leave_the_list_s(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("".join(f"s3://b/{n},.25,.75\n" for n in range(1, 6)))
    path.write_text("uri,x,y\n" + path.read_text())
    inputs = list_all(str(path), focus_columns=("x", "y")).table
    rows = [
        "s3://b/*,,,,,,,,,true",  # all are forgotten, but for
        "s3://b/1,,,,,,,,,false",
        "s3://b/2,1:1,0,0,9,9,,,,false",
        "s3://b/3,,,,,,,,true,false",
        "s3://b/4,,,,,,.5,.5,,false",
    ]
    told = read(tmp_path, *rows).apply(inputs)
    found = {row["uri"]: json.loads(row["override"]) for row in told.inputs.to_pylist()}
    assert found == {
        "s3://b/1": {"name": "", "focus": [0.25, 0.75]},  # as without the table
        "s3://b/2": {
            "name": "s3://b/2", "focus": [0.25, 0.75], "listed_focus": True,
            "boxes": {"1:1": [0, 0, 9, 9]},
        },
        "s3://b/3": {"name": "s3://b/3", "never_crop": True},
        "s3://b/4": {"name": "s3://b/4", "focus": [0.5, 0.5]},
    }  # fmt: skip
    assert told.forgotten == ("s3://b/5",)


def test_what_an_earlier_table_has_pinned_does_not_outlive_its_row(tmp_path: Path) -> None:
    """In a list of failed photos, which has the decisions that their run obeyed."""
    inputs = list_all(str(listed(tmp_path, "s3://b/1"))).table
    before = read(tmp_path, "s3://b/1,,,,,,.5,.5,,").apply(inputs).inputs
    (row,) = read(tmp_path, "s3://b/1,1:1,0,0,9,9,,,,").apply(before).inputs.to_pylist()
    assert json.loads(row["override"]) == {"name": "s3://b/1", "boxes": {"1:1": [0, 0, 9, 9]}}


def listed(folder: Path, *uris: str) -> Path:
    path = folder / "photos.csv"
    path.write_text("\n".join(["uri", *uris]))
    return path


def test_a_focus_that_is_not_a_number_is_missing(tmp_path: Path) -> None:
    """pandas and others write NaN for a missing value."""
    nan = float("nan")
    table = pa.table({"uri": ["a", "b"], "x": [nan, 0.5], "y": [nan, 0.25]})
    pq.write_table(table, tmp_path / "l.parquet")
    inputs = list_all(str(tmp_path / "l.parquet"), focus_columns=("x", "y")).table
    assert inputs["override"].to_pylist() == [None, '{"name": "", "focus": [0.5, 0.25]}']
