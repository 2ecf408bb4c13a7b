"""Identify the code of a run: the release and a hash of the files that determine its results."""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

RELEASE = "0.1.0"
_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("cuda_ops", "pipeline", "s2cnet")
_SUFFIXES = {".py", ".cpp", ".cu", ".h", ".cuh", ".json"}  # .json: fitted constants
# These make no crops: the laboratory, the commands, reports and exports, public import paths.
_LEFT_OUT = (
    "pipeline/lab",
    "pipeline/cli",
    "pipeline/command_line.py",
    "pipeline/shown_options.py",
    "pipeline/report",
    "pipeline/export",
    "pipeline/candidates.py",
    "pipeline/metrics.py",
    "s2cnet/weights",  # pinned by their own hash
)


@cache
def code_version() -> str:
    """Return, for instance, `0.1.0+3f9a0c52d1be`, which changes with any file of `sources`."""
    digest = hashlib.sha256()
    for path in sources(_ROOT):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return f"{RELEASE}+{digest.hexdigest()[:12]}"


def sources(root: Path) -> Iterator[Path]:
    """Yield the sources and constants below `root` that affect a run's output, in a fixed order."""
    left_out = [root / name for name in _LEFT_OUT]
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in _SUFFIXES and not any(path.is_relative_to(one) for one in left_out):
                yield path
