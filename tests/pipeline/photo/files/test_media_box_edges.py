"""Edge cases of boxes in media files, counted by hand."""

import struct

import pytest

from pipeline.photo.files.media_boxes import (
    associations,
    coded_items,
    first_box,
    media_boxes,
    media_facts,
    primary_kind,
)
from pipeline.photo.files.old_avif import repaired_avif
from tests.support.odd_photos import saved, scene


def box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def names_of(data: bytes) -> list[tuple[bytes, int, int]]:
    return list(media_boxes(data, 0, len(data)))


def test_boxes_of_every_kind_of_size() -> None:
    """ISO/IEC 14496-12, 4.2: 32 bits, 64 bits where they say 1, to the end where they say 0."""
    assert names_of(box(b"free", b"ab") + box(b"mdat")) == [(b"free", 8, 10), (b"mdat", 18, 18)]
    large = struct.pack(">I4sQ", 1, b"mdat", 18) + b"ab"
    assert names_of(large + box(b"free")) == [(b"mdat", 16, 18), (b"free", 26, 26)]
    assert names_of(struct.pack(">I4s", 0, b"mdat") + b"abc") == [(b"mdat", 8, 11)]
    assert names_of(struct.pack(">I4s", 7, b"mdat")) == []
    assert names_of(struct.pack(">I4sQ", 1, b"mdat", 15)) == []
    assert names_of(struct.pack(">I4sQ", 1, b"mdat", 16)) == [(b"mdat", 16, 16)]
    assert names_of(struct.pack(">I4s", 9, b"mdat")) == []  # beyond the end
    assert names_of(box(b"free")[:7]) == []
    assert len(names_of(box(b"free") * 5000)) == 4096
    assert first_box(box(b"a..a") + box(b"b..b", b"1") + box(b"b..b"), 0, 25, b"b..b") == (16, 17)


def meta(*boxes: bytes) -> bytes:
    return box(b"ftyp", b"avif") + box(b"meta", bytes(4) + b"".join(boxes))


def item(number: int, kind: bytes, version: int = 2) -> bytes:
    form = ">HH4s" if version == 2 else ">IH4s"
    return box(b"infe", bytes([version, 0, 0, 0]) + struct.pack(form, number, 0, kind))


def items(*entries: bytes, version: int = 0) -> bytes:
    count = struct.pack(">H" if version == 0 else ">I", len(entries))
    return box(b"iinf", bytes([version, 0, 0, 0]) + count + b"".join(entries))


def primary(number: int, version: int = 0) -> bytes:
    form = ">H" if version == 0 else ">I"
    return box(b"pitm", bytes([version, 0, 0, 0]) + struct.pack(form, number))


@pytest.mark.parametrize("wide", [0, 1])
def test_how_the_primary_picture_is_coded(wide: int) -> None:
    entries = (item(1, b"av01", 2 + wide), item(2, b"hvc1", 2 + wide), item(3, b"av01", 2 + wide))
    listed = items(*entries, version=wide)
    assert primary_kind(meta(primary(2, wide), listed)) == b"hvc1"
    assert primary_kind(meta(primary(1, wide), listed)) == b"av01"
    assert primary_kind(meta(primary(9, wide), listed)) is None
    assert primary_kind(meta(listed)) is None
    assert primary_kind(box(b"ftyp", b"avif")) is None
    data = meta(primary(1, wide), listed)
    start, end = first_box(data, 0, len(data), b"meta") or (0, 0)
    assert coded_items(data, start + 4, end, b"av01") == [1, 3]
    assert primary_kind(meta(primary(1), items(item(1, b"av01", 1)))) is None  # an older form


@pytest.mark.parametrize(("version", "flags"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_properties_of_items(version: int, flags: int) -> None:
    """ISO/IEC 23008-12: numbers of 7 or 15 bits; the highest bit says whether it is essential."""
    owner = ">H" if version == 0 else ">I"
    number = ">H" if flags else ">B"
    top = 0x8000 if flags else 0x80
    rows = struct.pack(owner, 5) + b"\2" + struct.pack(number, 3) + struct.pack(number, top | 4)
    rows += struct.pack(owner, 6) + b"\1" + struct.pack(number, top | 1)
    body = bytes([version, 0, 0, flags]) + struct.pack(">I", 2) + rows
    assert associations(body, 0) == {5: {3: False, 4: True}, 6: {1: True}}
    largest = top - 1
    body = bytes([version, 0, 0, flags]) + struct.pack(">I", 1) + struct.pack(owner, 7) + b"\1"
    assert associations(body + struct.pack(number, largest), 0) == {7: {largest: False}}


def turned(*properties: bytes, count: int | None = None, first: int = 1) -> bytes:
    numbers = bytes(range(first, 1 + (len(properties) if count is None else count)))
    listed = bytes(4) + struct.pack(">IH", 1, 1) + bytes([len(numbers)]) + numbers
    groups = box(b"iprp", box(b"ipco", b"".join(properties)) + box(b"ipma", listed))
    return meta(primary(1), groups)


# Turned anticlockwise by quarters, then mirrored: top to bottom (0) or left to right (1); the EXIF
# number that does the same (MIAF, 7.3.6.7; EXIF 2.32, tag 274).
@pytest.mark.parametrize(
    ("quarters", "mirror", "orientation"),
    [(0, None, 1), (1, None, 8), (2, None, 3), (3, None, 6), (0, 0, 4), (0, 1, 2), (1, 0, 5),
     (1, 1, 7), (2, 0, 2), (2, 1, 4), (3, 0, 7), (3, 1, 5)],
)  # fmt: skip
def test_boxes_that_turn(quarters: int, mirror: int | None, orientation: int) -> None:
    boxes = [box(b"irot", bytes([0xFC | quarters]))]
    boxes += [] if mirror is None else [box(b"imir", bytes([0xFE | mirror]))]
    assert media_facts(turned(*boxes)) == (orientation, None)
    assert media_facts(turned(*boxes, count=0)) == (1, None)  # not of the primary picture
    assert media_facts(turned(*boxes, count=99))[0] == orientation  # numbers of no property
    assert media_facts(turned(*boxes, count=0, first=0)) == (1, None)  # 0 is no property


def test_light_that_boxes_tell() -> None:
    nclx = box(b"colr", b"nclx" + struct.pack(">HHH", 9, 16, 9) + b"\x80")
    screen = box(b"mdcv", bytes(16) + struct.pack(">II", 6_000_000, 50))
    content = box(b"clli", struct.pack(">HH", 400, 100))
    peaks = []
    for boxes in ((nclx,), (nclx, screen), (nclx, screen, content)):
        space = media_facts(turned(*boxes))[1]
        assert space is not None
        peaks.append(space.peak_nits)
    assert peaks == [1000, 600, 400]
    assert media_facts(turned(box(b"colr", b"prof" + bytes(9)))) == (1, None)


def test_only_avif_files_that_lack_something_are_mended() -> None:
    good = saved(scene(32, 32), "AVIF")
    assert repaired_avif(good) is None
    for brands in ((b"mif1", b"miaf"), (b"miaf", b"mif1"), (b"av01", b"isom")):
        old = box(b"ftyp", brands[0] + bytes(4) + brands[1]) + box(b"free")
        found = repaired_avif(old)
        assert found is not None
        at = 8 if brands[0] in (b"mif1", b"av01") else 16
        assert found == old[:at] + b"avif" + old[at + 4 :], brands
    assert repaired_avif(box(b"ftyp", b"isom" + bytes(4) + b"avis") + box(b"free")) is None
