"""Make of a damaged file one that decodes, and tell how much of its picture is there.

Decoders that are told to go on show grey or smeared rows where data are missing. So what is there
is measured. Of a PNG the rows that unpack are counted, up to the first block with a wrong check
sum. Of a JPEG the missing end is replaced by two different ones: rows that decode alike with both
are there. Of a GIF the pixels are decoded into two different grounds likewise.
"""

import random
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from PIL.GifImagePlugin import GifImageFile

from pipeline.photo.limits import DecodeLimits
from pipeline.photo.strip import PNG_START, jpeg_segments, png_chunks, png_sum_is_right

_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN, _END = 0xDA, b"\xff\xd9"
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # any marker but those inside a scan
_PADDING = 64  # zero bytes at the end of a JPEG from which on they count as room that was not used
_OWN_ZEROS = 4  # of these bytes may be its own
# What stands in for missing parts of a JPEG. Any bytes but 0xFF are pixels of some sort.
_ZEROS, _NOISE = bytes(1 << 13), bytes(random.Random(1).choices(range(1, 255), k=1 << 13))

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by colour type
# Adam7: first column and row of each pass, and the steps between its columns and rows.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
_PIECE, _STEP = 1 << 14, 64  # bytes unpacked at once; and behind which of them an error lies
_MOST_OUT = 1 << 20  # bytes that one step of unpacking gives
_MOST_FILTER = 4  # a row of a PNG begins with the number of its filter


@dataclass(frozen=True)
class Rest:
    """What is left of a damaged file.

    data:  a file that decodes.
    rows:  of its picture that are there, from the first on; None: as many as decode alike from
           `data` and `other`.
    other: the same with another end.
    better: a file with more detail, where all rows are there; empty: there is none.
    """

    data: bytes
    rows: int | None = None
    other: bytes = b""
    better: bytes = b""


def pixels_are_sound(data: bytes) -> bool:
    """Whether a PNG's pixels are what was stored: by the check sums of blocks, else of all."""
    blocks = [chunk for chunk in png_chunks(data) if chunk[0] == b"IDAT"]
    if all(png_sum_is_right(data, *chunk) for chunk in blocks):
        return True
    unpacker, size = zlib.decompressobj(), 0
    most = _PngShape.of(data).needed
    try:
        for _, start, end in blocks:
            for at in range(start, min(end, len(data)), _PIECE):
                for part in _unpacked_piece(unpacker, data[at : min(at + _PIECE, end)]):
                    size += len(part)
                    if size > most:
                        return False
    except zlib.error:
        return False
    return unpacker.eof


def rest_of(data: bytes, format: str, limits: DecodeLimits) -> Rest | None:
    """The rest of a damaged file; None where it has none, or none that can be told."""
    if format == "jpeg":
        return _jpeg_rest(data)
    if format == "png":
        return _png_rest(data, limits)
    return _gif_rest(data, limits) if format == "gif" else None


def ends_unwritten(data: bytes) -> bool:
    """Whether a JPEG ends in room that was not used, in place of its last bytes."""
    return data.endswith(bytes(_PADDING)) and not data.rstrip(b"\0").endswith(_END)


def rows_alike(one: Image.Image, other: Image.Image) -> int:
    """How many rows of two pictures of one size are the same, from the first on."""
    box = ImageChops.difference(one, other).getbbox(alpha_only=False)
    return one.height if box is None else box[1]


def repeat_last_row(image: Image.Image, rows: int) -> None:
    """Replace what follows the first `rows` rows by the last of them."""
    last = image.crop((0, rows - 1, image.width, rows))
    gap = (image.width, image.height - rows)
    image.paste(last.resize(gap, Image.Resampling.NEAREST), (0, rows))


def box_there(
    sides: tuple[int, int], view_rows: int, rows_there: int, orientation: int
) -> tuple[int, int, int, int]:
    """The part of an upright photo that is there, xyxy in source pixels.

    sides: of the upright photo. view_rows, rows_there: rows of the view as stored, and how many of
    them are there, from the first on. orientation: EXIF 1 to 8; tells which side they end at.
    """
    width, height = sides
    stored = height if orientation < 5 else width
    there = rows_there * stored // view_rows
    if orientation < 3:
        return 0, 0, width, there
    if orientation < 5:
        return 0, height - there, width, height
    if orientation in (5, 8):
        return 0, 0, there, height
    return width - there, 0, width, height


