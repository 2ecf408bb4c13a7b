"""Convert a damaged PNG to one that decodes, with the rows that unpack.

Rows count up to the first chunk (IDAT) with a wrong check sum, and in that chunk up to where it
fails to unpack, less a margin. A single wrong byte is corrected.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from io import SEEK_END, BytesIO

from pipeline.photo.files.png_shape import PngShape
from pipeline.photo.files.recovered import RecoveredFile
from pipeline.photo.files.repaired_png import with_byte_corrected
from pipeline.photo.files.strip import PNG_START, Chunk, png_checksum_is_right, png_chunks
from pipeline.photo.limits import DecodeLimits

_PIECE, _STEP = 1 << 14, 64  # bytes unpacked at once; and while searching for an error
_MOST_OUT = 1 << 20  # bytes that one step of unpacking returns at most
_MOST_FILTER = 4  # a row of a PNG begins with the number of its filter
# At most _MOST_SEARCHED unpacked bytes of one chunk are searched for damage. How many rows before
# the failing row it may be is estimated from the share of valid filter numbers in a _SAMPLE of the
# bytes before that row.
_MOST_SEARCHED, _SAMPLE, _MOST_FILTER_LIKE, _MISS_RATE = 1 << 28, 1 << 16, 0.97, 0.001


def has_all_rows(data: bytes) -> bool:
    """Return whether a PNG's chunks of pixels unpack to as many bytes as its rows need.

    If data end between two rows, decoders take that for the end of the picture, and leave the
    other rows black.
    """
    return sum(map(len, _unpacked(data))) >= PngShape.of(data).needed


def pixels_are_sound(data: bytes) -> bool:
    """Return whether a PNG's pixels are as stored: by the chunks' check sums, else that of all."""
    is_right = all(png_checksum_is_right(data, *chunk) for chunk in _pixel_chunks(data))
    return is_right or _total_checksum_is_right(data)


def _pixel_chunks(data: bytes) -> list[Chunk]:
    return [chunk for chunk in png_chunks(data) if chunk[0] == b"IDAT"]


def _total_checksum_is_right(data: bytes) -> bool:
    unpacker, size = zlib.decompressobj(), 0
    most = PngShape.of(data).needed
    try:
        for _, start, end in _pixel_chunks(data):
            for at in range(start, min(end, len(data)), _PIECE):
                for part in _unpacked_piece(unpacker, data[at : min(at + _PIECE, end)]):
                    size += len(part)
                    if size > most:
                        return False
    except zlib.error:
        return False
    return unpacker.eof


def recover_png(data: bytes, limits: DecodeLimits) -> RecoveredFile | None:
    """Build a PNG with the rows that unpack, and zeros instead of the others."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        return None
    shape = PngShape.of(data)
    sides = (shape.width, shape.height)
    if not 0 < shape.width * shape.height <= limits.max_pixels or max(sides) > limits.max_side:
        return None
    data, needed = _repaired(data), shape.needed
    sound = sum(map(len, _rows_of(_unpacked(data), shape, needed)))
    rows = max(shape.complete_rows(sound), _rows_before_failure(data, shape))
    if not rows:
        return None
    made = BytesIO(PNG_START)  # returns its bytes without a copy: they may be 400 MB
    made.seek(0, SEEK_END)
    for name, start, end in png_chunks(data):
        if name == b"IDAT":
            break
        if name not in (b"acTL", b"fcTL"):
            made.write(data[start - 8 : end + 4])
    begin, checksum = made.tell(), zlib.crc32(b"IDAT")
    made.write(b"\0\0\0\0IDAT")
    for piece in _stored(_rows_of(_unpacked(data, ignore_checksums=True), shape, needed), needed):
        made.write(piece)
        checksum = zlib.crc32(piece, checksum)
    length = made.tell() - begin - 8
    made.write(struct.pack(">I", checksum) + b"\0\0\0\0IEND\xae\x42\x60\x82")
    made.seek(begin)
    made.write(struct.pack(">I", length))
    return RecoveredFile(made.getvalue(), rows)


def _stored(pieces: Iterable[bytes], needed: int) -> Iterator[bytes]:
    """Yield pieces as a zlib stream, filled up with zeros to `needed` bytes.

    They are stored as they are: compressing them took three times as long as unpacking.
    """
    packer, size = zlib.compressobj(0), 0
    for piece in pieces:
        yield packer.compress(piece)
        size += len(piece)
    for at in range(size, needed, _MOST_OUT):
        yield packer.compress(bytes(min(_MOST_OUT, needed - at)))
    yield packer.flush()


