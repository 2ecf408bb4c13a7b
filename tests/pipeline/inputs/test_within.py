"""Which addresses belong to an input: those that it could have listed."""

from pathlib import Path

import pytest

from pipeline.inputs.listing import list_inputs
from pipeline.inputs.within import lies_in


@pytest.mark.parametrize(
    ("given", "inside", "outside"),
    [
        ("s3://ugc/2026/11/", "s3://ugc/2026/11/a/b.jpg", "s3://ugc/2026/12/a.jpg"),
        ("s3://ugc/2026/11/*.jpg", "s3://ugc/2026/11/a.jpg", "s3://ugc/2026/11/a/b.jpg"),
        ("s3://ugc/**/a.jpg", "s3://ugc/1/2/a.jpg", "s3://other/1/a.jpg"),
        ("/photos", "/photos/a/b.jpg", "/photos2/a.jpg"),
        ("/photos/", "/photos/a.jpg", "/photo"),
        ("/photos/*.png", "/photos/a.png", "/photos/sub/a.png"),
        ("file:///photos", "/photos/a.jpg", "/else/a.jpg"),
    ],
)
def test_by_address(given: str, inside: str, outside: str) -> None:
    within = lies_in(given)
    assert within(inside)
    assert not within(outside)


def test_to_a_list_belongs_every_address() -> None:
    assert lies_in("list.csv")("s3://anywhere/a.jpg")


def test_what_is_listed_lies_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    names = ["a.png", "sub/b.png", "odd ?.png", "[1].png"]
    for name in names:
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "in" / "not\udcff.png").write_bytes(b"x")  # its name is not UTF-8
    monkeypatch.chdir(tmp_path)
    for given in ("in", "in/", "in/**", str(tmp_path / "in")):
        within = lies_in(given)
        listed = list_inputs(given)["uri"].to_pylist()
        assert len(listed) == 5
        assert all(map(within, listed)), given


@pytest.mark.parametrize(
    ("given", "inside", "outside"),
    [
        ("s3a://b/in/", "s3://b/in/1.jpg", "s3://b/other/1.jpg"),
        ("s3://b/in [2024]/", "s3://b/in [2024]/1.jpg", "s3://b/in 3/1.jpg"),
    ],
)
def test_an_address_lies_where_the_listing_would_find_it(
    given: str, inside: str, outside: str
) -> None:
    """s3a:// is s3://, and a prefix may have the characters of a glob in its name."""
    assert lies_in(given)(inside)
    assert not lies_in(given)(outside)
