"""Decode photos in the child process that `pipeline.photo.sandbox.decoder` starts.

    request:  8 bytes number, 8 bytes length, 4 bytes `view_side` of `decode.decode`, 1 byte that is
              1 if every frame is wanted, the photo file's bytes
    answer:   8 bytes number of its request, 4 bytes length of a JSON header, 8 bytes length of the
              pixels, header, RGB pixels, then, if the header has `alpha`, a plane of opacity, and
              if it names a `wide_space`, RGB pixels in that space; if every frame was requested,
              the RGB pixels of all frames and then the opacity planes of all frames

When the child is ready it writes the byte "r", 2 bytes length and, as text, the protections that
the machine lacks (`isolation.enter_sandbox`); the text is empty if it has them all. The child ends
when its standard input ends. If its parent dies, it therefore finishes at most one photo, and a
timer limits that one.
"""

import codecs
import json
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import asdict
from io import BytesIO
from typing import BinaryIO, TypeAlias

from PIL import AvifImagePlugin, Image, ImageCms, MpoImagePlugin, TiffImagePlugin

from pipeline.errors import DecodeError
from pipeline.photo.allocator import keep_freed
from pipeline.photo.animations.animation import render_frames
from pipeline.photo.decode import render
from pipeline.photo.files.strip import ORIENTATION
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits
from pipeline.photo.planes import Colour
from pipeline.photo.sandbox.isolation import enter_sandbox
from pipeline.photo.sandbox.kernel_limits import bound_time, confine

# Pillow imports these two when it meets a file that needs them.
LATE_IMPORTS = (MpoImagePlugin, TiffImagePlugin)

OutgoingAnswer: TypeAlias = tuple[dict[str, object], bytes]  # header and pixels of an answer

REQUEST = struct.Struct("<QQI?")
ANSWER = struct.Struct("<QIQ")
READY = struct.Struct("<cH")  # the byte "r" and the length of the text that follows

# All statuses that an answer may have: "ok", those of `decode` and its parts, and the child's own.
STATUSES = frozenset(
    {
        *("ok", "empty", "too_large", "too_many_pixels", "too_much_memory"),
        *("too_many_frames", "too_many_scans", "unsupported_format", "extra_missing", "truncated"),
        "corrupt",
    }
)

MOVING = ("PNG", "GIF", "WEBP", "AVIF")  # formats that can have several frames

KEPT_BYTES = 32 << 20  # of free memory: for most photos, the view and its copy


def child_argument(limits: DecodeLimits, colour: Colour = "srgb") -> str:
    """Encode the child's one command-line argument as JSON."""
    return json.dumps({"limits": asdict(limits), "colour": colour})