def _jpeg_rest(data: bytes) -> Rest | None:
    """A JPEG up to the scan with which every component has been told of once, with two ends.

    The first scan of each component shows it, later ones refine it: they are in `better`.
    """
    segments = list(jpeg_segments(data))
    frames = [(at, marker) for at, end, marker in segments if marker in _FRAMES and end > at + 9]
    if not frames:
        return None
    components = data[frames[0][0] + 9]
    covered: set[int] = set()
    scans = list(_jpeg_scans(data, segments[-1][1]))
    for start, end, told in scans:
        covered |= told
        if len(covered) >= components:
            body = data[: _used_end(data, start, end)]
            better = data[: _used_end(data, scans[-1][0], scans[-1][1])] + _END
            is_refined = frames[0][1] in _PROGRESSIVE
            zeros, noise = (body + filling + _END for filling in _fillings(data[start : len(body)]))
            return Rest(zeros, None, noise, better if is_refined else b"")
    return None


def _fillings(scan: bytes) -> tuple[bytes, bytes]:
    """Two different goings-on of a scan.

    Where a scan is in parts, each has to begin with the marker whose turn it is.
    """
    at, last = max((scan.rfind(bytes([0xFF, 0xD0 + n])), n) for n in range(8))
    first = last + 1 if at >= 0 else 0
    markers = [bytes([0xFF, 0xD0 + n % 8]) for n in range(first, first + 8)]
    zeros, noise = (
        part + b"".join(marker + part for marker in markers) for part in (_ZEROS, _NOISE)
    )
    return zeros, noise


def _used_end(data: bytes, start: int, end: int) -> int:
    """Where data end without an end marker, half a marker, or room that was not used."""
    used = data[start:end].rstrip(b"\0")
    if end - start - len(used) < _PADDING:
        used = data[start:end]
    elif not used.endswith(_END):
        used += bytes(_OWN_ZEROS)
    return start + len(used.removesuffix(_END).rstrip(b"\xff"))


def _jpeg_scans(data: bytes, at: int) -> Iterator[tuple[int, int, set[int]]]:
    """Start and end of each scan from `at` on, and the components of which it is the first."""
    while 0 <= at < len(data) - 5:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN:
            count = data[at + 4]
            head = data[at + 5 : at + 8 + 2 * count]
            if len(head) < 2 * count + 3:
                return
            following = _END_OF_SCAN.search(data, at + 2 + length)
            end = following.start() if following else len(data)
            is_first = head[2 * count] == 0 and head[2 * count + 2] >> 4 == 0
            yield at, end, set(head[: 2 * count : 2]) if is_first else set()
            at = end
        else:
            at = data.find(b"\xff", at + 2 + length)


