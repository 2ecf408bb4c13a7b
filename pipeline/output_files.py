"""Write files atomically: a process that is killed leaves the old file or the new one.

A command checks its output path before it starts, because its work would otherwise be lost.
"""

import os
from pathlib import Path

from pipeline.errors import SettingError


def write_atomic(path: Path, data: bytes) -> None:
    """Write or replace a file. Until it is complete, its content is in `<name>.part` next to it.

    A device or a pipe, such as /dev/stdout, is written to directly.
    """
    if is_stream(path):
        path.write_bytes(data)
        return
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # the content must be on disk before the name
    unfinished.replace(path)


def is_stream(path: Path) -> bool:
    """Return whether a path is a device or a pipe: it is written to, never replaced by a file."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_text_atomic(path: Path, text: str) -> None:
    """Write or replace a text file, UTF-8, as `write_atomic` does."""
    write_atomic(path, text.encode())


def make_folder(folder: Path, option: str) -> None:
    """Create the folder that an option names, and its parents.

    Raises SettingError where it cannot be created or is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a file has that name, or permission is missing
        raise SettingError(option, f"{folder} is no folder to write to: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingError(option, f"{folder} is no folder to write to: Permission denied")


def make_parent_folder(path: Path, option: str) -> None:
    """Create the folder of the file that an option names.

    Raises SettingError where it cannot be created, or the file is a folder or cannot be written.
    """
    if path.is_dir():
        raise SettingError(option, f"{path} is a folder: give the path of a file")
    make_folder(path.parent, option)
    if path.exists() and not os.access(path, os.W_OK):
        raise SettingError(option, f"{path} cannot be written: Permission denied")
