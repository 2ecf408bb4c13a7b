"""Report whether this machine or container is short of memory, and count the kernel's kills.

Linux reports this in files. On other systems it is unknown, and every death counts as the photo's.
"""

from pathlib import Path

SHORT = 0.9  # share in use; Ray's memory monitor kills workers at .95
_GROUP = Path("/sys/fs/cgroup")
_MACHINE = Path("/proc")


def is_short(group: Path = _GROUP, machine: Path = _MACHINE) -> bool:
    """Return whether at least SHORT of the container's memory, or of the machine's, is in use.

    group: a folder of Linux's control groups, version 2; machine: a folder like /proc.
    """
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit and used is not None:
        files = _lines(group / "memory.stat").get("inactive_file", 0)  # given back when needed
        if used - files >= SHORT * limit:
            return True
    info = _lines(machine / "meminfo")
    whole, free = info.get("MemTotal:"), info.get("MemAvailable:")
    return whole is not None and free is not None and whole - free >= SHORT * whole


def kernel_kills(group: Path = _GROUP, machine: Path = _MACHINE) -> int:
    """Return how many processes the kernel has killed here for lack of memory since it started."""
    ours = _lines(group / "memory.events").get("oom_kill", 0)
    return max(ours, _lines(machine / "vmstat").get("oom_kill", 0))


def _number(path: Path) -> int | None:
    """Return the number in a file; None if there is no such file, or it contains a word (`max`)."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _lines(path: Path) -> dict[str, int]:
    """Return the numbers in a file of names and numbers, by name; empty without the file."""
    try:
        parts = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {part[0]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdigit()}
