"""Convert a damaged file to one that decodes, and measure how much of its picture is intact.

Lenient decoders show grey or smeared rows in place of missing data, so the intact rows are
measured. In a PNG, the rows that unpack are counted, up to the first chunk with a wrong check sum.
In a JPEG, the missing end is replaced by two different ones: rows that decode alike with both are
intact. In the same way a GIF's pixels are decoded onto two different backgrounds.
"""

import random
import re
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from PIL.GifImagePlugin import GifImageFile

from pipeline.errors import DecodeError
from pipeline.photo.files.damaged_png import has_all_rows, pixels_are_sound, recover_png
from pipeline.photo.files.recovered import RecoveredFile
from pipeline.photo.files.segments import FRAMES, PROGRESSIVE, START_OF_SCAN, jpeg_segments
from pipeline.photo.limits import DecodeLimits

RECOVERED = ("jpeg", "png", "gif")  # formats of which a damaged file is tried again
_END = b"\xff\xd9"
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # any marker but those inside a scan
_PADDING = 64  # zero bytes at the end of a JPEG that count as space that was never written
_OWN_ZEROS = 4  # how many of these bytes may be the JPEG's own
# Fillings for missing parts of a JPEG. Any bytes but 0xFF decode to some pixels.
_ZEROS, _NOISE = bytes(1 << 13), bytes(random.Random(1).choices(range(1, 255), k=1 << 13))


def recover_file(data: bytes, format: str, limits: DecodeLimits) -> RecoveredFile | None:
    """Recover what is intact of a damaged file; None if nothing is, or it can't be determined."""
    if format == "jpeg":
        return _recover_jpeg(data)
    if format == "png":
        return recover_png(data, limits)
    return _recover_gif(data, limits) if format == "gif" else None


def check_whole(data: bytes, format: str, image: Image.Image) -> None:
    """Refuse damage that decoders ignore, showing black or smeared rows. Raises DecodeError.

    image: the loaded picture.
    """
    if format == "png" and not pixels_are_sound(data):
        raise DecodeError("corrupt", "png: a block of pixels has a wrong check sum")
    if format == "png" and _ends_dark(image) and not has_all_rows(data):
        raise DecodeError("truncated", "png: its pixels end before its last row")
    if format == "jpeg" and ends_unwritten(data):
        raise DecodeError("truncated", "jpeg: its end was never written")


def _ends_dark(image: Image.Image) -> bool:
    """Return whether one of a loaded picture's last two rows is all zeros, as if not read."""
    last = (image.crop((0, y - 1, image.width, y)) for y in (image.height, image.height - 1) if y)
    return any(not np.asarray(row).any() for row in last)


def ends_unwritten(data: bytes) -> bool:
    """Return whether a JPEG ends in space that was never written, in place of its last bytes."""
    return data.endswith(bytes(_PADDING)) and not data.rstrip(b"\0").endswith(_END)


def equal_rows(one: Image.Image, other: Image.Image) -> int:
    """Return how many rows of two pictures of one size are equal, from the first on."""
    box = ImageChops.difference(one, other).getbbox(alpha_only=False)
    return one.height if box is None else box[1]


def repeat_last_row(image: Image.Image, rows: int) -> None:
    """Replace all rows after the first `rows` rows by the last of these."""
    last = image.crop((0, rows - 1, image.width, rows))
    gap = (image.width, image.height - rows)
    image.paste(last.resize(gap, Image.Resampling.NEAREST), (0, rows))


def decoded_box(
    sides: tuple[int, int], view_rows: int, decoded_rows: int, orientation: int
) -> tuple[int, int, int, int]:
    """Return the part of an upright photo that could be decoded, xyxy in source pixels.

    sides: of the upright photo. view_rows, decoded_rows: rows of the view as stored, and how many
    of them were decoded, from the first on. orientation: EXIF 1 to 8; decides on which side they
    end.
    """
    width, height = sides
    stored = height if orientation < 5 else width
    decoded = decoded_rows * stored // view_rows
    if orientation < 3:
        return 0, 0, width, decoded
    if orientation < 5:
        return 0, height - decoded, width, height
    if orientation in (5, 8):
        return 0, 0, decoded, height
    return width - decoded, 0, width, height


