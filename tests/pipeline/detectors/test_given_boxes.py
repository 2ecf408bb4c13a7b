"""Boxes from a list's column or from published box files."""

from __future__ import annotations

from pathlib import Path

import boto3
import numpy as np
import pytest

from pipeline.cropping.build import source_identity
from pipeline.detectors import make_detector
from pipeline.detectors.given_boxes import GivenBoxes, ListedPhoto
from pipeline.errors import DetectError, SettingError
from pipeline.inputs import local_files
from pipeline.storage import backoff, store
from pipeline.storage.store import open_store


def test_published_files_are_y_first(tmp_path: Path) -> None:
    (tmp_path / "12.txt").write_text("10 20 30 40\n1.5 2 3 4.5\n\n")
    found = GivenBoxes(str(tmp_path)).objects_px(ListedPhoto("s3://bucket/some/12.jpg"))
    assert found.boxes.tolist() == [[20, 10, 40, 30], [2, 1.5, 4.5, 3]]
    assert found.boxes.dtype == np.float32
    assert found.scores.tolist() == [1, 1]


def test_a_column_wins_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("10 20 30 40\n")
    found = GivenBoxes(str(tmp_path)).objects_px(ListedPhoto("a.jpg", [[1, 2, 3, 4]]))
    assert found.boxes.tolist() == [[1, 2, 3, 4]]


def test_empty_means_no_objects_but_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n")
    assert len(GivenBoxes(str(tmp_path)).objects_px(ListedPhoto("a.jpg"))) == 0
    assert len(GivenBoxes().objects_px(ListedPhoto("a.jpg", []))) == 0
    with pytest.raises(DetectError, match="boxes column") as missing:
        GivenBoxes().objects_px(ListedPhoto("a.jpg"))
    assert missing.value.status == "boxes_missing"
    with pytest.raises(DetectError, match=r"b\.txt"):
        GivenBoxes(str(tmp_path)).objects_px(ListedPhoto("b.jpg"))
    (tmp_path / "a photo without an address.txt").write_text("1 2 3 4\n")
    (tmp_path / ".txt").write_text("1 2 3 4\n")
    with pytest.raises(DetectError, match="a photo without an address has no boxes"):
        GivenBoxes(str(tmp_path)).objects_px(ListedPhoto())


@pytest.mark.parametrize(
    "text", ["1 2 3", "1 2 3 4\n1 2 3", "a b c d", "1 2 nan 4", "5 2 3 4", "1 2 3 inf"]
)
def test_nonsense_is_a_typed_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DetectError) as wrong:
        GivenBoxes(str(tmp_path)).objects_px(ListedPhoto("a.jpg"))
    assert wrong.value.status == "boxes_invalid"
    assert wrong.value.kind == "permanent"


def test_a_binary_file_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DetectError) as wrong:
        GivenBoxes(str(tmp_path)).objects_px(ListedPhoto("a.jpg"))
    assert wrong.value.status == "boxes_invalid"


@pytest.mark.parametrize("column", [[[1, 2, 3]], [1, 2, 3, 4], [[3, 2, 1, 4]], [[1, 2], [3]]])
def test_a_wrong_column_is_a_typed_error(column: list[list[float]]) -> None:
    with pytest.raises(DetectError) as wrong:
        GivenBoxes().objects_px(ListedPhoto("a.jpg", column))
    assert wrong.value.status == "boxes_invalid"


def test_pixels_alone_are_refused() -> None:
    with pytest.raises(DetectError, match="finds nothing by itself"):
        make_detector("boxes").detect([np.zeros((4, 4, 3), np.uint8)])


