"""Strip parts that a decoder does not need to show a picture: texts, previews, notes, odd blocks.

A fault in such a part must not cost the picture, and a part that no decoder reads can't attack one.
Only the headers of parts are walked. The orientation and the colour space that they state are
returned next to the file; EXIF itself reaches no decoder.
Layouts: PNG third edition, sections 5 and 11; JPEG, ITU-T T.81 annex B; EXIF, TIFF 6.0 section 2;
WebP, RFC 9649 section 2.7.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.photo.files.media_boxes import media_facts, without_notes
from pipeline.photo.files.png_colour import png_meaning
from pipeline.photo.files.segments import (
    FRAMES,
    PROGRESSIVE,
    START_OF_SCAN,
    jpeg_segments,
    stated_end,
)
from pipeline.photo.spaces import Space

# The largest ICC profile that Pillow unpacks from a PNG, bytes; most have a few thousand.
MOST_PNG_PROFILE = 1 << 20

PNG_START = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
"""The EXIF tag that says how a photo is to be turned, 1 to 8 (EXIF 2.32, tag 274)."""
_SHORT = 3
_EXIF, _EXIF_BYTES = b"Exif\0", 6  # one more byte follows, which has no meaning

_PNG_PICTURE = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"fdAT"})
_PNG_MOVING = frozenset({b"acTL", b"fcTL"})
_OF_MOVING = _PNG_MOVING | {b"fdAT"}
_PNG_COLOUR = frozenset({b"sRGB", b"gAMA", b"cICP", b"cHRM"})
_PNG_NEEDED = _PNG_COLOUR | {b"tRNS", b"iCCP"}
_PNG_LIGHT = frozenset({b"cLLI", b"mDCV"})  # peak brightness; for us, not for a decoder
_PNG_LENGTHS = {
    b"sRGB": 1, b"gAMA": 4, b"cICP": 4, b"cHRM": 32, b"acTL": 8, b"fcTL": 26, b"cLLI": 8,
    b"mDCV": 24,
}  # fmt: skip
_PNG_KEYS = {0: 2, 2: 6}  # colour type -> bytes of the value that is transparent

_APP0, _APP1, _APP2, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_WEBP_HAS_EXIF, _MOST_WEBP_CHUNKS = 8, 200_000

Chunk: TypeAlias = tuple[bytes, int, int]  # name of a PNG's chunk, start and end of its body


@dataclass(frozen=True)
class StrippedFile:
    """A file stripped to its picture, and the facts that it states about the picture.

    data:        the file; the same object if nothing was left out.
    orientation: how the picture has to be turned, by EXIF's numbers: 1 to 8.
    space:       what its values mean, by chunks or code points; None if not stated.
    scans:       for a JPEG that has to be kept in memory as a whole, the number of passes over it;
                 else 1.
    """

    data: bytes
    orientation: int = 1
    space: Space | None = None
    scans: int = 1


def stripped(data: bytes, format: str) -> StrippedFile:
    """Strip a JPEG or PNG to its picture, hide an AVIF's EXIF and XMP, read what the file states.

    From the first unreadable part on, a file stays as it is.
    """
    if format == "jpeg":
        return _stripped_jpeg(data)
    if format == "png":
        return _stripped_png(data)
    if format in ("avif", "heic"):
        orientation, space = media_facts(data)
        return StrippedFile(data if format == "heic" else without_notes(data), orientation, space)
    return StrippedFile(data, _webp_orientation(data)) if format == "webp" else StrippedFile(data)


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield each chunk's name, body start and end of a PNG, up to IEND; the last may be cut off."""
    at = len(PNG_START)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, at + 8, at + 8 + length
        if name == b"IEND":
            return
        at += 12 + length


def png_checksum_is_right(data: bytes, name: bytes, start: int, end: int) -> bool:
    """Return whether the check sum after a chunk's body is right."""
    found = zlib.crc32(memoryview(data)[start:end], zlib.crc32(name))
    return data[end : end + 4] == found.to_bytes(4, "big")