def _recover_jpeg(data: bytes) -> RecoveredFile | None:
    """Return a JPEG up to the scan that completes a first scan of every component, with two ends.

    A component's first scan shows it. Later scans, which refine it, are only in `better`.
    """
    segments = list(jpeg_segments(data))
    frames = [(at, marker) for at, end, marker in segments if marker in FRAMES and end > at + 9]
    if not frames:
        return None
    components = data[frames[0][0] + 9]
    covered: set[int] = set()
    scans = list(_jpeg_scans(data, segments[-1][1]))
    for start, end, shown in scans:
        covered |= shown
        if len(covered) >= components:
            body = data[: _used_end(data, start, end)]
            better = data[: _used_end(data, scans[-1][0], scans[-1][1])] + _END
            is_refined = frames[0][1] in PROGRESSIVE
            zeros, noise = (body + filling + _END for filling in _fillings(data[start : len(body)]))
            return RecoveredFile(zeros, None, noise, better if is_refined else b"")
    return None


def _fillings(scan: bytes) -> tuple[bytes, bytes]:
    """Return two different continuations of a scan.

    If a scan has restart intervals, each has to begin with the restart marker that is next.
    """
    at, last = max((scan.rfind(bytes([0xFF, 0xD0 + n])), n) for n in range(8))
    first = last + 1 if at >= 0 else 0
    markers = [bytes([0xFF, 0xD0 + n % 8]) for n in range(first, first + 8)]
    zeros, noise = (
        part + b"".join(marker + part for marker in markers) for part in (_ZEROS, _NOISE)
    )
    return zeros, noise


def _used_end(data: bytes, start: int, end: int) -> int:
    """Return where data end, without an end marker, half a marker, or space never written."""
    used = data[start:end].rstrip(b"\0")
    if end - start - len(used) < _PADDING:
        used = data[start:end]
    elif not used.endswith(_END):
        used += bytes(_OWN_ZEROS)
    return start + len(used.removesuffix(_END).rstrip(b"\xff"))


def _jpeg_scans(data: bytes, at: int) -> Iterator[tuple[int, int, set[int]]]:
    """Yield start and end of each scan from `at` on, and the components whose first scan it is."""
    while 0 <= at < len(data) - 5:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == START_OF_SCAN:
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


def _recover_gif(data: bytes, limits: DecodeLimits) -> RecoveredFile | None:
    """Return a GIF with only its first frame, with colour 0 where that was cut off."""
    opened = GifImageFile(BytesIO(data))
    width, height = opened.size
    if not 0 < width * height <= limits.max_pixels or not opened.tile:
        return None
    (tile,) = opened.tile[:1]
    coded = _gif_blocks(data, tile.offset)[tile.offset :]
    x0, y0, x1, y1 = tile.extents or (0, 0, width, height)
    grounds: list[NDArray[np.uint8]] = []
    for level in (0, 255):
        ground = Image.new("L", opened.size, level)
        decoder = Image._getdecoder("L", "gif", tile.args, opened.decoderconfig)
        try:
            decoder.setimage(ground.im, tile.extents)
            decoder.decode(coded)
        finally:
            decoder.cleanup()
        grounds.append(np.asarray(ground)[y0:y1, x0:x1])
    missing = np.flatnonzero((grounds[0] != grounds[1]).any(axis=1))
    rows = y0 + int(missing[0]) if len(missing) else height
    return RecoveredFile(_gif_body(data, tile.offset, 2 * (x1 - x0) * (y1 - y0)), rows)


def _gif_body(data: bytes, at: int, fill: int) -> bytes:
    """Return a GIF up to the end of its pixels, which start at `at`, and `fill` zero bytes more."""
    return _gif_blocks(data, at) + (b"\xff" + bytes(255)) * (fill // 255 + 1) + b"\0;"


def _gif_blocks(data: bytes, at: int) -> bytes:
    """Return a GIF up to its last block of pixels; a block that was cut off is closed.

    at: where the pixels start.
    """
    while at < len(data) and data[at] and at + 1 + data[at] <= len(data):
        at += 1 + data[at]
    cut = data[at + 1 :] if at < len(data) and data[at] else b""
    return data[:at] + (bytes([len(cut)]) + cut if cut else b"")