def test_identity_follows_the_files(tmp_path: Path) -> None:
    assert GivenBoxes().identity == "column"
    (tmp_path / "a.txt").write_text("1 2 3 4\n")
    before = GivenBoxes(str(tmp_path)).identity
    assert GivenBoxes(str(tmp_path)).identity == before
    (tmp_path / "a.txt").write_text("1 2 3 5\n")
    assert GivenBoxes(str(tmp_path)).identity != before


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("missing", "finds no box file"),
        ("only/nested", "finds no box file"),
        ("foo://bucket/boxes", "cannot read the box files of foo://bucket/boxes: .*not known: foo"),
    ],
)
def test_a_folder_without_box_files_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    below = tmp_path / "only" / "nested" / "train"
    below.mkdir(parents=True)
    (below / "a.txt").write_text("1 2 3 4\n")
    with pytest.raises(SettingError, match=problem):
        source_identity(f"boxes:{folder}")


def test_the_mark_at_a_files_start_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf10 20 30 40\r\n")
    found = GivenBoxes(str(tmp_path)).objects_px(ListedPhoto("a.jpg"))
    assert found.boxes.tolist() == [[20, 10, 40, 30]]


def failure(folder: str, photo: str = "a.jpg") -> tuple[str, str]:
    with pytest.raises(DetectError) as failed:
        GivenBoxes(folder).objects_px(ListedPhoto(photo))
    return failed.value.status, failed.value.kind


@pytest.mark.parametrize(
    ("raised", "status", "kind"),
    [
        (PermissionError(13, "Access Denied"), "forbidden", "circumstances"),
        (OSError(5, "Input/output error"), "network", "transient"),
        (TimeoutError(110, "Connection timed out"), "network", "transient"),
        (OSError(27, "File too large"), "store_refused", "circumstances"),
    ],
)
def test_a_disk_that_gives_no_box_file_is_no_fault_of_the_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: OSError, status: str, kind: str
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise raised

    (tmp_path / "a.txt").write_text("1 2 3 4\n")
    monkeypatch.setattr(local_files, "read_file", refuse)
    assert failure(str(tmp_path)) == (status, kind)


def test_where_no_file_can_be_another_attempt_finds_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "file").touch()
    assert failure(str(tmp_path)) == ("boxes_missing", "permanent")
    assert failure(str(tmp_path / "file")) == ("boxes_missing", "permanent")
    assert failure(str(tmp_path), f"{'x' * 252}.jpg") == ("bad_uri", "permanent")
    assert failure(str(tmp_path), "a\0b.jpg") == ("boxes_missing", "permanent")


def test_a_store_is_asked_as_for_photos(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3.client("s3").put_object(Bucket=s3[5:], Key="boxes/12.txt", Body=b"10 20 30 40\r\n")
    for folder in (f"{s3}/boxes", f"s3a{s3[2:]}/boxes/"):
        found = GivenBoxes(folder).objects_px(ListedPhoto("s3://else/12.jpg"))
        assert found.boxes.tolist() == [[20, 10, 40, 30]]
        assert failure(folder) == ("boxes_missing", "permanent")
    patience = backoff.Backoff(first_s=0.01, cap_s=0.01, deadline_s=0.05)
    monkeypatch.setattr(store, "Backoff", lambda: patience)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert failure("s3://boxes-never-asked-for/boxes") == ("network", "transient")
    assert failure("http://127.0.0.1:9/boxes") == ("network", "transient")  # no store of photos


def test_box_files_lie_in_the_other_stores_of_photos() -> None:
    open_store("memory://boxes-of-others").write("d/12.txt", b"10 20 30 40")
    found = GivenBoxes("memory://boxes-of-others/d").objects_px(ListedPhoto("12.jpg"))
    assert found.boxes.tolist() == [[20, 10, 40, 30]]
    assert failure("memory://boxes-of-others/d") == ("boxes_missing", "permanent")


def test_the_home_folder_may_be_written_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my%20boxes").mkdir()
    (tmp_path / "my%20boxes" / "12.txt").write_text("10 20 30 40\n")
    for folder in ("~/my%20boxes", f"file://{tmp_path}/my%20boxes"):
        assert len(GivenBoxes(folder).objects_px(ListedPhoto("12.jpg"))) == 1
