"""Limit what the kernel lets this process use; it holds even if a crafted photo runs code in it."""

import os
import resource
import signal

from pipeline.photo.limits import DecodeLimits

# The standard streams, and some more for libraries that open files of their own.
MAX_OPEN_FILES = 32


def confine(limits: DecodeLimits) -> list[str]:
    """Set limits on memory, file sizes, core dumps and open files; return those that are missing.

    A limit that the process has already is kept if it is lower.
    """
    missing = []
    for name, what, most in (
        ("memory", resource.RLIMIT_AS, limits.memory_bytes),
        ("file sizes", resource.RLIMIT_FSIZE, 0),
        ("core dumps", resource.RLIMIT_CORE, 0),
        ("open files", resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
    ):
        lowest = _within_hard_limit(what, most)
        try:
            resource.setrlimit(what, (lowest, lowest))
        except (OSError, ValueError):  # macOS accepts none of memory
            missing.append(f"a limit on {name}")
    return missing


def _within_hard_limit(what: int, most: int) -> int:
    """Return `most`, or this process's hard limit of a resource if that is lower."""
    hard = resource.getrlimit(what)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def bound_time(timeout_s: float) -> None:
    """Have the kernel kill this process if one photo takes longer than timeout_s.

    The parent stops a late child itself; this is for a child whose parent has died.
    """
    signal.setitimer(signal.ITIMER_REAL, timeout_s + 1)
    allowed = _within_hard_limit(resource.RLIMIT_CPU, int(sum(os.times()[:2]) + timeout_s) + 2)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.getrlimit(resource.RLIMIT_CPU)[1]))
