"""Find a file's format from its first bytes.

The file's name is not used, since the uploader chooses it. A known format that is not decoded is
refused by name, so that the row says "a TIFF picture" and not "corrupt".
"""

import struct

from pipeline.errors import DecodeError
from pipeline.photo.files.media_boxes import primary_kind

DECODED = ("jpeg", "png", "webp", "gif", "avif", "heic")

_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)

_REFUSED = (
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"II+\0", "a BigTIFF picture"),
    (b"MM\0+", "a BigTIFF picture"),
    (b"BM", "a BMP picture"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop picture"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"\0\0\2\0\0\0\0\0", "a TGA picture"),
    (b"\0\0\2\0", "a Windows cursor (CUR)"),
    (b"\0\1\1\0", "a TGA picture"),
    (b"\0\1\x09\0", "a TGA picture"),
    (b"\0\0\x0a\0", "a TGA picture"),
    (b"\0\0\3\0", "a TGA picture"),
    (b"\0\0\x0b\0", "a TGA picture"),
    (b"DDS ", "a DDS texture"),
    (b"\x01\xda\0", "an SGI picture"),
    (b"\x01\xda\1", "an SGI picture"),
    (b"\x0a\0\1", "a PCX picture"),
    (b"\x0a\2\1", "a PCX picture"),
    (b"\x0a\3\1", "a PCX picture"),
    (b"\x0a\5\1", "a PCX picture"),
    (b"icns", "an Apple icon (ICNS)"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"P1\n", "a Netpbm picture"),
    (b"P2\n", "a Netpbm picture"),
    (b"P3\n", "a Netpbm picture"),
    (b"P4\n", "a Netpbm picture"),
    (b"P5\n", "a Netpbm picture"),
    (b"P6\n", "a Netpbm picture"),
)

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_PICTURE_BRANDS = frozenset({b"mif1", b"miaf"})  # for any codec: old encoders state no other brand
_FORMAT_OF = {b"av01": "avif", b"hvc1": "heic"}


def sniff(data: bytes) -> str:
    """Find the format: "jpeg", "png", "webp", "gif", "avif" or "heic".

    Raises DecodeError("unsupported_format") for anything else; the message says what it looks like.
    """
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return _sniff_box_file(data)
    raise DecodeError("unsupported_format", f"{_looks_like(data)}, not a photo format we read")


def _sniff_box_file(data: bytes) -> str:
    """Distinguish AVIF, HEIC and videos by the brands in the leading `ftyp` box."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    listed = data[8:12] + data[16:size]
    brands = {listed[i : i + 4] for i in range(0, len(listed), 4)}
    if brands & _AVIF_BRANDS:
        return "avif"
    if brands & _HEIC_BRANDS:
        return "heic"
    if brands & _PICTURE_BRANDS and (named := _FORMAT_OF.get(primary_kind(data) or b"")):
        return named
    raise DecodeError("unsupported_format", "a video or an unknown ISO media file")


def _looks_like(data: bytes) -> str:
    for signature, name in _REFUSED:
        if data.startswith(signature):
            return name
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml")):
        return "an SVG or XML document"
    if start.startswith((b"<!doctype", b"<html")):
        return "an HTML page"
    if not set(data[:512]) & {*range(9), *range(14, 27), 127}:
        return "a text"
    return "unknown data"


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Read canvas width and height from a WebP header; None if the header is incomplete.

    Pillow can't be used for this: libwebp's animation decoder allocates the canvas when a file is
    opened, before its size could be refused. Layout: RFC 9649, sections 2.5 to 2.7.
    """
    kind, start = data[12:16], data[20:30]
    if len(start) < 10:
        return None
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(start[4:7], "little"),
            1 + int.from_bytes(start[7:10], "little"),
        )
    if kind == b"VP8L":
        bits = int.from_bytes(start[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", start[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def is_cut_short(data: bytes, name: str) -> bool:
    """Return whether a file that failed to decode lacks its end; if not, it is corrupt."""
    if name == "jpeg":
        return b"\xff\xd9" not in data[-64:]
    if name == "png":
        return b"IEND" not in data[-64:]
    if name == "gif":
        return not data.rstrip(b"\0").endswith(b";")
    if name == "webp":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return _box_runs_over(data)


def _box_runs_over(data: bytes) -> bool:
    """Return whether the last top-level box of an AVIF or HEIC ends beyond the data."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:  # "to the end of the file"
            return False
        if size < 8:  # no box is so short: the file is corrupt
            return False
        at += size
    return at != len(data)
