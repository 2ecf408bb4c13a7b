"""Checking all names of crops before any work, in little memory."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.crop_names import columns_named, parse_crop_names
from pipeline.errors import SettingError
from pipeline.inputs.listing import image_id
from pipeline.job.planning import check_crop_names
from pipeline.schema import INPUTS
from pipeline.settings import Settings, crop_name_checks
from pipeline.settings.crop_name_checks import check_photos
from pipeline.settings.input import InputSettings


@dataclass(frozen=True)
class Photos:
    """So many photos, made up each time that they are gone through, three in a folder."""

    count: int

    def __iter__(self) -> Iterator[dict[str, str]]:
        for n in range(self.count):
            yield {"uri": f"/p/2026/11/21/u{n // 3}/{n}.jpg", "image_id": f"{n:032x}"}


def test_some_numbers_a_photo_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names and 4/3 of a folder a photo of 8 bytes each; the rest is room to grow."""
    monkeypatch.setattr(crop_name_checks, "CHUNK_FOLDERS", 100)
    names = parse_crop_names("{folder}/{stem}/{ratio}.{format}")
    check_photos(names, Photos(2), ["1:1"], "webp", as_files=True)  # imports what it needs
    for as_files, numbers in ((False, 2), (True, 2 + 4 / 3)):
        tracemalloc.start()
        check_photos(names, Photos(4_000), ["1:1"], "jpeg", "webp", as_files=as_files)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak / 4_000 < 1.6 * 8 * numbers


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_a_file_and_a_folder_are_found_however_far_apart(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop_name_checks, "CHUNK_FOLDERS", chunk)
    keys = ["a/b", "a/c/1", "a/c/2", "a/d", "e/f/g", "h", "a/b/x/y"]
    photos = [{"uri": f"s3://u/{key}", "image_id": key} for key in keys]
    names = parse_crop_names("{key}")
    with pytest.raises(SettingError, match="'a/b' a file, of s3://u/a/b, and a folder, of s3://u/"):
        check_photos(names, photos, ["1:1"], "webp", as_files=True)
    check_photos(names, photos, ["1:1"], "webp")
    check_photos(names, photos[:-1], ["1:1"], "webp", as_files=True)
    check_photos(names, [], ["1:1"], "webp", as_files=True)


def test_the_longest_shape_and_the_highest_rank_must_fit(tmp_path: Path) -> None:
    """A part of a name has at most 200 bytes."""

    def checked(stem: str, template: str, ratios: str, top_k: int = 1) -> None:
        output = str(tmp_path)
        about = {"ratios": ratios, "top_k": top_k, "format": "webp", "crop_files": template}
        settings = Settings.of(input="s3://b/in/", output=output, **about)
        uri = f"s3://b/{stem}.jpg"
        row = {"image_id": image_id(uri), "uri": uri, "etag": "", "bytes": 1}
        check_crop_names(settings, pa.Table.from_pylist([row], schema=INPUTS))

    ratio, rank = "{stem}-{ratio}.{format}", "{stem}{rank}"
    checked("x" * 188, ratio, "1:1,1.91:1")  # 188, `-1.91x1` and `.webp`
    checked("x" * 199, rank, "1:1", 10)  # ranks 0 to 9
    for refused in (
        ("x" * 189, ratio, "1:1,1.91:1"), ("x" * 189, ratio, "1.91:1,1:1"),
        ("x" * 199, rank, "1:1", 11),
    ):  # fmt: skip
        with pytest.raises(SettingError, match="201 bytes"):
            checked(*refused)


@pytest.mark.parametrize(
    ("template", "keys", "name"),
    [
        ("{folder}/{stem}/{ratio}", ["a.jpg", "a/1x1/b.jpg"], "a/1x1"),
        ("{folder}/{stem}/{ratio}", ["a.jpg", "a/16x9/b.jpg"], "a/16x9"),
        ("{folder}/{stem}/{ratio}", ["a/4x3/b.jpg", "a.jpg"], None),
        ("{key}-{ratio}-{rank}.{format}", ["a", "a-1x1-0.webp/b"], "a-1x1-0.webp"),
        ("{key}-{ratio}-{rank}.{format}", ["a", "a-1x1-2.webp/b"], None),
        ("{folder}/{stem}/{ratio}", ["a.jpg", "b/1x1/b.jpg"], None),
        ("{ratio}/{key}", ["a", "a/b"], "16x9/a"),
        ("{ratio}/{key}", ["a", "16x9/a/b"], None),
    ],
)
def test_no_shape_s_file_may_be_a_folder(template: str, keys: list[str], name: str | None) -> None:
    photos = [{"uri": f"s3://u/{key}", "image_id": key} for key in keys]
    names, ratios = parse_crop_names(template), ["1:1", "16:9", "9:16"]
    if name is None:
        check_photos(names, photos, ratios, "jpeg", "webp", top_k=2, as_files=True)
    else:
        message = (
            f"makes '{name}' a file, of {photos[0]['uri']}, and a folder, of {photos[1]['uri']};"
        )
        with pytest.raises(SettingError, match=message):
            check_photos(names, photos, ratios, "jpeg", "webp", top_k=2, as_files=True)


def test_the_columns_that_a_template_names() -> None:
    assert columns_named("{column:b}/{id}-{column:a}{column:}-{ratio}") == ["a", "b"]


@pytest.mark.parametrize(
    ("detector", "has_files"),
    [("boxes:s3://b/boxes", True), ("boxes:", False), ("boxes", False), ("embedded", False)],
)
def test_boxes_may_be_in_files_only_where_a_folder_is_given(detector: str, has_files: bool) -> None:
    assert InputSettings(detector=detector).has_box_files is has_files
