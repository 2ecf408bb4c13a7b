"""Folders that cannot be listed, also for tests that run as root, which permissions do not stop."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def close(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int = errno.EACCES) -> None:
    """Make listing one folder fail with a system error."""
    scandir, listdir = os.scandir, os.listdir

    def checked(path: Any) -> None:
        if Path(path) == folder:
            raise OSError(number, os.strerror(number), str(path))

    def scan(path: Any = ".") -> Any:
        checked(path)
        return scandir(path)

    def names(path: Any = ".") -> Any:
        checked(path)
        return listdir(path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "listdir", names)
