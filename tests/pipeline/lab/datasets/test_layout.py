"""Finding and reading files: folders, photos, text, JSON and MATLAB files, and what is told."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pipeline.errors import UsageError
from pipeline.lab.datasets.layout import (
    PHOTO_FOLDERS,
    cell,
    check_folder,
    check_new,
    check_only_split,
    check_photos_once,
    decoded_photo,
    first_folder,
    missing_note,
    no_crops_note,
    photos,
    photos_of_set,
    read_entries,
    read_json,
    read_mat,
    read_text,
    read_upright_pixels,
    read_upright_size,
)


def photo(path: Path, size: tuple[int, int] = (60, 40), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 120, 40)).save(path, **options)
    return path


def png(path: Path, width: int, height: int, rest: bytes = b"") -> Path:
    """Write the beginning of a PNG by hand: header and some pixels, then `rest`."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = zlib.compress(bytes(width + 1) * min(height, 40))[:10]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + rest)
    return path


def test_a_folder_that_is_missing_and_a_photo_given_twice_are_told(tmp_path: Path) -> None:
    check_folder(tmp_path, "a set")
    with pytest.raises(UsageError, match="nowhere is not a folder: give the one that holds a set"):
        check_folder(tmp_path / "nowhere", "a set")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    check_photos_once([tmp_path / "a/0.png", tmp_path / "0.png", tmp_path / "a/1.png"])
    with pytest.raises(UsageError, match=r"link/1\.png is given twice: give every folder once"):
        check_photos_once([tmp_path / "a/1.png", tmp_path / "0.png", tmp_path / "link/1.png"])


def test_the_first_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no folder x or y; it holds: nothing$"):
        first_folder(tmp_path, "x", "y")
    for name in "jihgfedcba":
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=r"no folder x; it holds: a, b, c, d, e, f, g, h$"):
        first_folder(tmp_path, "x")
    assert first_folder(tmp_path, "x", "b", "a") == tmp_path / "b"


def test_photos_are_known_by_their_suffixes(tmp_path: Path) -> None:
    names = ["a.jpg", "b.JPEG", "c.png", "d.webp", "e.bmp", "h.gif", "i.avif", "j.heic"]
    for name in [*names, "f.txt", ".g.jpg"]:
        (tmp_path / name).touch()
    assert [path.name for path in photos(tmp_path)] == names


@pytest.mark.parametrize("place", ["stimuli", "data/stimuli", "image", "images"])
def test_photos_of_a_set_are_in_its_folder_or_a_published_one(tmp_path: Path, place: str) -> None:
    assert place in PHOTO_FOLDERS
    with pytest.raises(UsageError, match=r"no photos in .*, nor in its folders stimuli, data/stim"):
        photos_of_set(tmp_path)
    inside = photo(tmp_path / place / "b.png")
    assert photos_of_set(tmp_path) == [inside]
    beside = photo(tmp_path / "a.png")
    assert photos_of_set(tmp_path) == [beside]


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_a_photo_s_size_is_that_of_the_upright_photo(
    tmp_path: Path, orientation: int | None
) -> None:
    """Of EXIF's orientations, 5 to 8 are those of photos stored on their side."""
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    path = photo(tmp_path / "a.jpg", exif=exif)
    on_its_side = orientation in (5, 6, 7, 8)
    size = (40, 60) if on_its_side else (60, 40)
    assert read_upright_size(path) == size
    assert read_upright_pixels(path).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
