"""The limits that the decoding child asks the kernel for, also where it has lower ones or none."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox import kernel_limits


def test_time_is_bounded_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second more than the parent gives, and of CPU two more than were used before."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(signal, "setitimer", lambda *words: calls.append(words))
    monkeypatch.setattr(resource, "setrlimit", lambda *words: calls.append(words))
    monkeypatch.setattr(os, "times", lambda: (3.0, 1.5, 40.0, 50.0, 60.0))
    kernel_limits.bound_time(10.25)
    assert calls == [
        (signal.ITIMER_REAL, 11.25),
        (resource.RLIMIT_CPU, (14 + 2, resource.RLIM_INFINITY)),
    ]


def test_a_system_without_a_limit_on_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which answers "invalid argument"."""
    known: dict[int, tuple[int, int]] = {}

    def refuse(what: int, both: tuple[int, int]) -> None:
        if what == resource.RLIMIT_AS:
            raise ValueError("current limit exceeds maximum limit")
        known[what] = both

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert kernel_limits.confine(DecodeLimits()) == ["a limit on memory"]
    assert known[resource.RLIMIT_FSIZE] == known[resource.RLIMIT_CORE] == (0, 0)
    assert known[resource.RLIMIT_NOFILE] == (kernel_limits.MAX_OPEN_FILES,) * 2


def test_lower_limits_of_the_process_are_kept() -> None:
    """Nobody but root may raise them; a refused call would have ended the child."""
    program = """
import os, resource
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox.kernel_limits import bound_time, confine
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
resource.setrlimit(resource.RLIMIT_CPU, (900, 900))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
print(confine(DecodeLimits(memory_bytes=1 << 33)))
bound_time(5000)
print(resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    lowest = 1 << 31
    assert done.stdout.splitlines() == ["[]", f"{(lowest, lowest)} {(900, 900)}"], done.stderr