def orientation_of(block: bytes) -> int:
    """Return the orientation in the first directory of an EXIF block, 1 to 8; 1 if it has none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return 1
    (at,) = struct.unpack_from(order + "I", block, 4)
    if at + 2 > len(block):
        return 1
    (count,) = struct.unpack_from(order + "H", block, at)
    for entry in range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", block, entry)
        if tag == ORIENTATION:
            return value if (kind, values) == (_SHORT, 1) and 1 <= value <= 8 else 1
    return 1


def _stripped_png(data: bytes) -> StrippedFile:
    left_out: list[tuple[int, int]] = []
    chunks = list(png_chunks(data))
    colour_type = data[25] if len(data) > 25 else 0
    orientation, has_exif, colours, before_pixels = 1, False, dict[bytes, bytes](), True
    # If the animation chunks are damaged, the picture is shown as a still one.
    moves = all(_is_right(data, chunk) for chunk in chunks if chunk[0] in _PNG_MOVING)
    for chunk in chunks:
        name, start, end = chunk
        if name in _PNG_PICTURE or name in _PNG_MOVING:
            is_kept = moves or name not in _OF_MOVING
            before_pixels &= name != b"IDAT"
        else:
            is_usable = name in _PNG_NEEDED or name in _PNG_LIGHT
            is_usable = is_usable and _is_right(data, chunk, colour_type)
            if is_usable and before_pixels:
                colours.setdefault(name, data[start:end])
            is_kept = is_usable and name in _PNG_NEEDED
        if is_kept:
            continue
        if name == b"eXIf" and not has_exif and png_checksum_is_right(data, name, start, end):
            orientation, has_exif = orientation_of(data[start:end]), True
        left_out.append((start - 8, min(end + 4, len(data))))
    space = png_meaning(colours) if colours else None
    return StrippedFile(_without(data, left_out), orientation, space)


def _webp_orientation(data: bytes) -> int:
    """Return the orientation in a WebP's EXIF chunk; 1 if it has none."""
    if data[12:16] != b"VP8X" or len(data) < 30 or not data[20] & _WEBP_HAS_EXIF:
        return 1
    at = 12
    for _ in range(_MOST_WEBP_CHUNKS):
        if at + 8 > len(data):
            break
        (size,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            block = data[at + 8 : at + 8 + size]
            return orientation_of(block[_EXIF_BYTES if block.startswith(_EXIF) else 0 :])
        at += 8 + size + size % 2
    return 1


def _is_right(data: bytes, chunk: Chunk, colour_type: int = 0) -> bool:
    """Return whether an ancillary chunk can be read and has the right check sum."""
    name, start, end = chunk
    body = data[start:end]
    return _is_readable(name, body, colour_type) and png_checksum_is_right(data, name, start, end)


def _is_readable(name: bytes, body: bytes, colour_type: int) -> bool:
    if name in _PNG_LENGTHS:
        return len(body) == _PNG_LENGTHS[name]
    if name == b"tRNS":
        if colour_type == 3:
            return 1 <= len(body) <= 256
        return len(body) == _PNG_KEYS.get(colour_type, -1)
    title, _, rest = body.partition(b"\0")
    if not 1 <= len(title) <= 79 or rest[:1] != b"\0":
        return False
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(rest[1:], MOST_PNG_PROFILE)
    except zlib.error:
        return False
    return bool(profile) and unpacker.eof


def _stripped_jpeg(data: bytes) -> StrippedFile:
    left_out: list[tuple[int, int]] = []
    orientation, has_exif = 1, False
    frame, components, first_scan = 0, 0, 2
    for start, end, marker in jpeg_segments(data):
        left_out.append((first_scan, start))  # before the first segment
        first_scan = end
        stop = stated_end(data, start, end)
        body = data[start + 4 : stop]
        if marker < _APP0 or (_APP14 + 1 < marker < _COMMENT):
            if marker in FRAMES and len(body) > 5:
                frame, components = marker, body[5]
        elif not _is_needed(marker, body):
            stop = start
        if marker == _APP1 and not has_exif and body.startswith(_EXIF) and len(body) > _EXIF_BYTES:
            orientation, has_exif = orientation_of(body[_EXIF_BYTES:]), True
        left_out.append((stop, end))
    # A baseline file whose first scan has all components has no further scan.
    is_one_scan = frame not in PROGRESSIVE and data[first_scan + 4 : first_scan + 5] >= bytes(
        [components]
    )
    scans = 1 if is_one_scan else data.count(bytes([0xFF, START_OF_SCAN]), first_scan)
    return StrippedFile(_without(data, left_out), orientation, scans=max(1, scans))


def _without(data: bytes, parts: Iterable[tuple[int, int]]) -> bytes:
    """Return the data without some parts, given as start and end; `data` if all are empty."""
    view, begun = memoryview(data), 0
    kept: list[memoryview] = []
    for start, end in parts:
        if start < end:
            kept.append(view[begun:start])
            begun = end
    return b"".join([*kept, view[begun:]]) if begun else data


def _is_needed(marker: int, body: bytes) -> bool:
    """Return whether an application segment has readable information about colours."""
    if marker == _APP0:
        return body.startswith(b"JFIF\0") and len(body) >= 14
    if marker == _APP2:
        return body.startswith(b"ICC_PROFILE\0") and len(body) > 14
    return marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12
