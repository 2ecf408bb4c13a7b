"""Give freed memory back to the system once a task is done.

glibc keeps what is freed for the next buffer, and below a small one that is still in use it keeps
all. While a task is at work that saves time; a worker that waits for the next one would hold the
size of its largest task from the machine's other processes.
"""

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def _glibc() -> Any | None:
    """The C library of this process, where it is glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


def give_back_freed_memory() -> None:
    """Give all that is free back to the system; nothing where the C library is not glibc."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)
