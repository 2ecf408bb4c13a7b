"""Give freed memory back to the system while a worker waits for its next task.

glibc keeps what is freed for the next buffer, and below a small one that is still in use it keeps
all. While a task is at work that saves time: to give back after each costs a reader a tenth of its
own. A worker that waits would hold the size of its largest task from the machine's other processes.
One that scores gives back at once what a task of large or long photos has left, which the next task
would seldom need.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Timer

from pipeline.photo.freed import glibc, keep_freed

IDLE_S = 2.0  # without a task, before memory is given back
READER_BYTES = 512 << 20  # of free memory that a reader keeps: a task's photos and files
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
def keep_freed_memory() -> None:
    """Have this process, which reads and decodes, take large buffers from what it has freed.

    A worker that scores gains nothing: reading weights has raised glibc's own bounds.
    """
    keep_freed(READER_BYTES)


def give_back_freed_memory() -> None:
    """Give all that is free back to the system; nothing where the C library is not glibc."""
    if (library := glibc()) is not None:
        library.malloc_trim(0)


def give_back_growth() -> None:
    """Give free memory back where this process has grown by more than GROWN since it last did."""
    if glibc() is None:
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
