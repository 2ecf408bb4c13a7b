"""Edge cases of listing and reading: batches, globs, pins, other stores."""

from pathlib import Path

import pytest

from pipeline.errors import ReadError, SettingError, UsageError
from pipeline.inputs import listing
from pipeline.inputs.listing import list_all
from pipeline.inputs.reading import read_image
from pipeline.inputs.selection import Selection
from pipeline.inputs.within import refuse_overlap
from pipeline.storage.store import open_store


def csv(folder: Path, text: str) -> str:
    (folder / "list.csv").write_text(text)
    return str(folder / "list.csv")


def test_a_listing_is_put_together_from_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(bytes(number))
    whole = list_all(str(tmp_path)).table
    for rows in (1, 2, 5, 6):
        monkeypatch.setattr(listing, "BATCH_ROWS", rows)
        assert list_all(str(tmp_path)).table.equals(whole)
    assert whole["bytes"].to_pylist() == [0, 1, 2, 3, 4]
    assert list_all(str(tmp_path), limit=1).table["bytes"].to_pylist() == [0]


def test_an_input_with_a_credential_is_refused_and_not_repeated() -> None:
    for uri in ("s3://me:hunter2@b/in/", "https://h/list.csv?token=hunter2"):
        with pytest.raises(UsageError, match="never taken from arguments") as refused:
            list_all(uri)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("uri", ["https://h/photos/", "HTTP://h/list.csv"])
def test_an_input_on_a_web_server_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match=r"on a web server.* in a list .* by --http-hosts"):
        list_all(uri)


def test_settings_of_lists_are_refused_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="uri_column is about columns of a list"):
        list_all(str(tmp_path), uri_column="other")
    with pytest.raises(SettingError, match="focus_columns is about columns of a list"):
        list_all(str(tmp_path), focus_columns=("x", "y"), uri_column="other")


def test_rows_of_a_list_are_chosen_by_patterns(tmp_path: Path) -> None:
    path = csv(tmp_path, "uri,user\ns3://b/1.jpg,1\ns3://b/2.png,2\ns3://b/old/3.jpg,3\n")
    found = list_all(path, selection=Selection(include=("*.jpg",), exclude=("old/**",)))
    assert found.table.select(["uri", "user"]).to_pylist() == [{"uri": "s3://b/1.jpg", "user": "1"}]
    assert found.left_out.rows == {"match no --include": 1, "match --exclude": 1}
    assert found.left_out.places == {
        "match no --include": ["s3://b/2.png"], "match --exclude": ["s3://b/old/3.jpg"],
    }  # fmt: skip
    only = list_all(path, selection=Selection(exclude=("*.png",)))
    assert only.table.num_rows == 2
    assert list_all(path).left_out.rows == {}
    texts = csv(tmp_path, "uri\ns3://b/notes.txt\n")
    assert list_all(texts).table.num_rows == 1  # a list means what it names


def test_folders_that_are_hidden_are_not_walked_into(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.jpg").write_bytes(b"x")
    assert list_all(str(tmp_path)).table.num_rows == 0


def test_a_folder_with_characters_of_a_glob_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in [1]").mkdir()
    (tmp_path / "in [1]" / "a.jpg").write_bytes(b"x")
    (tmp_path / "in 1").mkdir()
    (tmp_path / "in 1" / "b.jpg").write_bytes(b"x")
    listed = list_all(str(tmp_path / "in [1]")).table["uri"].to_pylist()
    assert listed == [str(tmp_path / "in [1]" / "a.jpg")]


def test_a_glob_that_matches_only_texts_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_bytes(b"x")
    found = list_all(f"{tmp_path}/*.md")
    assert found.table.num_rows == 0
    assert found.left_out.rows == {"are text or data by their names": 1}


def test_a_text_is_taken_where_a_pattern_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert list_all(str(tmp_path), selection=Selection(include=("*.txt",))).table.num_rows == 1
    whole = Selection(include=(f"{tmp_path}/*.txt", "s3://b/*"))
    assert whole.reason(f"{tmp_path}/notes.txt") is None
    assert whole.reason("s3://b/k") is None
    assert whole.reason("s3://b/a/k") == "match no --include"


def test_an_etag_that_a_list_gives_stays(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"123")
    rows = list_all(csv(tmp_path, f"uri,etag\n{tmp_path}/x.jpg,mine\n")).table.to_pylist()
    assert [(row["etag"], row["bytes"]) for row in rows] == [("mine", None)]


def test_a_row_of_a_bucket_is_not_pinned_by_a_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s3:" / "b").mkdir(parents=True)
    (tmp_path / "s3:" / "b" / "k").write_bytes(b"123")
    path = csv(tmp_path, 'uri,etag\ns3://b/k,\ns3://b/l,"""abcX"""\n')
    monkeypatch.chdir(tmp_path)
    rows = list_all(path).table.to_pylist()
    assert [(row["etag"], row["bytes"]) for row in rows] == [(None, None), ("abcX", None)]


def test_an_output_of_another_kind_of_store_lies_in_no_input(tmp_path: Path) -> None:
    refuse_overlap("s3://b/in/", "/b/in/out")
    refuse_overlap("memory://b", "s3://b/out")
    refuse_overlap(".", "s3://b/out")
    refuse_overlap("/", "memory://b/out")
    with pytest.raises(UsageError, match="lies inside the input"):
        refuse_overlap("memory://b", "memory://b/out")


def test_photos_of_other_stores_are_read() -> None:
    store = open_store("memory://edges/in")
    store.write("a.jpg", b"12345")
    assert read_image("memory://edges/in/a.jpg", max_bytes=5) == b"12345"
    with pytest.raises(ReadError) as failed:
        read_image("memory://edges/in/a.jpg", max_bytes=4)
    assert failed.value.status == "too_large"


def test_a_file_at_its_limit_of_bytes_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read_image(str(tmp_path / "x"), max_bytes=5) == b"12345"
    with pytest.raises(ReadError) as failed:
        read_image(str(tmp_path / "x"), max_bytes=4)
    assert failed.value.status == "too_large"