def _repaired(data: bytes) -> bytes:
    """Return the PNG with its one wrong byte corrected, if its check sums identify it."""
    wrong = [chunk for chunk in _pixel_chunks(data) if not png_checksum_is_right(data, *chunk)]
    repaired = with_byte_corrected(data, *wrong[0]) if len(wrong) == 1 else None
    return data if repaired is None or not _total_checksum_is_right(repaired) else repaired


def _rows_before_failure(data: bytes, shape: PngShape) -> int:
    """Return the rows before the damage in a chunk with a wrong sum; 0 if no damage shows.

    After damage zlib returns garbage, until a byte that should be a filter is invalid. A margin of
    rows before that byte is left out, which covers the damage in 999 of 1,000 cases.
    """
    sound, unpacker = 0, zlib.decompressobj()
    for chunk in _pixel_chunks(data):
        is_right, out, failed = png_checksum_is_right(data, *chunk), bytearray(), False
        size = _PIECE if is_right else _STEP
        try:
            for at in range(chunk[1], min(chunk[2], len(data)), size):
                piece = data[at : min(at + size, chunk[2])]
                for part in _unpacked_piece(unpacker, piece):
                    sound += len(part) if is_right else 0
                    out += b"" if is_right else part
                if len(out) > _MOST_SEARCHED:
                    return 0
        except zlib.error:
            failed = True
        if not is_right:
            return _rows_before(out, sound, failed, shape)
    return 0


def _rows_before(out: bytes | bytearray, sound: int, failed: bool, shape: PngShape) -> int:
    """Return the rows before the damage in a chunk's unpacked bytes. sound: bytes before it."""
    stride = 1 + (shape.width * shape.bits + 7) // 8
    filters = out[-sound % stride :: stride]
    bad = next((row for row, one in enumerate(filters) if one > _MOST_FILTER), None)
    end = len(out) if bad is None else -sound % stride + bad * stride
    is_visible = bad is not None or (failed and sound + end < shape.needed)
    sample = out[max(0, end - _SAMPLE) : end]
    if not is_visible or shape.interlaced or not sample:
        return 0
    like_filters = sum(sample.count(number) for number in range(_MOST_FILTER + 1)) / len(sample)
    if like_filters > _MOST_FILTER_LIKE:
        return 0
    margin = math.ceil(math.log(_MISS_RATE) / math.log(max(_MISS_RATE, like_filters)))
    return min(shape.height, (sound + end) // stride - margin)  # damage may be after the last row


def _unpacked(data: bytes, ignore_checksums: bool = False) -> Iterator[bytes]:
    """Yield the unpacked bytes of a PNG's chunks of pixels, up to the damage."""
    unpacker = zlib.decompressobj()
    for name, start, end in _pixel_chunks(data):
        is_checked = end + 4 <= len(data) and not ignore_checksums
        if is_checked and not png_checksum_is_right(data, name, start, end):
            return
        for at in range(start, min(end, len(data)), _PIECE):
            piece = data[at : min(at + _PIECE, end)]
            before = unpacker.copy()
            try:
                parts = list(_unpacked_piece(unpacker, piece))
            except zlib.error:
                yield from _up_to_the_error(before, piece)
                return
            yield from parts


def _up_to_the_error(unpacker: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    """Yield a piece's unpacked bytes before the byte at which unpacking fails."""
    for size in (_STEP, 1):  # the step that fails is repeated byte by byte
        for at in range(0, len(piece), size):
            before = unpacker.copy()
            try:
                yield from list(_unpacked_piece(unpacker, piece[at : at + size]))
            except zlib.error:
                unpacker, piece = before, piece[at : at + size]
                break


def _unpacked_piece(unpacker: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    while piece:
        yield unpacker.decompress(piece, _MOST_OUT)
        piece = unpacker.unconsumed_tail


def _rows_of(unpacked: Iterator[bytes], shape: PngShape, needed: int) -> Iterator[bytes]:
    """Yield the first `needed` unpacked bytes, up to the first row with an invalid filter."""
    passes = iter(shape.passes())
    stride, rows = next(passes)
    left, size = rows * stride, 0  # of the pass; so far
    for whole in unpacked:
        piece = whole[: needed - size]
        at = 0
        while at < len(piece):
            part = piece[at : at + left]
            done = rows * stride - left
            filters = part[-done % stride :: stride]
            if filters and max(filters) > _MOST_FILTER:
                bad = next(n for n, one in enumerate(filters) if one > _MOST_FILTER)
                yield piece[: at + (-done % stride) + bad * stride]
                return
            at, left = at + len(part), left - len(part)
            if not left and (following := next(passes, None)):
                stride, rows = following
                left = stride * rows
        yield piece
        size += len(piece)
        if size >= needed:
            return
