"""Folders that cannot be listed, for tests that may run as root, whom no right stops."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def close(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int = errno.EACCES) -> None:
    """Have the listing of one folder fail with an error of the system."""
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
