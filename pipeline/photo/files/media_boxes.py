"""Read the orientation and the colour space of an AVIF or HEIC from its boxes; hide its notes.

Layouts: ISO/IEC 14496-12 (box, meta, pitm, clli, mdcv), ISO/IEC 23008-12 (iprp, irot, imir),
ISO/IEC 23000-22 (MIAF: a picture is turned, then mirrored, and its EXIF turns nothing).
"""

import struct
from collections.abc import Iterator
from typing import TypeAlias

from pipeline.photo.spaces import Space, media_space, with_peak

MediaBox: TypeAlias = tuple[bytes, int, int]  # name, start and end of the body

_BRIGHTEST = 16  # offset of the screen's peak brightness in mdcv
_MOST_BOXES = 4096  # boxes in one list; no photo has more
# EXIF's orientation by quarter turns anticlockwise, and by the mirroring after them: none, top to
# bottom, left to right.
_ORIENTATIONS = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))


def media_facts(data: bytes) -> tuple[int, Space | None]:
    """Return the primary picture's orientation, 1 to 8, and the space of its colours if stated.

    A malformed file gives the defaults, 1 and None.
    """
    try:
        return _facts(data)
    except (struct.error, IndexError):  # the file ends too early
        return 1, None


def primary_kind(data: bytes) -> bytes | None:
    """Return the primary picture's codec, such as b"av01" or b"hvc1"; None if it is not stated."""
    try:
        meta = _meta(data)
        primary = None if meta is None else _primary(data, *meta)
        kinds = {} if meta is None else _kinds(data, *meta)
    except (struct.error, IndexError):
        return None
    return kinds.get(primary) if primary is not None else None


def coded_items(data: bytes, start: int, end: int, kind: bytes) -> list[int]:
    """Return the ids of the pictures with a given codec. start, end: of the meta box's body."""
    return [item for item, found in _kinds(data, start, end).items() if found == kind]


def without_notes(data: bytes) -> bytes:
    """Return an AVIF without EXIF and XMP for its decoder; the same object if it has none.

    libavif reads both, and refuses the file for a fault in them. Only the types of these items are
    overwritten, so that no offset changes. A malformed file stays as it is.
    """
    try:
        meta = _meta(data)
        items = [] if meta is None else list(_items(data, *meta))
    except (struct.error, IndexError):
        return data
    places = [at for _, at in items if data[at : at + 4] in (b"Exif", b"mime")]
    if not places:
        return data
    changed = bytearray(data)
    for at in places:
        changed[at : at + 4] = b"skip"
    return bytes(changed)


def _kinds(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Return the type of each item of a file, which is the codec for a picture."""
    return {item: data[at : at + 4] for item, at in _items(data, start, end)}


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield each item of a file: (id, place of its type). Boxes: iinf, infe of version 2 and 3."""
    found = first_box(data, start, end, b"iinf")
    if found is None:
        return
    entries = found[0] + (6 if data[found[0]] == 0 else 8)
    for name, at, _ in media_boxes(data, entries, found[1]):
        if name == b"infe" and data[at] in (2, 3):
            wide = data[at] == 3
            (item,) = struct.unpack_from(">I" if wide else ">H", data, at + 4)
            yield item, at + (10 if wide else 8)


def _facts(data: bytes) -> tuple[int, Space | None]:
    meta = _meta(data)
    quarters, mirror, space, content, screen = 0, 0, None, 0, 0
    for name, at, _ in _properties(data, *meta) if meta is not None else ():
        if name == b"irot":
            quarters = data[at] & 3
        elif name == b"imir":
            mirror = 1 + (data[at] & 1)
        elif name == b"colr" and data[at : at + 4] == b"nclx":
            space = media_space(*struct.unpack_from(">HH", data, at + 4))
        elif name == b"clli":  # in whole cd/m²
            content = 10_000 * int(struct.unpack_from(">H", data, at)[0])
        elif name == b"mdcv":
            (screen,) = struct.unpack_from(">I", data, at + _BRIGHTEST)
    return _ORIENTATIONS[quarters][mirror], with_peak(space, content, screen)


def _meta(data: bytes) -> tuple[int, int] | None:
    """Return start and end of the boxes in the box `meta`."""
    found = first_box(data, 0, len(data), b"meta")
    return None if found is None else (found[0] + 4, found[1])


def _primary(data: bytes, start: int, end: int) -> int | None:
    """Return the id of the primary picture, which is shown."""
    found = first_box(data, start, end, b"pitm")
    if found is None:
        return None
    (item,) = struct.unpack_from(">I" if data[found[0]] > 0 else ">H", data, found[0] + 4)
    return int(item)


def _properties(data: bytes, start: int, end: int) -> Iterator[MediaBox]:
    """Yield the properties of the primary picture, in order. start, end: of the meta box's body."""
    primary = _primary(data, start, end)
    groups = first_box(data, start, end, b"iprp")
    if primary is None or groups is None:
        return
    container = first_box(data, *groups, b"ipco")
    listed = first_box(data, *groups, b"ipma")
    if container is None or listed is None:
        return
    properties = list(media_boxes(data, *container))
    for index in associations(data, listed[0]).get(primary, {}):
        if 0 < index <= len(properties):
            yield properties[index - 1]


def associations(data: bytes, at: int) -> dict[int, dict[int, bool]]:
    """Return the indices of each item's properties, and whether each is essential.

    at: start of the body of the box `ipma`.
    """
    version, flags = data[at], data[at + 3]
    (count,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    found: dict[int, dict[int, bool]] = {}
    size, most = (2, 0x7FFF) if flags & 1 else (1, 0x7F)
    for _ in range(min(count, _MOST_BOXES)):
        (owner,) = struct.unpack_from(">H" if version < 1 else ">I", data, at)
        at += 2 if version < 1 else 4
        stop = at + 1 + data[at] * size
        stored = [int.from_bytes(data[n : n + size], "big") for n in range(at + 1, stop, size)]
        found[owner] = {one & most: one > most for one in stored}
        at = stop
    return found


def first_box(data: bytes, start: int, end: int, name: bytes) -> tuple[int, int] | None:
    """Return start and end of the body of the first box with a name; None if there is none."""
    return next(((a, b) for found, a, b in media_boxes(data, start, end) if found == name), None)


def media_boxes(data: bytes, at: int, end: int) -> Iterator[MediaBox]:
    """Yield the boxes in a part of a file."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        stop = end if size == 0 else at + size
        if (size and size < head) or stop > end:
            return
        yield name, at + head, stop
        at = stop
