"""Give freed memory back to the system while a worker waits for its next task.

glibc keeps freed memory for the next buffer, and all of the memory below a small buffer that is
still in use. While a task runs, this saves time: giving memory back after each task costs a reader
a tenth of its time. But a waiting worker would withhold the size of its largest task from the
machine's other processes. A worker that scores gives memory back immediately after a task of large
or long photos, since the next task would seldom need it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Timer

from pipeline.photo.allocator import glibc, keep_freed

IDLE_S = 2.0  # without a task, before memory is given back
READER_BYTES = 512 << 20  # of free memory that a reader keeps: the photos and files of a task
GROWN = 48 << 20  # bytes; tasks of ordinary photos leave some 30 MiB

_waiting: list[Timer] = []  # at most one, of this process
_kept: list[int] = []  # this process's own bytes when memory was last given back; at most one


@contextmanager
def give_back_when_idle() -> Iterator[None]:
    """Keep freed memory inside the block; give it back if no other block follows within IDLE_S."""
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
def keep_freed_memory() -> None:
    """Have this process, which reads and decodes, take large buffers from freed memory.

    A worker that scores gains nothing from this: reading weights has raised glibc's own thresholds.
    """
    keep_freed(READER_BYTES)


def give_back_freed_memory() -> None:
    """Give all free memory back to the system; do nothing if the C library is not glibc."""
    if (library := glibc()) is not None:
        library.malloc_trim(0)


def give_back_growth() -> None:
    """Give free memory back if this process has grown by more than GROWN since it last did so."""
    if glibc() is None:
        return
    if not _kept or _own_bytes() > _kept[0] + GROWN:
        give_back_freed_memory()
        _kept[:] = [_own_bytes()]


def _own_bytes() -> int:
    """Return resident memory not shared with files or processes; 0 if Linux does not report it."""
    try:
        pages = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
