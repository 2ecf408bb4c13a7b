"""File formats detected from their first bytes."""

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.photo.files.formats import is_cut_short, sniff, webp_size
from tests.support.odd_photos import good_photos, saved, scene

GOOD = good_photos()
OF_ENDING = {"jpg": "jpeg", "png": "png", "webp": "webp", "gif": "gif", "avif": "avif"}


@pytest.mark.parametrize("ending", OF_ENDING)
def test_formats_are_told_by_content(ending: str) -> None:
    assert sniff(GOOD[f"good.{ending}"]) == OF_ENDING[ending]


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"II*\0rest", "TIFF"),
        (b"BM" + bytes(50), "BMP"),
        (b"%!PS-Adobe", "PostScript"),
        (b"PK\3\4" + bytes(9), "ZIP"),
        (b"  <svg xmlns=''>", "SVG"),
        (b"\xff\x0a" + bytes(9), "JPEG XL"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp42", "video"),
        (b"plain words", "a text"),
        (b"\x01\x02\x03\x04", "unknown data"),
        (b"RIFF\x10\0\0\0WAVE", "unknown data"),
    ],
)
def test_other_formats_are_refused_by_their_name(start: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words) as caught:
        sniff(start)
    assert caught.value.status == "unsupported_format"


@pytest.mark.parametrize(
    ("format", "options", "words"),
    [
        ("TGA", {}, "TGA"),
        ("TGA", {"compression": "tga_rle"}, "TGA"),
        ("DDS", {}, "DDS"),
        ("SGI", {}, "SGI"),
        ("PCX", {}, "PCX"),
        ("ICNS", {}, "ICNS"),
    ],
)
def test_pictures_of_older_programs_are_refused_by_their_name(
    format: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(DecodeError, match=words):
        sniff(saved(scene(64, 64), format, **options))


def test_a_cursor_is_told_from_a_tga() -> None:
    with pytest.raises(DecodeError, match="CUR"):
        sniff(b"\0\0\2\0\1\0\x20\x20" + bytes(60))


def test_avif_and_heic_are_told_from_their_brands() -> None:
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "avif"
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") == "heic"
    assert sniff(b"\0\0\0\x14ftypheix\0\0\0\0") == "heic"


def test_a_brand_outside_the_first_box_is_ignored() -> None:
    with pytest.raises(DecodeError):
        sniff(b"\0\0\0\x10ftypisom\0\0\0\0avifavif")


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"exif": b"Exif\0\0"}])
@pytest.mark.parametrize("size", [(1, 1), (300, 200), (2_000, 3)])
def test_webp_canvas_size(options: dict[str, object], size: tuple[int, int]) -> None:
    assert webp_size(saved(scene(*size), "WEBP", **options)) == size


def test_webp_canvas_size_of_a_broken_header() -> None:
    assert webp_size(b"RIFF\0\0\0\0WEBPVP8X") is None
    assert webp_size(b"RIFF\0\0\0\0WEBPABCD" + bytes(30)) is None


@pytest.mark.parametrize("ending", OF_ENDING)
def test_whole_files_are_not_cut_short(ending: str) -> None:
    data = GOOD[f"good.{ending}"]
    assert not is_cut_short(data, OF_ENDING[ending])
    for share in np.linspace(0.05, 0.95, 7):
        assert is_cut_short(data[: int(len(data) * share)], OF_ENDING[ending])
