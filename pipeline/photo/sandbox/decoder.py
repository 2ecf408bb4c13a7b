"""Decode untrusted photos in a child process that can be killed.

The child has no credentials in its environment, has limits on memory and time, and is sandboxed
(`isolation`): it opens no file, reaches no network and starts no process. Its answers are a JSON
header and raw pixels, which the parent checks; nothing from it is unpickled or executed. If a photo
crashes the child or keeps it busy, only that photo fails, at the cost of a restart, about .3 s.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

from pipeline.errors import DecodeError
from pipeline.photo.animations.animation import Animation
from pipeline.photo.decode import check_bytes
from pipeline.photo.decoded import Photo
from pipeline.photo.limits import VIEW_SIDE, DecodeLimits
from pipeline.photo.planes import Colour
from pipeline.photo.sandbox.answers import animation_from, photo_from
from pipeline.photo.sandbox.child import READY, child_argument
from pipeline.photo.sandbox.isolation import FILTER, make_undumpable
from pipeline.photo.sandbox.pipes import (
    Answer,
    DecodeRequest,
    DiedError,
    LateError,
    exchange,
    receive,
    widen,
)

START_TIMEOUT_S = 60.0

_HOME = str(Path(__file__).resolve().parents[3])

# The only variables that a child gets from its parent: paths of programs and shared libraries.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")

T = TypeVar("T")
ReadAnswer: TypeAlias = Callable[[dict[str, object], bytearray], T]


class Decoder:
    """Decodes photos one after another in a long-lived child process.

    limits, view_side, colour: as for `decode.decode`; here all limits hold. view_side is that of
    calls which name none. Threads may share a Decoder; their calls are serialised. Use it in a
    `with` statement, or call `close`.
    """

    def __init__(
        self,
        limits: DecodeLimits | None = None,
        view_side: int = VIEW_SIDE,
        colour: Colour = "srgb",
    ) -> None:
        self.limits = limits or DecodeLimits()
        self.view_side, self.colour = view_side, colour
        self.missing_protections = ""  # of this machine, in words; set when the child starts
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = 0  # requests so far: the number of the last one
        self._lock = threading.Lock()

    def decode(self, data: bytes, view_side: int | None = None) -> Photo:
        """Decode one photo. Raises DecodeError as `decode.decode` does, and with two more statuses.

        timeout:      the photo took longer than limits.timeout_s; the child was killed.
        decoder_died: the child ended twice, on this photo or before it was ready. A first death
                      is not blamed on the photo: the kernel may have killed the child to free
                      memory for others.
        """
        return self._decoded(data, view_side, False, partial(photo_from, self.limits))

    def decode_frames(self, data: bytes, view_side: int | None = None) -> Animation:
        """Decode every frame of a moving picture. Raises DecodeError as `decode`, and one more.

        too_many_frames: it has more frames, or more pixels in all frames, than the limits allow.
        """
        return self._decoded(data, view_side, True, partial(animation_from, self.limits))

    def _decoded(
        self, data: bytes, view_side: int | None, every_frame: bool, read: ReadAnswer[T]
    ) -> T:
        check_bytes(data, self.limits)
        asked = (data, view_side or self.view_side, every_frame)
        with self._lock:
            try:
                return read(*self._answer(*asked))
            except DiedError:
                self._stop()
            try:
                return read(*self._answer(*asked))
            except DiedError as error:
                self._stop()
                message = str(error) or "the decoder ended on this picture"
                raise DecodeError("decoder_died", message) from error

    def start(self) -> None:
        """Start the child if there is none, so that the first photo does not wait for it."""
        with self._lock, suppress(DiedError):  # `decode` tries again, and reports
            self._running()

    def cpu_s(self) -> float:
        """Return the child's CPU seconds so far; 0 if there is no child, or no way to ask.

        A child that has ended counts among the children of `resource.getrusage` instead.
        """
        child = self._child
        if child is None or child.returncode is not None:
            return 0.0
        try:
            # The clock id of another process, as clock_getcpuclockid(3) computes it on Linux.
            return time.clock_gettime(~child.pid << 3 | 2) if sys.platform == "linux" else 0.0
        except OSError:  # the child has just ended
            return 0.0

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, data: bytes, view_side: int, every_frame: bool) -> Answer:
        child, deadline = self._running(), time.monotonic() + self.limits.timeout_s
        self._asked += 1
        request = DecodeRequest(self._asked, data, view_side, every_frame)
        try:
            return exchange(child, request, deadline)
        except LateError as error:
            self._stop()
            message = f"not decoded within {self.limits.timeout_s:g} s"
            raise DecodeError("timeout", message) from error
        except BaseException:  # process boundary: the next photo would read the rest of this answer
            self._stop()
            raise

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._stop()
            argument = child_argument(self.limits, self.colour)
            self._child, self.missing_protections = _start(argument)
            if FILTER in self.missing_protections and os.geteuid() != 0:
                # Without the filter a child of the same user could read this process's memory
                # through /proc. Only done here: Ray's memory monitor and profilers use /proc too.
                make_undumpable()
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            _end(child)


def _start(argument: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a child and wait until it is ready; return it and the protections that it lacks.

    Raises DiedError if it does not become ready.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline.photo.sandbox.child", argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=_environment(),
        start_new_session=True,
    )
    try:  # at once: an interrupt may come after any call
        assert child.stdin is not None
        assert child.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        for pipe in (child.stdin, child.stdout):
            os.set_blocking(pipe.fileno(), False)
            widen(pipe)
        mark, size = READY.unpack(receive(child, READY.size, deadline))
        if mark != b"r":
            raise DiedError
        return child, receive(child, size, deadline).decode(errors="replace")
    except (DiedError, LateError) as error:
        _end(child)
        raise DiedError("the decoder process does not start") from error
    except BaseException:  # process boundary: nothing else has a reference to the child yet
        _end(child)
        raise


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {
        "PYTHONPATH": os.pathsep.join([_HOME, *filter(None, sys.path)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # each thread's buffers would count against memory_bytes
        "OMP_NUM_THREADS": "1",
    }
