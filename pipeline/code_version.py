"""Which code made a run: the release and a hash of the files that decide what comes out."""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

RELEASE = "0.1.0"
_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("cuda_ops", "pipeline", "s2cnet")
_SUFFIXES = {".py", ".cpp", ".cu", ".h", ".cuh", ".json"}  # .json: what the rule was fitted to
# They make no crops: the laboratory, the commands, what a run tells, names for importers.
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
    """For instance `0.1.0+3f9a0c52d1be`; another one for any change of one of `sources`."""
    digest = hashlib.sha256()
    for path in sources(_ROOT):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return f"{RELEASE}+{digest.hexdigest()[:12]}"


def sources(root: Path) -> Iterator[Path]:
    """The sources and constants below `root` that decide what a run writes, in a fixed order."""
    left_out = [root / name for name in _LEFT_OUT]
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in _SUFFIXES and not any(path.is_relative_to(one) for one in left_out):
                yield path
