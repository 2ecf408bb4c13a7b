"""Write files so that a process that is killed leaves the old one or the new one, never half.

Where a command is to write is checked before its work, which would else be lost.
"""

import os
from pathlib import Path

from pipeline.errors import SettingError


def write_whole(path: Path, data: bytes) -> None:
    """Write or replace a file. Until it is whole, its content is in `<name>.part` beside it."""
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # the content is on disk before the name is
    unfinished.replace(path)


def make_folder(folder: Path, option: str) -> None:
    """Make the folder that an option names, and those above it.

    Raises SettingError where it cannot be made or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a file is there, or the right is not
        raise SettingError(option, f"{folder} is no folder to write to: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingError(option, f"{folder} is no folder to write to: Permission denied")


def make_folder_of(path: Path, option: str) -> None:
    """Make the folder of the file that an option names.

    Raises SettingError where it cannot be made, or the file is a folder or cannot be written.
    """
    if path.is_dir():
        raise SettingError(option, f"{path} is a folder: give the path of a file")
    make_folder(path.parent, option)
    if path.exists() and not os.access(path, os.W_OK):
        raise SettingError(option, f"{path} cannot be written: Permission denied")