def test_a_labelled_photo_is_turned_as_the_product_turns_it(tmp_path: Path, name: str) -> None:
    """By EXIF or an AVIF's boxes, never by XMP, which Pillow follows too."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    turned = Image.Exif()
    turned[0x0112] = 6
    for more, size in (({"xmp": xmp}, (60, 40)), ({"exif": turned}, (40, 60))):
        path = tmp_path / name
        Image.new("RGB", (60, 40), "red").save(path, **more)
        decoded = decoded_photo(path)
        assert (decoded.width_px, decoded.height_px) == size
        assert read_upright_size(path) == size
        assert read_upright_pixels(path).shape == (size[1], size[0], 3)


def test_a_header_with_broken_exif_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Image.new("RGB", (60, 40)).save(path, exif=b"Exif\0\0no TIFF")
    assert read_upright_size(path) == (60, 40)


def test_photos_that_cannot_be_read_are_told_by_path(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    unknown = b"\0\0\0\4@@@@abcd1234"  # a part of a PNG that no PNG has
    for path in (
        text, tmp_path / "gone.jpg", png(tmp_path / "cut.png", 60, 40),
        png(tmp_path / "huge.png", 30_000, 30_000), png(tmp_path / "odd.png", 60, 40, unknown),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=rf"{path.name} cannot be read: "):
            read_upright_pixels(path)
        if path.stem in ("text", "gone", "huge"):
            with pytest.raises(UsageError, match=rf"{path.name} cannot be read: "):
                read_upright_size(path)
        else:  # the header is whole
            assert read_upright_size(path) == (60, 40)
    with pytest.raises(UsageError, match=r"text\.jpg cannot be read: "):
        decoded_photo(text)
    decoded = decoded_photo(photo(tmp_path / "a.png"))
    assert (decoded.width_px, decoded.height_px) == (60, 40)


def test_lists_name_a_photo_once_and_sets_have_their_splits() -> None:
    check_new("a", {"b": 1}, Path("list"))
    with pytest.raises(UsageError, match="list: the photo a is listed twice"):
        check_new("a", {"a": 1}, Path("list"))
    check_only_split("test", "osie")
    with pytest.raises(UsageError, match="split 'train' does not exist: osie is one split, test"):
        check_only_split("train", "osie")


def test_json_with_errors_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, {"b": null}]}')
    assert read_json(path) == {"a": [1, {"b": None}]}
    with pytest.raises(UsageError, match=r"a\.json: expected \[an entry, …\]$"):
        read_entries(path, "an entry")
    path.write_text("[1, 2]")
    assert read_entries(path, "an entry") == [1, 2]
    path.write_text('[{"a": 1, "b": 2, "c": 3, "b": 4}]')
    with pytest.raises(UsageError, match=r"a\.json: the key 'b' is there twice"):
        read_json(path)
    path.write_text("[1, 2")
    with pytest.raises(UsageError, match=r"a\.json is not JSON: .*line 1"):
        read_json(path)


def test_text_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe")
    assert read_text(path) == "Grüße"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"a\.txt is not a text file$"):
        read_text(path)
    for missing in (tmp_path / "gone", tmp_path, path / "inside"):
        with pytest.raises(UsageError, match=rf"{missing.name} is missing$"):
            read_text(missing)
    with pytest.raises(UsageError, match=r"x cannot be read: File name too long$"):
        read_text(tmp_path / ("x" * 300))


def test_a_matlab_file_is_read_by_variable(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    with pytest.raises(UsageError, match=r"a\.mat is missing$"):
        read_mat(path, "seen")
    savemat(path, {"seen": [1, 2], "other": 3, "third": 4})
    assert np.ravel(read_mat(path, "seen")).tolist() == [1, 2]
    with pytest.raises(
        UsageError, match="expected none in a MATLAB file, found seen, other, third"
    ):
        read_mat(path, "none")
    savemat(path, {})
    with pytest.raises(UsageError, match=r"expected none in a MATLAB file, found nothing$"):
        read_mat(path, "none")


@pytest.mark.parametrize(
    ("compressed", "size"),
    [(False, 10), (False, 60), (False, 127), (False, 200), (True, -3), (True, -60)],
)
def test_a_matlab_file_that_is_cut_is_told(tmp_path: Path, compressed: bool, size: int) -> None:
    """In its header, at the header's end, in its data, or in the check sum behind them."""
    path = tmp_path / "a.mat"
    savemat(path, {"seen": np.arange(50)}, do_compression=compressed)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UsageError, match=r"a\.mat: expected seen in a MATLAB file"):
        read_mat(path, "seen")


def test_a_matlab_file_with_a_wrong_byte_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"seen": np.arange(50)}, do_compression=True)
    data = bytearray(path.read_bytes())
    data[150] ^= 255  # of the compressed variable
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"a\.mat: expected seen in a MATLAB file: Error -3"):
        read_mat(path, "seen")


def test_a_cell_of_one_entry_is_listed_like_others() -> None:
    assert cell({"a": 1}) == [{"a": 1}]
    assert cell(np.array([{"a": 1}, {"b": 2}], dtype=object)) == [{"a": 1}, {"b": 2}]
    assert cell("name") == ["name"]


def test_notes_count_what_was_left_out() -> None:
    assert no_crops_note(0) == missing_note([], "a.csv", "photos") == []
    assert no_crops_note(1) == ["1 photo without crops left out"]
    assert no_crops_note(2) == ["2 photos without crops left out"]
    note = "2 photos named in a.csv not found in photos, such as b"
    assert missing_note(["b", "a"], "a.csv", "photos") == [note]
