"""Listings are complete, sorted and pinned; a photo is read as planned or fails with its status."""

import os
from collections import Counter
from pathlib import Path

import boto3
import pytest

from pipeline import schema
from pipeline.errors import ReadError, UsageError
from pipeline.inputs.listing import image_id, list_all
from pipeline.inputs.reading import read_image
from pipeline.inputs.selection import Selection
from pipeline.inputs.within import refuse_overlap
from tests.pipeline.storage.test_storage import STRANGE_KEYS

NO_FILES = {  # the loop and the pipe
    "are links to folders, which are not followed": 1,
    "are links to nothing, or no regular files": 1,
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four files in two folders, and what a listing must leave out."""
    folder = tmp_path / "photos"
    (folder / "2026" / "11").mkdir(parents=True)
    for name in ("b.jpg", "a.png", "2026/c.jpg", "2026/11/d.bin"):
        (folder / name).write_bytes(name.encode())
    (folder / ".hidden").write_bytes(b"")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder)
    return folder


def names(uri: str, folder: Path) -> list[str]:
    return [Path(u).relative_to(folder).as_posix() for u in list_all(uri).table["uri"].to_pylist()]


def test_a_folder_is_listed_whole_and_sorted(photos: Path) -> None:
    table = list_all(str(photos)).table
    assert table.schema == schema.INPUTS
    assert names(str(photos), photos) == ["2026/11/d.bin", "2026/c.jpg", "a.png", "b.jpg"]
    assert table["bytes"].to_pylist() == [13, 10, 5, 5]
    assert table["etag"].null_count == 0
    assert list_all(f"file://{photos}").table.equals(table)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["b.jpg"]),
        ("**/*.jpg", ["2026/c.jpg", "b.jpg"]),
        ("2026/*/d.???", ["2026/11/d.bin"]),
        ("[ab].*", ["a.png", "b.jpg"]),
        ("[!a].*", ["b.jpg"]),
        ("a.png", ["a.png"]),
    ],
)
def test_globs(photos: Path, pattern: str, expected: list[str]) -> None:
    assert names(f"{photos}/{pattern}", photos) == expected


def test_limit_keeps_the_first(photos: Path) -> None:
    assert names(str(photos), photos)[:2] == [
        Path(u).relative_to(photos).as_posix()
        for u in list_all(str(photos), limit=2).table["uri"].to_pylist()
    ]
    with pytest.raises(UsageError, match="limit must be at least 1, not 0"):
        list_all(str(photos), limit=0)


def test_nothing_found_is_an_error(photos: Path) -> None:
    for uri in (f"{photos}/*.gif", str(photos / "absent")):
        with pytest.raises(UsageError, match="nothing found"):
            list_all(uri)


def test_a_place_without_photos_gives_no_rows(s3: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("uri,user\n")
    for uri in (str(tmp_path / "empty"), f"{s3}/nothing/", str(tmp_path / "list.csv")):
        table = list_all(uri).table
        assert table.num_rows == 0
        assert table.schema.names[:4] == schema.INPUTS.names


def test_texts_beside_photos_are_left_out_and_counted(photos: Path) -> None:
    for name in ("readme.md", "2026/index.JSON", "2026/list.csv.gz"):
        (photos / name).write_text("x")
    found = list_all(str(photos))
    assert found.table.num_rows == 4
    assert found.left_out.rows == {"are text or data by their names": 3, **NO_FILES}
    assert (
        "left out of the input: those that are text or data by their names: 3 ("
        in found.left_out.message
    )


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), (), ["2026/11/d.bin", "2026/c.jpg", "a.png", "b.jpg"]),
        (("*.jpg",), (), ["2026/c.jpg", "b.jpg"]),
        ((), ("2026/*", "11/*"), ["a.png", "b.jpg"]),
        (("*.jpg", "*.png"), ("2026/c.*",), ["a.png", "b.jpg"]),
        (("pg",), (), []),
    ],
)
def test_files_are_chosen_by_their_names(
    photos: Path, include: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]
) -> None:
    found = list_all(str(photos), selection=Selection(include, exclude))
    uris = found.table["uri"].to_pylist()
    assert [Path(uri).relative_to(photos).as_posix() for uri in uris] == expected
    assert sum((found.left_out.rows - Counter(NO_FILES)).values()) == 4 - len(expected)


def test_a_folder_that_is_excluded_whole_is_left_out_as_one(photos: Path) -> None:
    for pattern in ("2026/**", f"{photos}/2026/**", "202**"):
        found = list_all(str(photos), selection=Selection(exclude=(pattern,)))
        uris = found.table["uri"].to_pylist()
        assert [Path(uri).name for uri in uris] == ["a.png", "b.jpg"], pattern
        assert found.left_out.places["match --exclude"] == [f"{photos}/2026/"]


def test_a_prefix_with_characters_of_a_glob_is_a_prefix(s3: str) -> None:
    client = boto3.client("s3")
    for key in ("in [2024]/1.jpg", "in 2/2.jpg", "what?/3.jpg"):
        client.put_object(Bucket=s3[5:], Key=key, Body=b"x")
    assert list_all(f"{s3}/in [2024]/").table["uri"].to_pylist() == [f"{s3}/in [2024]/1.jpg"]
    assert list_all(f"{s3}/what?/").table["uri"].to_pylist() == [f"{s3}/what?/3.jpg"]
    assert list_all(f"{s3}/in [12]*/*").table["uri"].to_pylist() == [f"{s3}/in 2/2.jpg"]


@pytest.mark.parametrize("scheme", ["s3a", "S3N", "S3"])
def test_capitals_and_hadoop_s_schemes_are_s3(s3: str, scheme: str, tmp_path: Path) -> None:
    client = boto3.client("s3")
    client.put_object(Bucket=s3[5:], Key="d/1.jpg", Body=b"x")
    there = f"{scheme}{s3[2:]}"
    assert list_all(f"{there}/d/").table["uri"].to_pylist() == [f"{s3}/d/1.jpg"]
    assert read_image(f"{there}/d/1.jpg") == b"x"
    (tmp_path / "list.csv").write_text(f"uri\n{there}/d/1.jpg\n")
    assert list_all(str(tmp_path / "list.csv")).table["uri"].to_pylist() == [f"{s3}/d/1.jpg"]


def test_a_prefix_lists_every_key_as_it_is(s3: str) -> None:
    client = boto3.client("s3")
    for key in STRANGE_KEYS:
        client.put_object(Bucket=s3[5:], Key=f"in/{key}", Body=key.encode())
    client.put_object(Bucket=s3[5:], Key="in/folder-marker/", Body=b"")
    client.put_object(Bucket=s3[5:], Key="other/x", Body=b"")
    table = list_all(f"{s3}/in/").table
    assert sorted(table["uri"].to_pylist()) == sorted(f"{s3}/in/{key}" for key in STRANGE_KEYS)
    assert len(set(table["image_id"].to_pylist())) == len(STRANGE_KEYS)
    for row in table.to_pylist():
        assert read_image(row["uri"], row["etag"]) == row["uri"][len(s3) + 4 :].encode()


def test_a_glob_in_a_bucket(s3: str) -> None:
    client = boto3.client("s3")
    for key in ("d/1.jpg", "d/2.png", "d/e/3.jpg", "f/4.jpg"):
        client.put_object(Bucket=s3[5:], Key=key, Body=b"x")
    assert list_all(f"{s3}/*/*.jpg").table["uri"].to_pylist() == [f"{s3}/d/1.jpg", f"{s3}/f/4.jpg"]


def test_image_ids_are_hashes_of_the_uri() -> None:
    # sha256 of the text, by `printf %s s3://b/k | sha256sum`
    assert image_id("s3://b/k") == "a65db92acac13cb7aabe84c6f0b024e2"
    assert image_id("s3://b/k") != image_id("s3://b/k/")


def test_file_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    (tmp_path / "new\nline.jpg").write_bytes(b"y")
    rows = list_all(str(tmp_path)).table.to_pylist()
    assert {read_image(row["uri"], row["etag"]) for row in rows} == {b"x", b"y"}


def test_the_output_must_not_lie_in_the_input(tmp_path: Path) -> None:
    for source, target in (
        ("s3://b/in/", "s3://b/in/out"), ("s3://b/in/*/*", "s3://b/in"), ("s3://b", "s3://b/out"),
        (str(tmp_path), str(tmp_path / "out")), ("s3://b/in", "s3://b/in/"),
        ("s3://b/pho", "s3://b/photos/thumbs"), ("s3a://b/", "s3://b/out"),
        ("s3n://b/in/", "S3://b/in/out"), ("s3://b/p*/**", "s3://b/photos/out"),
        ("s3://b/**/a/*.jpg", "s3://b/x"), ("s3://b/*/*/*.jpg", "s3://b/out"),
        ("s3://b/x[1]/", "s3://b/x[1]/out"), ("s3://b/20[0-9]?/*/*", "s3://b/2026"),
        ("s3://b/2026*/*/*/*.jpg", "s3://b/2026-thumbs"), ("s3://b/*/*", "s3://b"),
        ("s3://b/2026**", "s3://b/2026-thumbs"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="lies inside the input"):
            refuse_overlap(source, target)
    for source, target in (
        ("s3://b/in/", "s3://b/out"), ("s3://b/in/", "s3://b/input2"), ("s3://b/", "/out"),
        ("s3://b", "s3://b2/out"), ("s3a://b/in/", "s3://b/out"), ("s3://b/*.jpg", "s3://b/out"),
        ("s3://b/p*/**", "s3://b/out"), ("s3://b/in/*.jpg", "s3://b"), ("s3://b/in/", "s3://b"),
        ("s3://b/a*/b**", "s3://b/ax/c"), ("s3://b/20[0-9]?/*/*", "s3://b/3026"),
        ("/data/list.csv", "/data/out"), ("s3://b/2026*/*.jpg", "s3://b/2026-thumbs"),
        ("s3://b/in/*.jpg", "s3://b/in"), ("s3://b/*", "s3://b"), ("s3://b/*/*", "s3://b/out"),
    ):  # fmt: skip
        refuse_overlap(source, target)


def status_of(uri: str, etag: str | None = None, **options: object) -> tuple[str, str]:
    with pytest.raises(ReadError) as failed:
        read_image(uri, etag, **options)  # type: ignore[arg-type]
    return failed.value.status, failed.value.kind


def test_reading_fails_by_name(s3: str, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("s3")
    etag = client.put_object(Bucket=s3[5:], Key="k", Body=b"12345")["ETag"].strip('"')
    assert read_image(f"{s3}/k", etag) == b"12345"
    assert status_of(f"{s3}/absent") == ("not_found", "circumstances")
    assert status_of(f"{s3}-absent/k") == ("not_found", "circumstances")
    assert status_of(f"{s3}/k", max_bytes=4) == ("too_large", "circumstances")
    client.put_object(Bucket=s3[5:], Key="k", Body=b"changed")
    assert status_of(f"{s3}/k", etag) == ("changed", "circumstances")
    for uri in (
        "s3://",
        "s3://b",
        "s3:///k",
        "s3://b:c/k",
        "ftp://h/x",
        "s3://u:p@b/k",
        "x" * 5000,
    ):
        assert status_of(uri) == ("bad_uri", "permanent"), uri
    for uri in (str(photos), "\0", ""):
        assert status_of(uri) == ("not_found", "circumstances")
    assert status_of(str(photos / "pipe")) == ("not_found", "circumstances")
    assert status_of(str(photos / "b.jpg"), "0-0") == ("changed", "circumstances")
    assert status_of("http://127.0.0.1/x") == ("forbidden", "circumstances")


def test_a_store_that_stays_away_is_transient(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipeline.storage.backoff
    import pipeline.storage.store

    patience = pipeline.storage.backoff.Backoff(first_s=0.01, cap_s=0.01, deadline_s=0.05)
    monkeypatch.setattr(pipeline.storage.store, "Backoff", lambda: patience)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert status_of("s3://never-asked-before/k") == ("network", "transient")


def test_folders_are_compared_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    (tmp_path / "link").symlink_to("photos")
    (tmp_path / "photos" / "away").symlink_to(tmp_path / "else")  # no listing follows it
    monkeypatch.chdir(tmp_path)
    for source, target in (
        ("photos", "photos/sub/../out"), ("photos", "else/../photos/out"), ("photos", "link/out"),
        ("link", "photos/out"), ("p*/**", "photos/out"), ("*/*/*", "photos"), ("**", "photos"),
        ("file://{}/photos", "photos/out"), ("else/../p*/**", "link/out"),
        ("link/s*/*/*", "link/sub"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="lies inside the input"):
            refuse_overlap(source.format(tmp_path), target)
    for source, target in (
        ("photos", "photos/../out"), ("photos", "photos/away/out"), ("p*/**", "out"),
        ("photos", "photos2"), ("photos/sub", "photos"), ("p*/*.jpg", "photos/sub"),
        ("photo*/*.jpg", "photos"), ("link/s*/*", "link/sub"),
    ):  # fmt: skip
        refuse_overlap(source, target)
