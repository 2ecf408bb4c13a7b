"""List the files of a local folder or glob, with addresses for any file name, and read them.

A list, or a link in the folder, may be untrusted. Neither makes the job read a file outside of the
folder that the input does not name, nor the system's own files.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from pipeline.errors import LedgerError, UsageError
from pipeline.inputs.deadline import call_with_timeout
from pipeline.inputs.globs import folder_regex_of, literal_prefix, regex_of
from pipeline.inputs.left_out import LeftOut
from pipeline.inputs.read_errors import read_error
from pipeline.inputs.selection import EXCLUDED, Selection
from pipeline.storage.addresses import absolute_path
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.local import file_etag, file_status, read_file, walk_folders

READ_S = 60.0  # for one file; a file system that has gone away never answers
SYSTEM = ("/proc", "/sys")  # their contents look like files, but describe processes and the machine


def walk(
    path: str,
    left_out: LeftOut,
    as_glob: bool = False,
    selection: Selection = Selection(),  # noqa: B008  it is frozen
) -> Iterator[tuple[str, ObjectInfo]]:
    """Yield (address, info) of the regular files below a folder or, `as_glob`, matching a glob.

    Links to folders are not followed, and links to files outside of the folder are left out; both
    are noted. A folder that `selection` excludes entirely is noted and not entered. One below which
    the glob can't match is not entered either. Files of other folders are not selected here.
    Raises UsageError where there is no such folder, or one that is entered may not be listed,
    LedgerError where its file system does not answer.
    """
    try:
        yield from _files(path, left_out, as_glob, selection)
    except OSError as error:
        problem = (
            f"the input has {error.filename or path!r}, which cannot be listed: {error.strerror}"
        )
        if read_error(error).kind == "transient":
            raise LedgerError(f"{problem}; start the same command again") from error
        advice = (
            "let the job read it, name an input without it, or leave out a folder below the input, "
            'with all that it holds, by --exclude "NAME/**"'
        )
        raise UsageError(f"{problem}; {advice}") from error


def _files(
    path: str, left_out: LeftOut, as_glob: bool, selection: Selection
) -> Iterator[tuple[str, ObjectInfo]]:
    """Yield what `walk` yields; raises OSError for a folder that cannot be listed."""
    keep, leads, root = None, None, absolute_path(path)
    if as_glob:
        keep, leads = regex_of(str(root)), folder_regex_of(str(root))
        root = Path(literal_prefix(str(root)).rpartition("/")[0] + "/")
    elif (info := file_info(root)) is not None:
        yield local_uri(root), info
    if not root.exists():
        raise UsageError(f"nothing found in {path!r}: there is no such folder; check the address")
    inside = Path(os.path.realpath(root))
    for folder, subfolders, names in walk_folders(root):
        subfolders[:] = _entered(folder, subfolders, leads, left_out, selection)
        for name in names:
            file = Path(folder, name)
            if name.startswith(".") or (keep is not None and not keep.fullmatch(str(file))):
                continue
            if file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(inside):
                left_out.row("are links that lead out of the folder", local_uri(file))
            elif (info := file_info(file)) is not None:
                yield local_uri(file), info
            else:
                left_out.row("are links to nothing, or no regular files", local_uri(file))


def _entered(
    folder: str,
    names: list[str],
    leads: re.Pattern[str] | None,
    left_out: LeftOut,
    selection: Selection,
) -> Iterator[str]:
    """Yield the names of the subfolders that are entered. leads: None for every one."""
    for name in sorted(names):
        path = Path(folder, name)
        if name.startswith(".") or (leads is not None and not leads.fullmatch(f"{path}/")):
            continue
        if selection.excludes_all_of(address := f"{local_uri(path)}/"):
            left_out.row(EXCLUDED, address)
        elif path.is_symlink():
            left_out.row("are links to folders, which are not followed", address)
        else:
            yield name


def read_local(
    uri: str, etag: str | None, max_bytes: int | None, deadline_s: float = READ_S
) -> bytes:
    """Read a file by its address. Raises PermissionError, ReadError and what `read_file` raises.

    A read that the file system does not answer can't be interrupted: after `deadline_s` it is left
    to its own thread, and the photo fails with `timeout`.
    """

    def read() -> bytes:
        path = Path(os.fsdecode(local_bytes(uri)))
        if file_info(path) is None:
            raise FileNotFoundError(uri)
        if any(path.resolve().is_relative_to(folder) for folder in SYSTEM):
            raise PermissionError(f"{uri} is the system's own: no photos are read from there")
        return read_file(path, etag, max_bytes)

    late = f"the file system did not answer within {deadline_s:g} s"
    return call_with_timeout(read, deadline_s, late)


def file_info(path: Path) -> ObjectInfo | None:
    """Return size, time and an ETag made of both of a regular file; None where there is none.

    Raises OSError where that is not known.
    """
    try:
        status = file_status(path)
    except FileNotFoundError:
        return None
    return ObjectInfo(str(path), status.st_size, file_etag(status), status.st_mtime)


def local_uri(path: Path) -> str:
    """Return the path itself, or a file:// address where its name is not valid UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(path))
    return str(path)


def local_bytes(uri: str) -> bytes:
    """Return the path of a plain or a file:// address, as the operating system takes it."""
    if uri.lower().startswith("file://"):
        return unquote_to_bytes(uri[len("file://") :])
    return os.fsencode(uri)
