"""Talk to a decoding child over its pipes, with a deadline for every byte."""

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO, NamedTuple, TypeAlias

from pipeline.photo.animations.animation import LONGEST_MS, MOST_VIEW_PIXELS
from pipeline.photo.files.frames import MOST_FRAMES
from pipeline.photo.sandbox.child import ANSWER, REQUEST

# A header contains the durations of at most MOST_FRAMES frames, and 64 KiB of other fields.
MAX_HEADER_BYTES = len(f"{LONGEST_MS}, ") * MOST_FRAMES + (64 << 10)
# An answer has the pixels of one view or of all frames. A view has 7 planes and at most 24 squares
# of `view_side`, or 33 if it was left a little larger (see `view`). Frames have 4 planes; they may
# be left larger too, and tiny ones are rounded up, so twice their nominal size is allowed.
VIEW_BYTES_PER_SQUARE, FRAME_BYTES = 7 * 33, 4 * 2 * MOST_VIEW_PIXELS
PIPE_BYTES = 1 << 20  # the most that Linux gives a user; the default is 64 KiB

Answer: TypeAlias = tuple[dict[str, object], bytearray]  # header and pixels


class DecodeRequest(NamedTuple):
    """A photo to decode. number: repeated in the child's answer."""

    number: int
    data: bytes
    view_side: int
    every_frame: bool


class DiedError(Exception):
    """The child ended, or wrote something other than a valid answer to this request."""


class LateError(Exception):
    """The child did not answer before the deadline."""


def most_pixel_bytes(view_side: int) -> int:
    """Return how many bytes of pixels an answer can have at most."""
    return max(FRAME_BYTES, VIEW_BYTES_PER_SQUARE * view_side**2)


def widen(pipe: IO[bytes]) -> None:
    """Enlarge a pipe to PIPE_BYTES if the system allows it, so that both sides wait less often."""
    if sys.platform == "linux":
        with suppress(OSError):  # the total size of a user's pipes is limited
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def exchange(
    child: subprocess.Popen[bytes],
    request: DecodeRequest,
    deadline: float,
) -> Answer:
    """Send one photo and receive the answer; its header is not checked yet.

    Raises LateError, or DiedError, also for another request's answer or one with more than
    `most_pixel_bytes` of its view_side. After any exception, even an interrupt, the pipes can't be
    used any more.
    """
    number, data, view_side, every_frame = request
    _send(child, REQUEST.pack(number, len(data), view_side, every_frame), deadline)
    _send(child, data, deadline)
    of_number, header_bytes, pixel_bytes = ANSWER.unpack(receive(child, ANSWER.size, deadline))
    is_too_large = header_bytes > MAX_HEADER_BYTES or pixel_bytes > most_pixel_bytes(view_side)
    if of_number != number or is_too_large:
        raise DiedError
    text = receive(child, header_bytes, deadline)
    pixels = receive(child, pixel_bytes, deadline)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DiedError from error
    if not isinstance(header, dict):
        raise DiedError
    return header, pixels


def _send(child: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
    assert child.stdin is not None
    descriptor = child.stdin.fileno()
    rest = memoryview(data)
    while rest:
        _wait(descriptor, select.POLLOUT, deadline)
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            continue
        except BrokenPipeError as error:
            raise DiedError from error


def receive(child: subprocess.Popen[bytes], size: int, deadline: float) -> bytearray:
    """Receive exactly `size` bytes. Raises DiedError or LateError."""
    assert child.stdout is not None
    descriptor = child.stdout.fileno()
    buffer = bytearray(size)
    rest = memoryview(buffer)
    while rest:
        _wait(descriptor, select.POLLIN, deadline)
        try:
            count = os.readv(descriptor, [rest])
        except BlockingIOError:
            continue
        if count == 0:
            raise DiedError
        rest = rest[count:]
    return buffer


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poller = select.poll()
    poller.register(descriptor, event)
    if not poller.poll(max(0.0, (deadline - time.monotonic()) * 1000)):
        raise LateError
