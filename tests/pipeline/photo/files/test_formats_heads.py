"""File headers by the formats' specifications, and the sizes that headers state."""

import struct

import pytest

from pipeline.errors import DecodeError
from pipeline.photo.files.formats import is_cut_short, sniff, webp_size

# How files of formats that are not decoded begin, a few bytes further than what tells them.
HEADS = [
    (b"II*\0\x08\0\0\0", "a TIFF picture"),
    (b"MM\0*\0\0\0\x08", "a TIFF picture"),
    (b"II+\0\x08\0\0\0", "a BigTIFF picture"),
    (b"MM\0+\0\x08\0\0", "a BigTIFF picture"),
    (b"BM\x36\0\0\0", "a BMP picture"),
    (b"%!PS-Adobe-3.0\n", "PostScript"),
    (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", "PostScript (EPS)"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"8BPS\0\x01", "a Photoshop picture"),
    (b"\0\0\1\0\1\0\x20\x20", "a Windows icon"),
    (b"\0\0\2\0\1\0\x20\x20", "a Windows cursor (CUR)"),
    (b"\0\0\2\0\0\0\0\0\0\0\0\0", "a TGA picture"),
    (b"\0\1\1\0\0\0\1\x18", "a TGA picture"),
    (b"\0\1\x09\0\0\0\1\x18", "a TGA picture"),
    (b"\0\0\x0a\0\0\0\0\0", "a TGA picture"),
    (b"\0\0\3\0\0\0\0\0", "a TGA picture"),
    (b"\0\0\x0b\0\0\0\0\0", "a TGA picture"),
    (b"DDS |\0\0\0", "a DDS texture"),
    (b"\x01\xda\0\1", "an SGI picture"),
    (b"\x01\xda\1\1", "an SGI picture"),
    (b"\x0a\0\1\x08", "a PCX picture"),
    (b"\x0a\2\1\x08", "a PCX picture"),
    (b"\x0a\3\1\x08", "a PCX picture"),
    (b"\x0a\5\1\x08", "a PCX picture"),
    (b"icns\0\0\x10\0", "an Apple icon (ICNS)"),
    (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51\0\x2f", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14", "a JPEG XL picture"),
    (b"\xff\x0a\xfa\x0f", "a JPEG XL picture"),
    (b"PK\3\4\x14\0", "a ZIP archive"),
    (b"\x1f\x8b\x08\0", "gzip data"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
    (b"\x1aE\xdf\xa3\x9f\x42", "a Matroska or WebM video"),
    (b"\x7fELF\2\1", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"P1\n# bits", "a Netpbm picture"),
    (b"P2\n# grey", "a Netpbm picture"),
    (b"P3\n# colours", "a Netpbm picture"),
    (b"P4\n8 8\n", "a Netpbm picture"),
    (b"P5\n8 8\n", "a Netpbm picture"),
    (b"P6\n8 8\n", "a Netpbm picture"),
    (b"<svg width='9'>", "an SVG or XML document"),
    (b"\xef\xbb\xbf<?XML version='1.0'?>", "an SVG or XML document"),
    (b"\r\n\t <!DOCTYPE html>", "an HTML page"),
    (b" <HTML>", "an HTML page"),
]


@pytest.mark.parametrize(("head", "name"), HEADS, ids=lambda one: repr(one)[:24])
def test_a_file_of_another_format_is_named(head: bytes, name: str) -> None:
    with pytest.raises(DecodeError) as caught:
        sniff(head)
    assert caught.value.status == "unsupported_format"
    assert caught.value.message == f"{name}, not a photo format we read"


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
        (b"GIF87a\x01\0", "gif"),
        (b"GIF89a\x01\0", "gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "webp"),
    ],
)
def test_what_is_read_is_known_by_its_first_bytes(head: bytes, format: str) -> None:
    assert sniff(head) == format


def words_of(data: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        sniff(data)
    return caught.value.message.removesuffix(", not a photo format we read")


@pytest.mark.parametrize("byte", range(256))
def test_a_text_has_no_control_characters(byte: int) -> None:
    """But tab, line feeds, carriage return, and 27 to 31, of which one is escape."""
    is_text = 9 <= byte <= 13 or (byte >= 27 and byte != 127)
    assert words_of(b"words " + bytes([byte]) * 2) == ("a text" if is_text else "unknown data")


def test_the_first_512_bytes_tell_a_text() -> None:
    assert words_of(b"a" * 512 + b"\0") == "a text"
    assert words_of(b"a" * 511 + b"\0") == "unknown data"
    assert words_of(b" " * 508 + b"<svg") == "an SVG or XML document"
    assert words_of(b" " * 509 + b"<svg") == "a text"


BRANDS = {
    "avif": (b"avif", b"avis"),
    "heic": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
}


@pytest.mark.parametrize(
    ("format", "brand"), [(name, one) for name, some in BRANDS.items() for one in some]
)
def test_a_brand_is_read_as_the_main_one_and_among_the_others(format: str, brand: bytes) -> None:
    assert sniff(b"\0\0\0\x14ftyp" + brand + b"\0\0\0\0mif1") == format
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0miaf" + brand) == format
    assert words_of(b"\0\0\0\x14ftypisom" + brand + b"isom").startswith("a video")  # the version


def test_brands_are_read_up_to_256_bytes() -> None:
    others = b"mp41" * 59  # from 16 to 252
    assert sniff(b"\0\0\2\0ftypisom\0\0\0\0" + others + b"avif" + bytes(300)) == "avif"
    assert words_of(b"\0\0\2\0ftypisom\0\0\0\0" + others + b"mp41avif" + bytes(300)).startswith(
        "a video"
    )


def riff(kind: bytes, body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBP" + kind + struct.pack(
        "<I", len(body)
    ) + body  # fmt: skip


def test_the_largest_sizes_that_a_webp_can_state() -> None:
    """14 bits a side, 24 in the extended form (RFC 9649, 2.5 to 2.7); other bits mean others."""
    bits = 16_382 | 16_381 << 14 | 0b1010 << 28  # less one each; opacity and version above
    assert webp_size(riff(b"VP8L", b"\x2f" + bits.to_bytes(4, "little") + bytes(9))) == (
        16_383, 16_382,
    )  # fmt: skip
    lossy = bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 16_383 | 1 << 14, 16_382 | 3 << 14)
    assert webp_size(riff(b"VP8 ", lossy)) == (16_383, 16_382)
    sides = (70_000 - 1).to_bytes(3, "little") + (90_001 - 1).to_bytes(3, "little")
    assert webp_size(riff(b"VP8X", bytes(4) + sides)) == (70_000, 90_001)


def test_a_webp_head_needs_thirty_bytes() -> None:
    whole = riff(b"VP8X", bytes(4) + b"\x63\0\0\x31\0\0")
    assert len(whole) == 30
    assert webp_size(whole) == (100, 50)
    assert webp_size(whole[:29]) is None


@pytest.mark.parametrize(
    ("data", "name", "cut"),
    [
        (b"\xff\xd9" + bytes(62), "jpeg", False),
        (b"\xff\xd9" + bytes(63), "jpeg", True),
        (b"IEND" + bytes(60), "png", False),
        (b"IEND" + bytes(61), "png", True),
        (b"GIF89a;\0\0", "gif", False),
        (b"GIF89a;\0x", "gif", True),
        (b"RIFF\x04\0\0\0WEBP", "webp", False),
        (b"RIFF\x05\0\0\0WEBP", "webp", True),
        (b"\0\0\0\x08free" * 2, "avif", False),
        (b"\0\0\0\x08free\0\0\0\x09mdat", "avif", True),
        (b"\0\0\0\x0afree12\0\0\0\x08mdat", "avif", False),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x12ab", "heic", False),  # 18 bytes, in 8 bytes
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x13ab", "heic", True),
        (b"\0\0\0\x08free\0\0\0\x01mdat\0\0\0\0\0\0\0\x12ab", "heic", False),
        (b"\0\0\0\0mdat and all that follows", "heic", False),
        (b"\0\0\0\x07mdat", "avif", False),  # no box is so short: corrupt
        (b"\0\0\0\x08free\0\0\0", "avif", True),
        (b"", "avif", False),
    ],
)
def test_files_that_lack_their_end(data: bytes, name: str, cut: bool) -> None:
    assert is_cut_short(data, name) is cut