@dataclass(frozen=True)
class _PngShape:
    """Sides of a PNG and the bits of a pixel."""

    width: int
    height: int
    bits: int
    interlaced: bool

    @classmethod
    def of(cls, data: bytes) -> "_PngShape":
        """The shape that a PNG's first chunk tells; there have to be 33 bytes."""
        width, height, depth, colour, _, _, lace = struct.unpack_from(">IIBBBBB", data, 16)
        return cls(width, height, depth * _CHANNELS.get(colour, 1), bool(lace))

    @property
    def needed(self) -> int:
        """Bytes of all rows, unpacked."""
        return sum(stride * rows for stride, rows in self.passes())

    def passes(self) -> list[tuple[int, int]]:
        """Bytes of a row, its filter included, and number of rows of each pass."""
        if not self.interlaced:
            return [(1 + (self.width * self.bits + 7) // 8, self.height)]
        found = []
        for x, y, step_x, step_y in _ADAM7:
            columns = -((x - self.width) // step_x)
            rows = -((y - self.height) // step_y)
            if columns > 0 and rows > 0:
                found.append((1 + (columns * self.bits + 7) // 8, rows))
        return found

    def rows_there(self, size: int) -> int:
        """Rows that the first `size` unpacked bytes complete, from the first on."""
        *early, (stride, rows) = self.passes()
        left = size - sum(one * count for one, count in early)
        complete = max(0, min(rows, left // stride))
        if not self.interlaced or self.height == 1:
            return complete
        return 0 if left < 0 else min(self.height, 2 * complete + 1)


def _png_rest(data: bytes, limits: DecodeLimits) -> Rest | None:
    """A PNG with the rows that unpack, and zeros instead of the others."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        return None
    shape = _PngShape.of(data)
    sides = (shape.width, shape.height)
    if not 0 < shape.width * shape.height <= limits.max_pixels or max(sides) > limits.max_side:
        return None
    needed = shape.needed
    packer, packed, size = zlib.compressobj(1), [], 0
    for block in _rows_of(_unpacked(data), shape, needed):
        packed.append(packer.compress(block))
        size += len(block)
    rows = shape.rows_there(size)
    if not rows:
        return None
    for at in range(size, needed, _MOST_OUT):
        packed.append(packer.compress(bytes(min(_MOST_OUT, needed - at))))
    body = b"IDAT" + b"".join([*packed, packer.flush()])
    parts = [PNG_START]
    for name, start, end in png_chunks(data):
        if name == b"IDAT":
            break
        if name not in (b"acTL", b"fcTL"):
            parts.append(data[start - 8 : end + 4])
    parts += [struct.pack(">I", len(body) - 4), body, struct.pack(">I", zlib.crc32(body))]
    parts.append(b"\0\0\0\0IEND\xae\x42\x60\x82")
    return Rest(b"".join(parts), rows)


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What a PNG's blocks of pixels unpack to, up to what is damaged."""
    unpacker = zlib.decompressobj()
    for name, start, end in png_chunks(data):
        if name != b"IDAT":
            continue
        if end + 4 <= len(data) and not png_sum_is_right(data, name, start, end):
            return
        for at in range(start, min(end, len(data)), _PIECE):
            piece = data[at : min(at + _PIECE, end)]
            before = unpacker.copy()
            try:
                blocks = list(_unpacked_piece(unpacker, piece))
            except zlib.error:
                for step in range(0, len(piece), _STEP):
                    try:
                        yield from _unpacked_piece(before, piece[step : step + _STEP])
                    except zlib.error:
                        return
                return
            yield from blocks


def _unpacked_piece(unpacker: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    while piece:
        yield unpacker.decompress(piece, _MOST_OUT)
        piece = unpacker.unconsumed_tail


def _rows_of(blocks: Iterator[bytes], shape: _PngShape, needed: int) -> Iterator[bytes]:
    """The first `needed` bytes of blocks, up to the first row whose filter is none."""
    passes = iter(shape.passes())
    stride, rows = next(passes)
    left, size = rows * stride, 0  # of the pass; so far
    for whole in blocks:
        block = whole[: needed - size]
        at = 0
        while at < len(block):
            part = block[at : at + left]
            done = rows * stride - left
            filters = part[-done % stride :: stride]
            if filters and max(filters) > _MOST_FILTER:
                bad = next(n for n, one in enumerate(filters) if one > _MOST_FILTER)
                yield block[: at + (-done % stride) + bad * stride]
                return
            at, left = at + len(part), left - len(part)
            if not left and (following := next(passes, None)):
                stride, rows = following
                left = stride * rows
        yield block
        size += len(block)
        if size >= needed:
            return


def _gif_rest(data: bytes, limits: DecodeLimits) -> Rest | None:
    """A GIF that has its first frame alone, with colour 0 where that was cut."""
    opened = GifImageFile(BytesIO(data))
    width, height = opened.size
    if not 0 < width * height <= limits.max_pixels or not opened.tile:
        return None
    (tile,) = opened.tile[:1]
    x0, y0, x1, y1 = tile.extents or (0, 0, width, height)
    grounds: list[NDArray[np.uint8]] = []
    for level in (0, 255):
        ground = Image.new("L", opened.size, level)
        decoder = Image._getdecoder("L", "gif", tile.args, opened.decoderconfig)
        try:
            decoder.setimage(ground.im, tile.extents)
            decoder.decode(data[tile.offset :])
        finally:
            decoder.cleanup()
        grounds.append(np.asarray(ground)[y0:y1, x0:x1])
    lacking = np.flatnonzero((grounds[0] != grounds[1]).any(axis=1))
    rows = y0 + int(lacking[0]) if len(lacking) else height
    return Rest(_gif_body(data, tile.offset, 2 * (x1 - x0) * (y1 - y0)), rows)


def _gif_body(data: bytes, at: int, fill: int) -> bytes:
    """A GIF up to the end of its pixels, which start at `at`, with `fill` zero bytes for more."""
    while at < len(data) and data[at] and at + 1 + data[at] <= len(data):
        at += 1 + data[at]
    cut = data[at + 1 :] if at < len(data) and data[at] else b""
    last = bytes([len(cut)]) + cut if cut else b""
    return data[:at] + last + (b"\xff" + bytes(255)) * (fill // 255 + 1) + b"\0;"
