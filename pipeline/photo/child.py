"""The child process of `pipeline.photo.decoder`: reads a picture, answers with pixels.

    request:  8 bytes length, the picture's bytes
    answer:   4 bytes length of a JSON header, 8 bytes length of the pixels, header, RGB pixels

One byte "r" is written once it is ready. It ends when its input does, so it cannot outlive its
parent by more than one picture, and an alarm bounds that one.
"""

import json
import os
import resource
import signal
import struct
import sys
from dataclasses import asdict
from typing import BinaryIO

from PIL import AvifImagePlugin

from pipeline.errors import DecodeError
from pipeline.photo.decode import DecodeLimits, render

REQUEST = struct.Struct("<Q")
ANSWER = struct.Struct("<IQ")
READY = b"r"

# Standard streams, and a few to spare for libraries that open a file of their own.
MAX_OPEN_FILES = 32


def settings(limits: DecodeLimits, view_side: int) -> str:
    """The child's one argument."""
    return json.dumps({"limits": asdict(limits), "view_side": view_side})


def main() -> None:
    """Serves requests on standard input until it ends."""
    given = json.loads(sys.argv[1])
    limits = DecodeLimits(**given["limits"])
    use_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    confine(limits)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(READY)
    sink.flush()
    while size := source.read(REQUEST.size):
        data = source.read(REQUEST.unpack(size)[0])
        bound_time(limits.timeout_s)
        header, pixels = answer(data, limits, given["view_side"])
        reply(sink, header, pixels)
        signal.setitimer(signal.ITIMER_REAL, 0)


def use_one_thread() -> None:
    """A machine runs one decoder per core already, and threads' stacks count as memory."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    try:
        from pillow_heif import options
    except ImportError:
        return
    options.DECODE_THREADS = 1


def answer(data: bytes, limits: DecodeLimits, view_side: int) -> tuple[dict[str, object], bytes]:
    """Header and pixels for one picture; the header of a failure has a status and a message."""
    try:
        picture = render(data, limits, view_side)
        pixels = picture.image.tobytes()
    except DecodeError as error:
        return {"status": error.status, "message": error.message}, b""
    except MemoryError:
        return {"status": "too_much_memory", "message": "the picture outgrew its limit"}, b""
    except Exception as error:  # noqa: BLE001  the process boundary: one row, whatever happened
        return {"status": "corrupt", "message": f"{type(error).__name__}: {error}"[:200]}, b""
    header: dict[str, object] = {
        "status": "ok",
        "view_wh": picture.image.size,
        "width_px": picture.width_px,
        "height_px": picture.height_px,
        "format": picture.format,
        "orientation": picture.orientation,
    }
    return header, pixels


def reply(sink: BinaryIO, header: dict[str, object], pixels: bytes) -> None:
    """One answer in its frame."""
    text = json.dumps(header).encode()
    sink.write(ANSWER.pack(len(text), len(pixels)) + text)
    sink.write(pixels)
    sink.flush()


def confine(limits: DecodeLimits) -> None:
    """Limits that also hold should a picture take this process over: no files, no core dumps."""
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))


def bound_time(timeout_s: float) -> None:
    """The kernel ends this process if one picture takes longer, even when nobody waits for it."""
    signal.setitimer(signal.ITIMER_REAL, timeout_s + 1)
    used = sum(os.times()[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + timeout_s) + 2, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
