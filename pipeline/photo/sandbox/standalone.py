"""Decode untrusted photos outside a job, with one decoding child per view size, kept until exit.

It is for programs that crop a few photos, evaluation and pages. A job's workers keep their own
child (`pipeline.stages.worker`), which they replace when the job's limits change.
"""

import atexit
import os
import threading

from pipeline.photo.decoded import Photo
from pipeline.photo.limits import VIEW_SIDE
from pipeline.photo.sandbox.decoder import Decoder

_DECODERS: dict[tuple[int, int], Decoder] = {}  # by process, since a fork shares its parent's pipes
_LOCK = threading.Lock()


def decode_sandboxed(data: bytes, view_side: int = VIEW_SIDE) -> Photo:
    """Decode an untrusted photo in a locked-down child process, under the default limits.

    Takes the same bytes as `decode.decode` and returns the same pixels. The first call in a process
    starts the child, about .3 s. Raises DecodeError as `Decoder.decode` does.
    """
    key = (os.getpid(), view_side)
    with _LOCK:
        if key not in _DECODERS:
            _DECODERS[key] = Decoder(view_side=view_side)
        decoder = _DECODERS[key]
    return decoder.decode(data)


def _end() -> None:
    for (pid, _), decoder in _DECODERS.items():
        if pid == os.getpid():
            decoder.close()


atexit.register(_end)
