"""Numbers and boxes in files: what is read, and where a mistake is told to be."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.lab.datasets.box_files import (
    box_rows,
    boxes,
    finite,
    published_boxes,
    read_numbers,
)

FOUR = "x1 y1 x2 y2"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_numbers_are_separated_by_blanks_or_commas(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "1 2 3 4\n\n5,6, 7.5,-8e1\n  \n")
    assert read_numbers(path, FOUR).tolist() == [[1, 2, 3, 4], [5, 6, 7.5, -80]]
    assert read_numbers(written(path, "\n"), FOUR).shape == (0, 4)
    assert read_numbers(written(path, "1 2 3\n4 5 6 7\n"), "a b c", "d").tolist() == [
        [1, 2, 3], [4, 5, 6],
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["1 2 3", "1 2 3 4 5 6", "1 2 3 x", "1 2 nan 4", "1 2 3 inf"])
def test_a_line_of_other_numbers_is_told(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "a.txt", f"1 2 3 4\n\n {line} \n")
    with pytest.raises(UsageError, match=rf"a\.txt:3: expected `x1 y1 x2 y2`, got `{line}`$"):
        read_numbers(path, FOUR, "score")


def test_an_optional_number_may_follow_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "1 2 3 4 5\n")
    assert read_numbers(path, FOUR, "score").tolist() == [[1, 2, 3, 4]]
    with pytest.raises(UsageError, match=r"a\.txt:1"):
        read_numbers(path, FOUR)
    with pytest.raises(UsageError, match=r"a\.txt:1"):  # it is a number too
        read_numbers(written(path, "1 2 3 4 good\n"), FOUR, "score")


def test_published_box_files_have_y_first(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "1 2 30 40\n")
    found = published_boxes(path)
    assert found is not None
    assert found.tolist() == [[2, 1, 40, 30]]
    assert published_boxes(tmp_path / "gone.txt") is None
    with pytest.raises(UsageError, match=r"a\.txt: \[2.0, 30.0, 40.0, 1.0\] as x0 y0 x1 y1 has"):
        published_boxes(written(path, "30 2 1 40\n"))


def test_rows_of_a_csv_have_a_box_and_their_columns(tmp_path: Path) -> None:
    text = 'group, photo ,x0,y0,x1,y1\n\nours, "a, b.jpg", 1,2,3.5,4 \n'
    ((row, box),) = box_rows(written(tmp_path / "a.csv", text), "group")
    assert (row["photo"], row["group"]) == ("a, b.jpg", "ours")
    assert (box.tolist(), box.dtype) == ([[1, 2, 3.5, 4]], np.float32)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"a\.csv has no column group, photo, x0, x1, y0, y1; it has nothing; columns are"),
        ("photo,x0,y0,x1,group\n", r"a\.csv has no column y1; it has photo, x0, y0, x1, group;"),
        ("photo,x0,y0,x1,y1,group\n\na,1,2,3,4,\n", r"a\.csv:3: no group$"),
        ("photo,x0,y0,x1,y1,group\na,1,2,3\n", r"a\.csv:2: no y1$"),
        ("photo,x0,y0,x1,y1,group\na,1,two,3,4,g\n", r"a\.csv:2: y0 is 'two': give finite"),
        ("photo,x0,y0,x1,y1,group\na,1,2,3,inf,g\n", r"a\.csv:2: y1 is 'inf': give finite"),
        ("photo,x0,y0,x1,y1,group\na,1,2,1,4,g\n", r"a\.csv:2: \[1.0, 2.0, 1.0, 4.0\] as x0"),
    ],
)
def test_a_row_that_is_wrong_is_told_by_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        list(box_rows(written(tmp_path / "a.csv", text), "group"))


def test_boxes_have_four_finite_numbers_and_an_area() -> None:
    made = boxes([[0, 1, 2, 3.5]], "a")
    assert (made.tolist(), made.dtype) == ([[0, 1, 2, 3.5]], np.float32)
    assert boxes([], "a").shape == (0, 4)
    for wrong in ([[1, 2, 3]], [[1, 2, 3, 4, 5]], [1, 2, 3, 4], [[]]):
        with pytest.raises(UsageError, match="a: expected boxes of four numbers, x0 y0 x1 y1"):
            boxes(wrong, "a")
    for flat in ([1, 2, 1, 4], [1, 2, 3, 2], [3, 2, 1, 4], [1, 4, 3, 2]):
        shown = ", ".join(f"{edge:.1f}" for edge in flat)
        with pytest.raises(UsageError, match=rf"a: \[{shown}\] as x0 y0 x1 y1 has no area"):
            boxes([[0, 0, 9, 9], flat, [5, 5, 5, 5]], "a")


@pytest.mark.parametrize("wrong", [[["a", 1]], [[{}, 1]], [[1, 2], [3]]])
def test_what_is_no_number_is_told(wrong: list[list[object]]) -> None:
    with pytest.raises(UsageError, match=r"a: .* has to be numbers, as many in each row$"):
        finite(wrong, "a")


def test_a_number_that_is_not_finite_is_told_with_its_row() -> None:
    assert finite([[1, 2]], "a").dtype == np.float64
    with pytest.raises(UsageError, match=r"a: row 1: \[3.0, nan\] has to be finite numbers$"):
        finite([[1, 2], [3, np.nan], [np.inf, 4]], "a")
    with pytest.raises(UsageError, match=r"a: row 2: inf has to be finite numbers$"):
        finite([1, 2, np.inf], "a")
