"""Have the C library keep what is freed for the next large buffer, where it is glibc.

Fresh memory is cleared by the system page by page, at a gigabyte a second, and a decoded view takes
ten megabytes of it for a moment. glibc would find bounds by itself, but so low that a process gives
its buffers back after each photo.
"""

import ctypes
import sys
from functools import cache
from typing import Any

# Of mallopt(3): buffers below the first, the largest that it takes, come from what was freed; the
# free end of the heap is kept up to the second.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BUFFER = 32 << 20


@cache
def glibc() -> Any | None:
    """The C library of this process, where it is glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


def keep_freed(most_bytes: int) -> None:
    """Have this process take large buffers from what it has freed.

    most_bytes: of free memory that it keeps at the end of its heap, and gives back beyond.
    """
    if (library := glibc()) is not None:
        library.mallopt(_MMAP_THRESHOLD, _KEPT_BUFFER)
        library.mallopt(_TRIM_THRESHOLD, most_bytes)
