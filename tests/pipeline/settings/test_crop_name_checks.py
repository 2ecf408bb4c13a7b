"""Names of crops that a plan looks at before any work: all of them, in little memory."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pipeline.errors import SettingError
from pipeline.settings import crop_name_checks
from pipeline.settings.crop_name_checks import check_photos
from pipeline.settings.crop_names import parse_crop_names


@dataclass(frozen=True)
class Photos:
    """So many photos, made up each time that they are gone through, three in a folder."""

    count: int

    def __iter__(self) -> Iterator[dict[str, str]]:
        for n in range(self.count):
            yield {"uri": f"/p/2026/11/21/u{n // 3}/{n}.jpg", "image_id": f"{n:032x}"}


def test_some_numbers_a_photo_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names and 4/3 of a folder a photo of 8 bytes each; the rest is room to grow."""
    monkeypatch.setattr(crop_name_checks, "STRETCH", 100)
    names = parse_crop_names("{folder}/{stem}/{ratio}.{format}")
    check_photos(names, Photos(2), "1:1", "webp", as_files=True)  # imports what it needs
    for as_files, numbers in ((False, 2), (True, 2 + 4 / 3)):
        tracemalloc.start()
        check_photos(names, Photos(4_000), "1:1", "jpeg", "webp", as_files=as_files)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak / 4_000 < 1.6 * 8 * numbers


@pytest.mark.parametrize("stretch", [1, 2, 1000])
def test_a_file_and_a_folder_are_found_however_far_apart(
    stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop_name_checks, "STRETCH", stretch)
    keys = ["a/b", "a/c/1", "a/c/2", "a/d", "e/f/g", "h", "a/b/x/y"]
    photos = [{"uri": f"s3://u/{key}", "image_id": key} for key in keys]
    names = parse_crop_names("{key}")
    with pytest.raises(SettingError, match="'a/b' a file, of s3://u/a/b, and a folder, of s3://u/"):
        check_photos(names, photos, "1:1", "webp", as_files=True)
    check_photos(names, photos, "1:1", "webp")
    check_photos(names, photos[:-1], "1:1", "webp", as_files=True)
    check_photos(names, [], "1:1", "webp", as_files=True)
