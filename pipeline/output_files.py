"""Write files atomically: a process that is killed leaves the old file or the new one.

A command checks its output path before it starts, because its work would otherwise be lost.
"""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import SettingError

STALE_S = 24 * 3600  # since the last byte: a process that is alive writes more often
NAME_BYTES = 255  # the longest name of a file on nearly all file systems


def write_atomic(path: Path, data: bytes) -> None:
    """Write or replace a file, see `replacing`."""
    with replacing(path) as draft:
        draft.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft; it becomes `path` if the block ends without an error.

    The draft is `<name>.<8 hex digits>.part` in the same folder, another one in each call; a long
    name is cut there. So several processes may write one path at once: the last one to end replaces
    the others' file. Drafts of this path that killed processes left more than STALE_S seconds ago
    are removed.

    A device or a pipe, such as /dev/stdout, is yielded itself.
    """
    if is_stream(path):
        yield path
        return
    _remove_stale_drafts(path)
    draft = path.with_name(f"{_draft_stem(path)}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())  # the content must be on disk before the name
        draft.replace(path)
    finally:
        with suppress(OSError):  # there is none left, or there never was
            draft.unlink()


def _draft_stem(path: Path) -> str:
    """Return the name of a file, cut to leave room for the rest of its draft's name."""
    return os.fsencode(path.name)[: NAME_BYTES - len(".01234567.part")].decode(errors="ignore")


def _remove_stale_drafts(path: Path) -> None:
    names = re.compile(re.escape(_draft_stem(path)) + r"\.[0-9a-f]{8}\.part")
    with suppress(OSError):  # of a folder that cannot be listed, writing the draft reports more
        for draft in [one for one in path.parent.iterdir() if names.fullmatch(one.name)]:
            with suppress(FileNotFoundError):  # another process has just removed or completed it
                if time.time() - draft.stat().st_mtime > STALE_S:
                    draft.unlink()


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
