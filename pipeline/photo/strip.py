"""Leave out what a decoder does not need to show a picture: texts, previews, notes, odd blocks.

A fault in such a part must not cost the picture, and what no decoder reads can't attack it. Only
the headers of parts are walked. Of EXIF only the orientation is kept, in a block of its own making.
Layouts: PNG third edition, sections 5 and 11; JPEG, ITU-T T.81 annex B; EXIF, TIFF 6.0 section 2.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import TypeAlias

# The largest ICC profile that Pillow unpacks from a PNG, bytes; most have a few thousand.
MOST_PNG_PROFILE = 1 << 20

PNG_START = b"\x89PNG\r\n\x1a\n"
_ORIENTATION, _SHORT = 0x0112, 3
_EXIF = b"Exif\0\0"

_PNG_PICTURE = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"fdAT"})
_PNG_MOVING = frozenset({b"acTL", b"fcTL"})
_OF_MOVING = _PNG_MOVING | {b"fdAT"}
_PNG_COLOUR = frozenset({b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cICP", b"cHRM"})
_PNG_LENGTHS = {b"sRGB": 1, b"gAMA": 4, b"cICP": 4, b"cHRM": 32, b"acTL": 8, b"fcTL": 26}
_PNG_KEYS = {0: 2, 2: 6}  # colour type -> bytes of the value that is transparent

_APP0, _APP1, _APP2, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_START_OF_SCAN, _END = 0xDA, 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a length

Chunk: TypeAlias = tuple[bytes, int, int]  # name of a PNG's chunk, start and end of its body
Part: TypeAlias = tuple[int, int, int]  # start, end of a part and a JPEG marker


def picture_only(data: bytes, format: str) -> bytes:
    """A JPEG or PNG file without what is not its picture; the same object where all of it is.

    Files of other formats, and from the first part on that can't be told, stay as they are.
    """
    if format == "png":
        kept = _png_parts(data)
    elif format == "jpeg":
        kept = _jpeg_parts(data)
    else:
        return data
    return data if kept is None else b"".join(kept)


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """Name, start and end of the body of each chunk of a PNG, up to IEND; the last may be cut."""
    at = len(PNG_START)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, at + 8, at + 8 + length
        if name == b"IEND":
            return
        at += 12 + length


def png_sum_is_right(data: bytes, name: bytes, start: int, end: int) -> bool:
    """Whether the check sum behind the body of a chunk is that of the chunk."""
    found = zlib.crc32(memoryview(data)[start:end], zlib.crc32(name))
    return data[end : end + 4] == found.to_bytes(4, "big")


def orientation_of(block: bytes) -> int:
    """The orientation in the first directory of an EXIF block, 1 to 8; 1 where it has none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return 1
    (at,) = struct.unpack_from(order + "I", block, 4)
    if at + 2 > len(block):
        return 1
    (count,) = struct.unpack_from(order + "H", block, at)
    for entry in range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", block, entry)
        if tag == _ORIENTATION:
            return value if (kind, values) == (_SHORT, 1) and 1 <= value <= 8 else 1
    return 1


def _exif_with(orientation: int) -> bytes:
    """An EXIF block that has an orientation and nothing else."""
    entry = struct.pack("<HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def _png_parts(data: bytes) -> list[bytes | memoryview] | None:
    """The parts of a PNG to keep; None for all."""
    view, begun = memoryview(data), 0  # from `begun` on, all was kept so far
    parts: list[bytes | memoryview] = []
    chunks = list(png_chunks(data))
    colour_type = data[25] if len(data) > 25 else 0
    # Where what says how a picture moves is damaged, it is shown as a still one.
    moves = all(_is_right(data, chunk) for chunk in chunks if chunk[0] in _PNG_MOVING)
    for chunk in chunks:
        name, start, end = chunk
        if name in _PNG_PICTURE or name in _PNG_MOVING:
            is_kept = moves or name not in _OF_MOVING
        else:
            is_kept = name in _PNG_COLOUR and _is_right(data, chunk, colour_type)
        if is_kept:
            continue
        parts += [view[begun : start - 8], _orienting_chunk(data, chunk)]
        begun = min(end + 4, len(data))
    return [*parts, view[begun:]] if begun else None


def _orienting_chunk(data: bytes, chunk: Chunk) -> bytes:
    """What stands for a chunk that is left out: of EXIF, a chunk with its orientation."""
    name, start, end = chunk
    if name != b"eXIf" or not png_sum_is_right(data, name, start, end):
        return b""
    orientation = orientation_of(data[start:end])
    if orientation == 1:
        return b""
    body = name + _exif_with(orientation)
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _is_right(data: bytes, chunk: Chunk, colour_type: int = 0) -> bool:
    """Whether a chunk beside the picture's own can be read and has the right check sum."""
    name, start, end = chunk
    body = data[start:end]
    return _is_readable(name, body, colour_type) and png_sum_is_right(data, name, start, end)


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


def _jpeg_parts(data: bytes) -> list[bytes | memoryview] | None:
    """The parts of a JPEG to keep; None for all."""
    view, begun = memoryview(data), 0
    parts: list[bytes | memoryview] = []
    turned = False
    for start, end, marker in jpeg_segments(data):
        if marker < _APP0 or (_APP14 + 1 < marker < _COMMENT):
            continue
        other, body = b"", data[start + 4 : end]
        if marker == _APP1 and body.startswith(_EXIF) and not turned:
            orientation = orientation_of(body[len(_EXIF) :])
            if orientation > 1:
                block, turned = _EXIF + _exif_with(orientation), True
                other = struct.pack(">HH", 0xFF00 | _APP1, len(block) + 2) + block
        elif _is_needed(marker, body):
            continue
        parts += [view[begun:start], other]
        begun = end
    return [*parts, view[begun:]] if begun else None


def _is_needed(marker: int, body: bytes) -> bool:
    """Whether an application's segment says something of colours that can be read."""
    if marker == _APP0:
        return body.startswith(b"JFIF\0") and len(body) >= 14
    if marker == _APP2:
        return body.startswith(b"ICC_PROFILE\0") and len(body) > 14
    return marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12


def jpeg_segments(data: bytes) -> Iterator[Part]:
    """Start, end and marker of each segment of a JPEG before its first scan.

    A segment whose length can't be true has as many bytes as lie before the next marker that
    starts a segment. What lies between segments belongs to the one before.
    """
    at = _next_marker(data, 2)
    while at is not None and data[at + 1] not in (_START_OF_SCAN, _END):
        marker, end = data[at + 1], at + 2
        if marker not in _ALONE:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            end += length if length >= 2 and at + 2 + length < len(data) else 0
        following = _next_marker(data, end)
        yield at, len(data) if following is None else following, marker
        at = following


def _next_marker(data: bytes, at: int) -> int | None:
    """Where the next marker is from `at` on; None where the data end before one."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] >= 0xC0 and data[at + 1] != 0xFF:
            return at
        at += 1
    return None
