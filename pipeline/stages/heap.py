"""Give freed memory back to the system while a worker waits for its next task.

glibc keeps what is freed for the next buffer, and below a small one that is still in use it keeps
all. While a task is at work that saves time: to give back after each costs a reader a tenth of its
own. A worker that waits would hold the size of its largest task from the machine's other processes.
One that scores gives back at once what a task of large or long photos has left, which the next task
would seldom need.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any

IDLE_S = 2.0  # without a task, before memory is given back
# Of mallopt(3): buffers below the first, the largest that it takes, come from what was freed; the
# free end of the heap is kept up to the second. glibc would find such bounds by itself, but lower.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BUFFER, _KEPT_END = 32 << 20, 512 << 20

GROWN = 48 << 20  # bytes; the tasks of ordinary photos leave some 30 MiB

_waiting: list[Timer] = []  # at most one, of this process
_kept: list[int] = []  # what was this process's own when memory was last given back; at most one


@contextmanager
def at_work() -> Iterator[None]:
    """Keep freed memory inside the block, and give it back where none follows for IDLE_S."""
    _stop_waiting()
    try:
        yield
    finally:
        timer = Timer(IDLE_S, give_back_freed_memory)
        timer.daemon = True
        _waiting.append(timer)
        timer.start()


def _stop_waiting() -> None:
    while _waiting:
        _waiting.pop().cancel()


@cache
def _glibc() -> Any | None:
    """The C library of this process, where it is glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


@cache
def keep_freed_memory() -> None:
    """Have this process, which reads and decodes, take large buffers from what it has freed.

    Fresh memory is cleared by the system page by page, at a gigabyte a second. A worker that scores
    makes few large buffers and gains nothing.
    """
    if (library := _glibc()) is not None:
        library.mallopt(_MMAP_THRESHOLD, _KEPT_BUFFER)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_END)


def give_back_freed_memory() -> None:
    """Give all that is free back to the system; nothing where the C library is not glibc."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def give_back_growth() -> None:
    """Give free memory back where this process has grown by more than GROWN since it last did."""
    if _glibc() is None:
        return
    if not _kept or _own_bytes() > _kept[0] + GROWN:
        give_back_freed_memory()
        _kept[:] = [_own_bytes()]


def _own_bytes() -> int:
    """Resident memory that is no file's and no other process's; 0 where Linux does not tell it."""
    try:
        pages = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
