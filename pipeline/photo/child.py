"""Decodes photos in the child process that `pipeline.photo.decoder` starts.

    request:  8 bytes length, the photo file's bytes
    answer:   4 bytes length of a JSON header, 8 bytes length of the pixels, header, RGB pixels

The child writes one byte "r" when it is ready. It ends when its standard input ends. A parent that
dies therefore leaves it to finish at most one photo, and a timer bounds that one.
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
from pipeline.photo.decode import render
from pipeline.photo.limits import DecodeLimits

REQUEST = struct.Struct("<Q")
ANSWER = struct.Struct("<IQ")
READY = b"r"

# The standard streams, and some for libraries that open files of their own.
MAX_OPEN_FILES = 32


def settings(limits: DecodeLimits, view_side: int) -> str:
    """Encode the child's one command-line argument as JSON."""
    return json.dumps({"limits": asdict(limits), "view_side": view_side})


def main() -> None:
    """Answer requests on standard input until it ends."""
    given = json.loads(sys.argv[1])
    limits = DecodeLimits(**given["limits"])
    use_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
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
    """Limit the AVIF and HEIC decoders to one thread.

    A machine runs one child per core already, and the stacks of threads count as memory.
    """
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    try:
        from pillow_heif import options
    except ImportError:
        return
    options.DECODE_THREADS = 1


def answer(data: bytes, limits: DecodeLimits, view_side: int) -> tuple[dict[str, object], bytes]:
    """Decode one photo: (header, pixels). The header of a failure has a status and a message."""
    try:
        rendered = render(data, limits, view_side)
        pixels = rendered.image.tobytes()
    except DecodeError as error:
        return {"status": error.status, "message": error.message}, b""
    except MemoryError:
        return {"status": "too_much_memory", "message": "the picture outgrew its limit"}, b""
    except Exception as error:  # noqa: BLE001  process boundary: any failure is this photo's row
        return {"status": "corrupt", "message": f"{type(error).__name__}: {error}"[:200]}, b""
    header: dict[str, object] = {
        "status": "ok",
        "view_wh": rendered.image.size,
        "width_px": rendered.width_px,
        "height_px": rendered.height_px,
        "format": rendered.format,
        "orientation": rendered.orientation,
    }
    return header, pixels


def reply(sink: BinaryIO, header: dict[str, object], pixels: bytes) -> None:
    """Write one answer."""
    text = json.dumps(header).encode()
    sink.write(ANSWER.pack(len(text), len(pixels)) + text)
    sink.write(pixels)
    sink.flush()


def confine(limits: DecodeLimits) -> None:
    """Set limits on memory, file sizes, core dumps and open files.

    The kernel keeps them even if a crafted photo runs code in this process.
    """
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))


def bound_time(timeout_s: float) -> None:
    """Have the kernel end this process if one photo takes longer than timeout_s.

    The parent stops a late child itself; this is for a child whose parent has died.
    """
    signal.setitimer(signal.ITIMER_REAL, timeout_s + 1)
    used = sum(os.times()[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + timeout_s) + 2, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
