"""Have the C library keep freed memory for the next large buffer, if it is glibc.

The system clears fresh memory page by page, at a gigabyte per second, and a decoded view briefly
takes ten megabytes of it. glibc adapts its thresholds by itself, but they are so low that a process
gives its buffers back after each photo.
"""

import ctypes
import sys
from functools import cache
from typing import Any

# Parameters of mallopt(3). Buffers up to _KEPT_BUFFER, the largest threshold that it accepts, come
# from freed memory (_MMAP_THRESHOLD); the heap keeps a free end up to _TRIM_THRESHOLD.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BUFFER = 32 << 20


@cache
def glibc() -> Any | None:
    """Return this process's C library if it is glibc, else None."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


def keep_freed(most_bytes: int) -> None:
    """Have this process take large buffers from memory that it has freed.

    most_bytes: how much free memory it keeps at the end of its heap; it gives back what exceeds it.
    """
    if (library := glibc()) is not None:
        library.mallopt(_MMAP_THRESHOLD, _KEPT_BUFFER)
        library.mallopt(_TRIM_THRESHOLD, most_bytes)
