"""The list of people and their groups."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.lab.evaluation.groups import read_groups

HEADER = "photo,x0,y0,x1,y1,group\n"


def test_people_of_each_photo(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(HEADER + "a.jpg,0,0,9,9,x\nb.jpg,1,1,9,9,y\na.jpg,2,3,4,5.5,y\n", "utf-8-sig")
    found = read_groups(path)
    assert found["a.jpg"].boxes_px.tolist() == [[0, 0, 9, 9], [2, 3, 4, 5.5]]
    assert found["a.jpg"].groups == ["x", "y"]
    assert found["b.jpg"].boxes_px.tolist() == [[1, 1, 9, 9]]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.jpg,0,0,nan,9,x", "3: .* finite numbers"),
        ("a.jpg,9,0,9,9,x", "3: .* no area"),
        ("a.jpg,0,0,9,9,", "3: no group"),
        ("a.jpg,0,0,nine,9,x", "3: x1 is 'nine'"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(tmp_path: Path, row: str, told: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(f"{HEADER}a.jpg,0,0,9,9,x\n{row}\n")
    with pytest.raises(UsageError, match=rf"groups\.csv:{told}"):
        read_groups(path)


def test_a_column_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("photo,x0,y0,x1,y1\n")
    with pytest.raises(UsageError, match="no column group"):
        read_groups(path)
