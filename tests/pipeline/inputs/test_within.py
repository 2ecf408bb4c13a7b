"""Which addresses belong to an input: those that it could have listed."""

from pathlib import Path

import boto3
import pytest

from pipeline.inputs.listing import list_all
from pipeline.inputs.within import membership_test


@pytest.mark.parametrize(
    ("given", "inside", "outside"),
    [
        ("s3://ugc/2026/11/", "s3://ugc/2026/11/a/b.jpg", "s3://ugc/2026/12/a.jpg"),
        ("s3://ugc/2026/11/*.jpg", "s3://ugc/2026/11/a.jpg", "s3://ugc/2026/11/a/b.jpg"),
        ("s3://ugc", "s3://ugc/a.jpg", "s3://ugc-private/a.jpg"),
        ("s3a://ugc", "s3://ugc/a.jpg", "s3://ugc2/a.jpg"),
        ("memory://ugc", "memory://ugc/a.jpg", "memory://ugc-private/a.jpg"),
        ("s3://ugc/pho", "s3://ugc/photos/a.jpg", "s3://ugc/a.jpg"),
        ("s3://ugc/*.jpg", "s3://ugc/a.jpg", "s3://ugc/*.jpg/b"),
        ("/", "/a.jpg", "s3://ugc/a.jpg"),
        ("s3://ugc/**/a.jpg", "s3://ugc/1/2/a.jpg", "s3://other/1/a.jpg"),
        ("/photos", "/photos/a/b.jpg", "/photos2/a.jpg"),
        ("/photos/", "/photos/a.jpg", "/photo"),
        ("/photos/*.png", "/photos/a.png", "/photos/sub/a.png"),
        ("file:///photos", "/photos/a.jpg", "/else/a.jpg"),
    ],
)
def test_by_address(given: str, inside: str, outside: str) -> None:
    within = membership_test(given, "*" in given)
    assert within(inside)
    assert not within(outside)


def test_to_a_list_belongs_every_address() -> None:
    assert membership_test("list.csv", False)("s3://anywhere/a.jpg")


def test_what_is_listed_lies_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    names = ["a.png", "sub/b.png", "odd ?.png", "[1].png"]
    for name in names:
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "in" / "not\udcff.png").write_bytes(b"x")  # its name is not UTF-8
    monkeypatch.chdir(tmp_path)
    for given in ("in", "in/", "in/**", str(tmp_path / "in")):
        found = list_all(given)
        assert found.table.num_rows == 5
        assert all(map(found.within, found.table["uri"].to_pylist())), given


def test_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"x")
    address = f"file://{tmp_path}/caf%E9"
    for given in (str(folder), address):
        found = list_all(given)
        assert found.table["uri"].to_pylist() == [f"{address}/1.png"]
        assert found.within(f"{address}/gone.png")
        assert not found.within(f"file://{tmp_path}/caf%E8/gone.png")


def test_an_address_lies_where_the_listing_would_find_it(s3: str) -> None:
    """A prefix may have the characters of a glob in its name; it is read as one of the two."""
    client = boto3.client("s3")
    for key in ("in [2024]/1.jpg", "in 2/2.jpg", "in 2/3.png"):
        client.put_object(Bucket=s3[5:], Key=key, Body=b"x")
    prefix = list_all(f"s3a{s3[2:]}/in [2024]/")
    assert prefix.within(f"{s3}/in [2024]/gone.jpg")
    assert not prefix.within(f"{s3}/in 2/gone.jpg")
    glob = list_all(f"{s3}/in [2]/*.jpg")
    assert glob.table["uri"].to_pylist() == [f"{s3}/in 2/2.jpg"]
    assert glob.within(f"{s3}/in 2/gone.jpg")
    assert not glob.within(f"{s3}/in 2/3.png")
    assert not glob.within(f"{s3}/in [2]/*.jpg.png")
    bucket = list_all(s3)
    assert bucket.within(f"{s3}/gone.jpg")
    assert not bucket.within(f"{s3}-private/a.jpg")
