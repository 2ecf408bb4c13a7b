"""Read the frames of a moving PNG, each as a separate picture (PNG third edition, 11.3.6)."""

import struct
import zlib
from collections.abc import Iterator

from pipeline.photo.animations.canvas import Disposal, FrameLayer
from pipeline.photo.colour import plain_mode
from pipeline.photo.files.strip import PNG_START, png_chunks
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.opening import opened_picture

_DISPOSALS: dict[int, Disposal] = {1: "clear", 2: "restore"}
_HUNDREDTHS = 100  # of a second, if a frame's time has no denominator
_NEEDED = (b"PLTE", b"tRNS")  # chunks that every frame needs


def apng_layers(data: bytes, limits: DecodeLimits) -> Iterator[FrameLayer]:
    """Yield the frames of an undamaged PNG. Raises as `opening.opened_picture` does."""
    head, shared, control, packed = b"", b"", b"", b""
    for name, start, end in png_chunks(data):
        body = data[start:end]
        if name == b"IHDR":
            head = body
        elif name in _NEEDED:
            shared += data[start - 8 : end + 4]
        elif name == b"IDAT":
            packed += body if control else b""  # else it is the default image, which is no frame
        elif name == b"fdAT":
            packed += body[4:]
        elif name in (b"fcTL", b"IEND"):
            if packed:
                yield _layer(head, shared, control, packed, limits)
            control, packed = body, b""


def _layer(
    head: bytes, shared: bytes, control: bytes, packed: bytes, limits: DecodeLimits
) -> FrameLayer:
    width, height, x, y, time, parts, disposal, blend = struct.unpack(">4I2H2B", control[4:])
    data = PNG_START + _chunk(b"IHDR", struct.pack(">II", width, height) + head[8:]) + shared
    opened = opened_picture(data + _chunk(b"IDAT", packed) + _chunk(b"IEND", b""), "png", limits)
    opened.load(max(width, height))
    image = plain_mode(opened.image).convert("RGBA")
    duration_ms = round(1000 * time / (parts or _HUNDREDTHS))
    after = _DISPOSALS.get(disposal, "stay")
    return FrameLayer(image, (x, y), duration_ms, after, over=blend == 1)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
