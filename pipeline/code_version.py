"""Which code made a run: the release and a hash of the sources that decide what comes out."""

import hashlib
from functools import cache
from pathlib import Path

RELEASE = "0.1.0"
_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("cuda_ops", "pipeline", "s2cnet")
_SUFFIXES = {".py", ".cpp", ".cu", ".h", ".cuh"}


@cache
def code_version() -> str:
    """For instance `0.1.0+3f9a0c52d1be`; other for any change of a source file."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*")):
            if path.suffix in _SUFFIXES:
                digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return f"{RELEASE}+{digest.hexdigest()[:12]}"
