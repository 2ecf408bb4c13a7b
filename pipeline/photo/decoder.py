"""Decodes untrusted photos in a child process that can be killed.

The child has no credentials in its environment, has limits on memory and time, and is shut in
(`wall`): it opens no file, reaches no network and starts nothing. Its answers are a JSON header and
raw pixels, which the parent checks; nothing from it is unpickled or run. A photo that crashes the
child or keeps it busy fails alone and costs one restart, about .3 s.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.photo.animation import LONGEST_MS, MOST_PLAYS, Animation
from pipeline.photo.child import ANSWER, READY, REQUEST, STATUSES, settings
from pipeline.photo.decode import check_bytes
from pipeline.photo.decoded import Photo, described
from pipeline.photo.frames import MOST_FRAMES
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits

START_TIMEOUT_S = 60.0
MAX_HEADER_BYTES = 64 << 10  # the durations of many frames among others

_HOME = str(Path(__file__).resolve().parents[2])

# All that a child gets of the parent's environment: where programs and shared libraries are.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")


Answer: TypeAlias = tuple[dict[str, object], bytearray]  # header and pixels
T = TypeVar("T")
ReadAnswer: TypeAlias = Callable[[dict[str, object], bytearray], T]


class _DiedError(Exception):
    """The child ended, or wrote something that is no answer."""


class _LateError(Exception):
    """The child did not answer before the deadline."""


class Decoder:
    """Decodes photos one after another in a child process that stays.

    limits, view_side: as for `decode.decode`; here all limits hold. Threads may share a Decoder,
    which then makes them take turns. Use it in a `with` statement, or call `close`.
    """

    def __init__(self, limits: DecodeLimits | None = None, view_side: int = VIEW_SIDE) -> None:
        self.limits = limits or DecodeLimits()
        self.view_side = view_side
        self.lacking = ""  # what this machine can't keep from the child, once that has started
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, data: bytes) -> Photo:
        """Decode one photo. Raises DecodeError as `decode.decode` does, and with two more statuses.

        timeout:      the photo took longer than limits.timeout_s; the child was killed.
        decoder_died: the child ended twice, on this photo or before it was ready. A first death
                      is not taken as the photo's fault: the kernel may have ended the child to
                      free memory for others.
        """
        return self._decoded(data, False, _photo)

    def decode_frames(self, data: bytes) -> Animation:
        """Decode every frame of a moving picture. Raises DecodeError as `decode` does, and another.

        too_many_frames: it has more frames, or more pixels in all of them, than the limits allow.
        """
        return self._decoded(data, True, partial(_animation, self.limits))

    def _decoded(self, data: bytes, every_frame: bool, read: ReadAnswer[T]) -> T:
        check_bytes(data, self.limits)
        with self._lock:
            try:
                return read(*self._answer(data, every_frame))
            except _DiedError:
                self._stop()
            try:
                return read(*self._answer(data, every_frame))
            except _DiedError as error:
                self._stop()
                message = str(error) or "the decoder ended on this picture"
                raise DecodeError("decoder_died", message) from error

    def start(self) -> None:
        """Start the child if there is none, so that the first photo does not wait for it."""
        with self._lock, suppress(_DiedError):  # `decode` tries again, and reports
            self._running()

    def cpu_s(self) -> float:
        """CPU seconds of the child so far; 0 where there is none, or no way to ask.

        A child that has ended counts among the children of `resource.getrusage` instead.
        """
        child = self._child
        if child is None or child.returncode is not None:
            return 0.0
        try:
            # The clock of another process, as clock_getcpuclockid(3) makes its number on Linux.
            return time.clock_gettime(~child.pid << 3 | 2) if sys.platform == "linux" else 0.0
        except OSError:  # it ends just now
            return 0.0

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, data: bytes, every_frame: bool) -> Answer:
        child, deadline = self._running(), time.monotonic() + self.limits.timeout_s
        try:
            return _exchange(child, data, every_frame, deadline)
        except _LateError as error:
            self._stop()
            message = f"not decoded within {self.limits.timeout_s:g} s"
            raise DecodeError("timeout", message) from error

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._stop()
            self._child, self.lacking = _start(settings(self.limits, self.view_side))
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _start(argument: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a child and wait until it is ready; returns it and what its wall lacks.

    Raises _DiedError if it does not get ready.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline.photo.child", argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=_environment(),
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    os.set_blocking(child.stdin.fileno(), False)
    os.set_blocking(child.stdout.fileno(), False)
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        mark, size = READY.unpack(_receive(child, READY.size, deadline))
        if mark == b"r":
            lacking = _receive(child, size, deadline).decode(errors="replace")
            return child, lacking
    except (_DiedError, _LateError):
        pass
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    raise _DiedError("the decoder process does not start")


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {
        "PYTHONPATH": os.pathsep.join([_HOME, *filter(None, sys.path)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # each thread's buffers would count against memory_bytes
        "OMP_NUM_THREADS": "1",
    }


def _exchange(
    child: subprocess.Popen[bytes], data: bytes, every_frame: bool, deadline: float
) -> Answer:
    _send(child, REQUEST.pack(len(data), every_frame), deadline)
    _send(child, data, deadline)
    header_bytes, pixel_bytes = ANSWER.unpack(_receive(child, ANSWER.size, deadline))
    if header_bytes > MAX_HEADER_BYTES or pixel_bytes > 1 << 32:
        raise _DiedError
    text = _receive(child, header_bytes, deadline)
    pixels = _receive(child, pixel_bytes, deadline)
    try:
        header = json.loads(text)
    except ValueError as error:
        raise _DiedError from error
    if not isinstance(header, dict):
        raise _DiedError
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
            raise _DiedError from error


def _receive(child: subprocess.Popen[bytes], size: int, deadline: float) -> bytearray:
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
            raise _DiedError
        rest = rest[count:]
    return buffer


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poller = select.poll()
    poller.register(descriptor, event)
    if not poller.poll(max(0.0, (deadline - time.monotonic()) * 1000)):
        raise _LateError


def plain_text(text: str) -> str:
    """A text from a child without what a terminal or a page could act on.

    Control characters and characters that change the direction of writing become `?`.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _split(pixels: bytearray, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The first `size` bytes and the rest, without a copy."""
    array = np.frombuffer(pixels, dtype=np.uint8)
    return array[:size], array[size:]


def _refusal(header: dict[str, object]) -> None:
    """Raise the DecodeError that an answer tells, if it tells one."""
    status = header.get("status")
    if not isinstance(status, str) or status not in STATUSES:
        raise _DiedError
    if status != "ok":
        raise DecodeError(status, plain_text(str(header.get("message")))[:200])


def _photo(header: dict[str, object], pixels: bytearray) -> Photo:
    """Make a Photo of an answer, every field checked: a crafted file may have written it."""
    _refusal(header)
    match {"frames": 1, "alpha": False, "complete": 1.0, "there_px": None} | header:
        case {
            "view_wh": [int(width_view), int(height_view)],
            "width_px": int(width_px),
            "height_px": int(height_px),
            "format": str(name),
            "orientation": int(orientation),
            "frames": int(frames),
            "alpha": bool(has_alpha),
            "complete": float(complete),
            "there_px": there,
        } if (
            0 < width_view <= width_px
            and 0 < height_view <= height_px
            and width_view * height_view * (3 + has_alpha) == len(pixels)
            and 1 <= orientation <= 8
            and 1 <= frames <= MOST_FRAMES
            and 0 < complete <= 1
            and _is_part(there, width_px, height_px)
        ):
            shape = (height_view, width_view)
            colours, rest = _split(pixels, width_view * height_view * 3)
            alpha = rest.reshape(shape) if has_alpha else None
            view = colours.reshape(*shape, 3)
            there_px = None if there is None else (there[0], there[1], there[2], there[3])
            facts = (width_px, height_px, name[:8], orientation, frames)
            return described(Photo(view, *facts, alpha=alpha, complete=complete, there_px=there_px))
    raise _DiedError


def _is_part(edges: object, width_px: int, height_px: int) -> TypeGuard[list[int] | None]:
    """Whether edges are those of a part of a photo, xyxy, or None."""
    match edges:
        case None:
            return True
        case [int(x0), int(y0), int(x1), int(y1)]:
            return 0 <= x0 < x1 <= width_px and 0 <= y0 < y1 <= height_px
    return False


def whole_numbers(values: Iterable[object], most: int) -> tuple[int, ...]:
    """Those of some values that are whole numbers from 0 to `most`."""
    return tuple(
        value
        for value in values
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
    )


def _animation(limits: DecodeLimits, header: dict[str, object], pixels: bytearray) -> Animation:
    """Make an Animation of an answer, every field checked likewise."""
    _refusal(header)
    match header:
        case {
            "view_wh": [int(width), int(height)],
            "durations_ms": [*stated],
            "plays": int(plays),
            "alpha": bool(has_alpha),
        } if (
            0 < width <= limits.max_side
            and 0 < height <= limits.max_side
            and 0 < len(durations := whole_numbers(stated, LONGEST_MS)) <= limits.max_frames
            and len(durations) == len(stated)
            and 0 <= plays <= MOST_PLAYS
            and len(durations) * width * height * (3 + has_alpha) == len(pixels)
        ):
            shape = (len(durations), height, width)
            colours, rest = _split(pixels, len(durations) * width * height * 3)
            alphas = rest.reshape(shape) if has_alpha else None
            return Animation(colours.reshape(*shape, 3), alphas, durations, plays)
    raise _DiedError
