"""Read the frames of a GIF, each by itself: pixels, position, time, disposal.

Layout: GIF89a specification, sections 18 to 23. Pillow's decoder unpacks the pixels. Its
composition of frames is not used, since it fills cleared parts with a colour.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.animations.canvas import Disposal, FrameLayer
from pipeline.photo.files.frames import EXTENSION, IMAGE, table_bytes
from pipeline.photo.limits import DecodeLimits

_CONTROL, _INTERLACED, _HAS_CLEAR = 0xF9, 0x40, 1
_DISPOSALS: dict[int, Disposal] = {2: "clear", 3: "restore"}
_DEFAULT_MS = 100  # for a frame without a control block


@dataclass(frozen=True)
class _Control:
    """The control block before a frame."""

    disposal: Disposal = "stay"
    duration_ms: int = _DEFAULT_MS
    clear_index: int | None = None


def gif_layers(data: bytes, limits: DecodeLimits) -> Iterator[FrameLayer]:
    """Yield the frames of a GIF. Raises OSError if one is cut short, struct.error, DecodeError."""
    table, at = _table(data, 13, data[10] if len(data) > 10 else 0)
    control = _Control()
    while at < len(data) and data[at] in (EXTENSION, IMAGE):
        if data[at] == EXTENSION:
            if data[at + 1 : at + 3] == bytes([_CONTROL, 4]):
                control = _control(data[at + 3 : at + 7])
            at = _end_of_blocks(data, at + 2)
            continue
        x, y, width, height, flags = struct.unpack_from("<4HB", data, at + 1)
        own, at = _table(data, at + 10, flags)
        end = _end_of_blocks(data, at + 1)
        if width * height > limits.max_pixels:
            raise DecodeError("too_many_pixels", f"a frame of {width} × {height}")
        if width and height:
            # Only its own bytes: copying all the rest for each frame would take quadratic time.
            levels = _levels(data[at:end], (width, height), bool(flags & _INTERLACED))
            colours = (own if own is not None else table, control.clear_index)
            # As whole pixels: indexing rows of four bytes takes three times as long.
            pixels = np.take(_rgba(*colours).view(np.uint32)[:, 0], levels)
            image = Image.fromarray(pixels.view(np.uint8).reshape(height, width, 4))
            yield FrameLayer(image, (x, y), control.duration_ms, control.disposal)
        at, control = end, _Control()


def _control(body: bytes) -> _Control:
    flags, hundredths, clear = struct.unpack("<BHB", body)
    disposal = _DISPOSALS.get(flags >> 2 & 7, "stay")
    return _Control(disposal, 10 * hundredths, clear if flags & _HAS_CLEAR else None)


def _table(data: bytes, at: int, flags: int) -> tuple[bytes | None, int]:
    """Return the colour table at an offset, if the flags announce one, and where it ends."""
    end = at + table_bytes(flags)
    return data[at:end] if end > at else None, end


def _rgba(table: bytes | None, clear_index: int | None) -> NDArray[np.uint8]:
    """Return the RGBA colour of each index; opaque black if the table does not have it."""
    found = np.zeros((256, 4), np.uint8)
    colours = np.frombuffer(table or b"", np.uint8)
    count = len(colours) // 3
    found[:count, :3] = colours[: 3 * count].reshape(-1, 3)
    found[:, 3] = 255
    if clear_index is not None:
        found[clear_index] = 0
    return found


def _levels(codes: bytes, size_wh: tuple[int, int], interlaced: bool) -> NDArray[np.uint8]:
    """Return the colour indices of a frame's pixels, [h, w].

    codes: the first byte is the initial code size.
    """
    image = Image.new("L", size_wh)
    if not codes:
        raise OSError("a frame ends before its codes")
    decoder = Image._getdecoder("L", "gif", (codes[0], int(interlaced), -1), ())
    try:
        decoder.setimage(image.im, (0, 0, *size_wh))
        done, problem = decoder.decode(codes[1:])
    finally:
        decoder.cleanup()
    if done >= 0 or problem < 0:
        raise OSError("a frame ends before its last row")
    return np.asarray(image)


def _end_of_blocks(data: bytes, at: int) -> int:
    """Return the offset after a sequence of blocks."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