def main() -> None:
    """Answer requests on standard input until it ends."""
    given = json.loads(sys.argv[1])
    limits = DecodeLimits(**given["limits"])
    use_one_thread()
    keep_freed(KEPT_BYTES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    missing = confine(limits)
    warm_up()
    without = "; ".join([*missing, *enter_sandbox()]).encode()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(READY.pack(b"r", len(without)) + without)
    sink.flush()
    while asked := source.read(REQUEST.size):
        number, length, view_side, every_frame = REQUEST.unpack(asked)
        data = source.read(length)
        bound_time(limits.timeout_s)
        header, pixels = answer(data, limits, view_side, every_frame, given["colour"])
        write_answer(sink, number, header, pixels)
        signal.setitimer(signal.ITIMER_REAL, 0)
        del data, header, pixels  # up to 200 MB, else kept until the next photo is decoded


def use_one_thread() -> None:
    """Limit the AVIF and HEIC decoders to one thread.

    A machine already runs one child per core, and the stacks of threads count as memory.
    """
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    try:
        from pillow_heif import options
    except ImportError:
        return
    options.DECODE_THREADS = 1


def warm_up() -> None:
    """Decode a small picture of each format, so that everything that decoding needs is imported.

    After `enter_sandbox` no file can be opened any more. The default limits apply here: a run's own
    may refuse these pictures too, such as one frame at most, and no photo could be decoded then.
    """
    limits = DecodeLimits()
    small = Image.new("RGB", (16, 8), "red")
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # upright after a turn
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    two_frames = {"save_all": True, "append_images": [small.convert("L").convert("RGB")]}
    for name, options in (
        ("JPEG", {"exif": exif, "icc_profile": profile}),
        ("PNG", {"exif": exif, "icc_profile": profile, **two_frames}),
        ("GIF", two_frames),
        ("WEBP", two_frames),
        ("AVIF", two_frames),
    ):
        file = BytesIO()
        small.save(file, name, **options)
        render(file.getvalue(), limits, VIEW_SIDE)
        if name in MOVING:
            render_frames(file.getvalue(), limits, VIEW_SIDE)
    for mode in ("1", "L", "LA", "P", "I;16", "RGBA"):
        file = BytesIO()
        Image.new(mode, (16, 8)).save(file, "PNG")
        render(file.getvalue(), limits, VIEW_SIDE)
    for codec in ("ascii", "latin-1", "utf-16", "utf-16-le", "utf-16-be"):  # for texts in a file
        codecs.lookup(codec)
    for name in ("PNG", "JPEG", "GIF"):  # and the code for damaged files
        file = BytesIO()
        small.save(file, name)
        with suppress(DecodeError):
            render(file.getvalue()[:-20], limits, VIEW_SIDE)


def answer(
    data: bytes,
    limits: DecodeLimits,
    view_side: int,
    every_frame: bool = False,
    colour: Colour = "srgb",
) -> OutgoingAnswer:
    """Decode one photo to (header, pixels). A failure's header has a status and a message."""
    try:
        if every_frame:
            return frames_answer(data, limits, view_side)
        return photo_answer(data, limits, view_side, colour)
    except DecodeError as error:
        return {"status": error.status, "message": error.message}, b""
    except MemoryError:
        return {"status": "too_much_memory", "message": "the picture outgrew its limit"}, b""
    except Exception as error:  # noqa: BLE001  process boundary: any failure is this photo's row
        return {"status": "corrupt", "message": f"{type(error).__name__}: {error}"[:200]}, b""


def photo_answer(
    data: bytes, limits: DecodeLimits, view_side: int, colour: Colour
) -> OutgoingAnswer:
    """Return a photo's header and pixels; of a moving one the first frame."""
    rendered = render(data, limits, view_side, colour)
    found = rendered.planes
    header: dict[str, object] = {
        "status": "ok",
        "view_wh": found.image.size,
        "width_px": rendered.width_px,
        "height_px": rendered.height_px,
        "format": rendered.format,
        "orientation": rendered.orientation,
        "frames": rendered.frames,
        "alpha": found.alpha is not None,
        "wide_space": found.wide_space,
        "complete": rendered.complete,
        "there_px": rendered.there_px,
    }
    planes = filter(None, (found.image, found.alpha, found.wide))
    return header, b"".join(map(bytes_of, planes))


def bytes_of(plane: Image.Image) -> bytes:
    """Return `plane.tobytes()` without its extra copy, for which it joins blocks of 64 KiB."""
    encoder = Image._getencoder(plane.mode, "raw", (plane.mode,))
    try:
        encoder.setimage(plane.im, (0, 0, *plane.size))
        _, is_done, data = encoder.encode(plane.width * plane.height * len(plane.getbands()))
    finally:
        encoder.cleanup()
    return data if is_done == 1 else plane.tobytes()


def frames_answer(data: bytes, limits: DecodeLimits, view_side: int) -> OutgoingAnswer:
    """Return the header and the pixels of every frame."""
    found = render_frames(data, limits, view_side)
    header: dict[str, object] = {
        "status": "ok",
        "view_wh": found.images[0].size,
        "durations_ms": found.durations_ms,
        "plays": found.plays,
        "alpha": found.alphas is not None,
    }
    return header, b"".join(map(bytes_of, (*found.images, *(found.alphas or ()))))


def write_answer(sink: BinaryIO, number: int, header: dict[str, object], pixels: bytes) -> None:
    """Write the answer to the request with this number."""
    text = json.dumps(header).encode()
    sink.write(ANSWER.pack(number, len(text), len(pixels)) + text)
    sink.write(pixels)
    sink.flush()


if __name__ == "__main__":
    main()
