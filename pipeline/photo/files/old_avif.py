"""Fix the boxes of AVIF files from old encoders, which our decoder refuses and others accept.

libavif requires a size (`ispe`) for each coded picture of a file, including its opacity, and the
brand `avif`. Early encoders omitted one or the other. Layouts: see `media_boxes`.
"""

import struct

from pipeline.photo.files.media_boxes import associations, coded_items, first_box, media_boxes

_SIZE, _CODED = b"ispe", b"av01"
_REPLACEABLE_BRANDS = (b"mif1", b"miaf", b"av01", b"MA1B", b"MA1A")


def repaired_avif(data: bytes) -> bytes | None:
    """Return the file with its missing sizes and brand; None if none is missing or it is broken."""
    try:
        branded = _with_brand(data)
        sized = _with_sizes(branded)
    except (struct.error, IndexError, ValueError):  # the file ends too early, or is not AVIF
        return None
    return None if sized is data else sized


def _with_brand(data: bytes) -> bytes:
    """Replace a less specific brand by `avif`, if the file does not state it."""
    end = int.from_bytes(data[:4], "big")
    places = [8, *range(16, min(end, 256), 4)]
    brands = {data[at : at + 4]: at for at in places}
    if {b"avif", b"avis"} & brands.keys():
        return data
    at = next((brands[one] for one in _REPLACEABLE_BRANDS if one in brands), 8)
    return data[:at] + b"avif" + data[at + 4 :]


def _with_sizes(data: bytes) -> bytes:
    """Give every coded picture without a size the size of another one.

    The changed boxes are put at the end, since pixels are located by their offset in the file.
    """
    found = first_box(data, 0, len(data), b"meta")
    if found is None:
        return data
    start, end = found
    inner = start + 4
    groups = first_box(data, inner, end, b"iprp")
    coded = coded_items(data, inner, end, _CODED)
    if groups is None or not coded:
        return data
    container = first_box(data, *groups, b"ipco")
    listed = first_box(data, *groups, b"ipma")
    if container is None or listed is None:
        return data
    sizes = {n for n, box in enumerate(media_boxes(data, *container), 1) if box[0] == _SIZE}
    owned = associations(data, listed[0])
    sized = [n for item in coded for n in owned.get(item, {}) if n in sizes]
    unsized = [item for item in coded if not sizes & owned.get(item, {}).keys()]
    if not sized or not unsized:
        return data
    for item in unsized:
        owned[item] = {sized[0]: False} | owned.get(item, {})
    ipco = data[container[0] - 8 : container[1]]
    iprp = _box(b"iprp", ipco + _packed(owned))
    others = b"".join(
        data[at - 8 : stop] for kind, at, stop in media_boxes(data, inner, end) if kind != b"iprp"
    )
    meta = _box(b"meta", data[start:inner] + others + iprp)
    return data[: start - 4] + b"free" + data[start:] + meta


def _packed(owned: dict[int, dict[int, bool]]) -> bytes:
    """Return the box `ipma`, with 32-bit item ids and 15-bit property indices."""
    rows = b"".join(
        struct.pack(">IB", item, len(numbers))
        + b"".join(
            struct.pack(">H", number | essential << 15) for number, essential in numbers.items()
        )
        for item, numbers in sorted(owned.items())
    )
    return _box(b"ipma", b"\1\0\0\1" + struct.pack(">I", len(owned)) + rows)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body
