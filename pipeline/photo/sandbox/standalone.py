"""Decode untrusted photos outside a job, with one decoding child, kept until exit.

It is for programs that crop a few photos, evaluation and pages. A job's workers keep their own
child (`pipeline.stages.worker`), which they replace when the job's limits change.
"""

import atexit
import os
import threading

from pipeline.photo.decoded import Photo
from pipeline.photo.limits import VIEW_SIDE
from pipeline.photo.sandbox.decoder import Decoder

_DECODERS: dict[int, Decoder] = {}  # by process, since a fork shares its parent's pipes
_LOCK = threading.Lock()


def decode_sandboxed(data: bytes, view_side: int = VIEW_SIDE) -> Photo:
    """Decode an untrusted photo in a locked-down child process, under the default limits.

    Takes the same bytes as `decode.decode` and returns the same pixels. The first call in a process
    starts the child, about .3 s. Raises DecodeError as `Decoder.decode` does.
    """
    with _LOCK:
        decoder = _DECODERS.setdefault(os.getpid(), Decoder())
    return decoder.decode(data, view_side)


def _end() -> None:
    for pid, decoder in _DECODERS.items():
        if pid == os.getpid():
            decoder.close()


atexit.register(_end)
