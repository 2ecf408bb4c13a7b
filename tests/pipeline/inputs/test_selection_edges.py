"""Which addresses belong to an input, by globs, folders and tables: edge cases one by one."""

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pytest

import pipeline.report
from pipeline.errors import SettingError
from pipeline.inputs.globs import regex_of
from pipeline.inputs.listing import image_id, list_all
from pipeline.inputs.override_rows import read_override_rows
from pipeline.inputs.overrides import Overrides
from pipeline.inputs.reading import read_image
from pipeline.inputs.selection import Selection
from pipeline.inputs.within import membership_test


@pytest.mark.parametrize(
    ("pattern", "uri", "taken"),
    [
        ("*.jpg", "/a/b/x.jpg", True),
        ("b/*.jpg", "/a/b/x.jpg", True),
        ("/a/*.jpg", "/a/x.jpg", True),
        ("/a/*.jpg", "/b/a/x.jpg", False),
        ("s3://b/*.jpg", "s3://b/x.jpg", True),
        ("s3://b/*.jpg", "/q/s3://b/x.jpg", False),
        ("S3A://b/*.jpg", "s3://b/x.jpg", True),
    ],
)
def test_a_pattern_with_a_root_is_about_the_whole_address(
    pattern: str, uri: str, taken: bool
) -> None:
    assert (Selection(include=(pattern,)).reason(uri) is None) is taken
    assert (Selection(exclude=(pattern,)).reason(uri) is None) is not taken


def test_no_file_of_a_gallery_is_taken_for_a_photo() -> None:
    """Its pages may have been written into a folder of photos."""
    pages = [*(Path(pipeline.report.__file__).parent / "app").iterdir()]
    assert {path.suffix for path in pages} == {".js", ".css", ".html"}
    for path in pages:
        assert Selection().reason(str(path)) == "are text or data by their names"
    assert Selection().reason("/photos/js") is None
    assert Selection().reason("/photos/a.js.jpg") is None


@pytest.mark.parametrize(
    ("uri", "inside"),
    [("/in/a.jpg", True), ("/in", True), ("/in2/a.jpg", False), ("file:///in/a.jpg", True),
     ("/a/in/x", False)],
)  # fmt: skip
def test_what_lies_in_a_folder(uri: str, inside: bool) -> None:
    assert membership_test("/in", False)(uri) is inside
    assert membership_test("/in/", False)(uri) is inside


def test_a_backslash_in_a_set_stands_for_itself() -> None:
    assert regex_of("[\\]").fullmatch("\\")
    assert not regex_of("[\\]").fullmatch("\\\\")
    assert regex_of("[!\\]").fullmatch("x")
    assert not regex_of("[!\\]").fullmatch("\\")
    assert regex_of("[[]").fullmatch("[")
    assert regex_of("[]").fullmatch("[]")


def test_an_id_is_the_hash_of_the_bytes_of_an_address() -> None:
    """Also of those that are no UTF-8, which Python keeps as halves of pairs."""
    for data in (b"/a/x.jpg", b"/a/\xff\xfe.jpg", "/a/ü.jpg".encode()):
        assert image_id(os.fsdecode(data)) == hashlib.sha256(data).hexdigest()[: len(image_id("x"))]
    assert image_id("/a/1") != image_id("/a/2")


def test_photos_up_to_64_mib_are_read_by_default(tmp_path: Path) -> None:
    photo = tmp_path / "x"
    with photo.open("wb") as file:
        file.truncate(64 * 1024**2)
    assert len(read_image(str(photo))) == 64 * 1024**2
    with photo.open("ab") as file:
        file.write(b"1")
    with pytest.raises(Exception, match="at most 67108864"):
        read_image(str(photo))


@pytest.mark.parametrize("one", ["include", "exclude"])
def test_each_kind_of_pattern_alone_selects_among_a_list(one: str, tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a.jpg", "b.png")]
    (tmp_path / "list.csv").write_text("uri\n" + "\n".join(names) + "\n")
    selection = Selection(**{one: ("*.jpg",)})
    table = list_all(str(tmp_path / "list.csv"), selection=selection).table
    taken = names[:1] if one == "include" else names[1:]
    assert table["uri"].to_pylist() == taken


def test_decisions_of_patterns_alone_are_read(tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    table.write_text("pattern,forget\n**/a.jpg,true\n")
    assert len(read_override_rows(str(table))) == 1
    table.write_text("forget\ntrue\n")
    with pytest.raises(SettingError, match="needs a column 'uri' or 'pattern'"):
        read_override_rows(str(table))


def test_rows_are_counted_from_one(tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    table.write_text("uri,forget\n/a.jpg,true\n/b.jpg,maybe\n")
    with pytest.raises(SettingError, match="row 2"):
        read_override_rows(str(table))


def test_only_what_is_to_be_forgotten_is_forgotten(tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    table.write_text("uri,forget,focus_x,focus_y\n/a.jpg,true,,\n/b.jpg,,0.5,0.5\n")
    said = Overrides(tuple(read_override_rows(str(table))))
    assert said.forgotten_among(pa.array(["/a.jpg", "/b.jpg", "/c.jpg"])) == ["/a.jpg"]
