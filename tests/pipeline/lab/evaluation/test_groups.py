"""The list of people and their groups."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.lab.datasets import Dataset, Example
from pipeline.lab.evaluation.groups import people_of, read_groups

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


def test_people_of_photos_that_the_set_has_are_taken(tmp_path: Path) -> None:
    dataset = Dataset("photos", "test", [Example(n, tmp_path / f"{n}.jpg") for n in "ab"])
    groups = tmp_path / "groups.csv"
    groups.write_text(f"{HEADER}a.jpg,0,0,9,9,x\nc.jpg,0,0,9,9,x\n")
    people, notes = people_of(groups, dataset)
    assert people["a.jpg"].groups == ["x"]
    assert notes == ["1 photo named in groups.csv not found in the data set, such as c.jpg"]
    groups.write_text(f"{HEADER}c.jpg,0,0,9,9,x\n")
    with pytest.raises(UsageError, match=r"no photo of the data set, only others such as c\.jpg$"):
        people_of(groups, dataset)
    groups.write_text(HEADER)
    with pytest.raises(UsageError, match=r"groups\.csv names no photo of the data set$"):
        people_of(groups, dataset)
