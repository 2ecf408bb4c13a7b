"""Use a folder as a store. Objects appear whole: a hard link or a rename puts them in place."""

import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import LedgerError, UsageError
from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectInfo,
    ObjectPart,
    ObjectTooLargeError,
)

LOST_AND_FOUND = "lost+found"  # at the top of many file systems; root's own, and without data
# Answers of file systems without hard links (link(2)).
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV})
FOLDER_ATTEMPTS = 100  # to create a folder that others remove
_MOVE_IT = "move it elsewhere; the same command then continues"
TEMPORARY = ".tmp-"  # files with this prefix are being written, or were when a process died


class LocalBackend:
    """Keeps objects as files under `root`. A crash leaves temporary files, never half an object."""

    def __init__(self, root: str) -> None:
        """Take the folder. Raises UsageError where it, or a folder above it, is a file."""
        self._root = Path(root).absolute()
        with suppress(OSError):  # if this can't be checked, the first request reports it
            found = next(path for path in (self._root, *self._root.parents) if path.exists())
            if not found.is_dir():
                raise UsageError(f"{found} is a file; {root!r} has to be a folder, or none yet")

    def get(self, key: str, etag: str | None, max_bytes: int | None) -> bytes:
        return read_file(self._root / key, etag, max_bytes)

    def get_part(self, key: str, start: int | None, size: int) -> ObjectPart:
        with _opened_to_read(self._root / key) as file:
            there = os.fstat(file.fileno()).st_size
            file.seek(max(0, there - size) if start is None else start)
            return ObjectPart(file.read(size), there)

    def put(self, key: str, data: bytes) -> str:
        return self._publish(key, data, _replace)

    def create(self, key: str, data: bytes) -> None:
        self._publish(key, data, _link)

    def head(self, key: str) -> ObjectInfo:
        return _info(key, file_status(self._root / key))

    def list_page(self, prefix: str, token: str | None) -> tuple[list[ObjectInfo], str | None]:
        return self._walk(prefix), None

    def folders(self, prefix: str) -> list[str]:
        try:
            return [entry.name for entry in (self._root / prefix).iterdir() if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete(self, key: str) -> None:
        path = self._root / key
        with suppress(FileNotFoundError, NotADirectoryError):  # the latter below a file
            path.unlink()
        # Delete emptied folders too: their names may come from a photo. See `_opened_in_folder`.
        for folder in path.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:  # not empty, perhaps because another writer is using it by now
                return

    def temporary_files(self) -> list[ObjectInfo]:
        return [info for info in self._files(self._root) if _is_temporary(info)]

    def _walk(self, prefix: str) -> list[ObjectInfo]:
        found = self._files(self._root / prefix.rpartition("/")[0])
        wanted = (i for i in found if i.key.startswith(prefix) and not _is_temporary(i))
        return sorted(wanted, key=lambda info: info.key)

    def _files(self, start: Path) -> Iterator[ObjectInfo]:
        for folder, _, names in walk_folders(start):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):  # it was removed since the walk began
                    yield _info(path.relative_to(self._root).as_posix(), path.stat())

    def _publish(self, key: str, data: bytes, place: Callable[[Path, Path], None]) -> str:
        """Put a file in place; return its ETag, which stays the same when it gets its name."""
        target = self._root / key
        temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            with _opened_in_folder(temporary) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # the content is on disk before the name is
                etag = file_etag(os.fstat(file.fileno()))
            place(temporary, target)
            with suppress(FileNotFoundError):  # another deleted the object, and so its folder
                _sync_folder(target.parent)
        finally:
            with suppress(FileNotFoundError, NotADirectoryError):
                temporary.unlink()
        return etag


def read_file(path: Path, etag: str | None, max_bytes: int | None) -> bytes:
    """Read a whole regular file. Raises what `Store.read` does; a pipe or device is not found."""
    with _opened_to_read(path) as file:
        there = _status_as_pinned(file, path, etag).st_size
        if max_bytes is not None and there > max_bytes:
            raise ObjectTooLargeError(f"{there} bytes, at most {max_bytes} are read")
        data = file.read()
        _status_as_pinned(file, path, etag)  # it may have been written to in the meantime
        return data


def _status_as_pinned(file: BinaryIO, path: Path, etag: str | None) -> os.stat_result:
    """Return an open file's size and times. Raises ObjectChangedError if they are others."""
    status = os.fstat(file.fileno())
    if etag is not None and file_etag(status) != etag:
        raise ObjectChangedError(f"{path} was changed after the run was planned")
    return status


@contextmanager
def _opened_to_read(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file. Raises FileNotFoundError where there is none."""
    file_status(path)
    # Non-blocking, since another process may put a pipe in the file's place in between.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileNotFoundError(str(path))
        yield file


def walk_folders(start: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk folders as `os.walk` does, but raise OSError for a folder that cannot be listed.

    `os.walk` itself skips it, so that its contents would seem to be deleted. A folder that does not
    exist, or no longer does, is empty.
    """

    def refuse(error: OSError) -> None:
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        if not gone and os.path.basename(error.filename or "") != LOST_AND_FOUND:
            raise error

    return os.walk(start, onerror=refuse)


def file_status(path: Path) -> os.stat_result:
    """Return size and times of a regular file, or of the file that a link leads to.

    Raises FileNotFoundError where there is none, another OSError where that is not known.
    """
    try:
        status = path.stat()
    except (NotADirectoryError, ValueError) as error:  # ValueError: no file has such a name
        raise FileNotFoundError(str(path)) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(str(path)) from error
        raise
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(str(path))
    return status


def file_etag(status: os.stat_result) -> str:
    """Return a local substitute for an ETag: modification time in ns and size, in hex."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _is_temporary(info: ObjectInfo) -> bool:
    return info.key.rpartition("/")[2].startswith(TEMPORARY)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, file_etag(status), status.st_mtime)


def _opened_in_folder(path: Path) -> BinaryIO:
    """Create a file and open it for writing; create its folder where there is none.

    A process that deletes the last object of a folder removes the folder, perhaps between the two
    steps here. Once the new file exists, the folder stays. Raises NotADirectoryError where a file
    is in a folder's place.
    """
    for _ in range(FOLDER_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
        except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
            problem = error
    if isinstance(problem, FileNotFoundError):  # in /proc, or where a disk is gone
        # Not a FileNotFoundError, which would say that an object is missing.
        message = f"no folder can be made there ({problem.strerror}); choose another place"
        raise OSError(message) from problem
    message = f"a file is where a folder should be: {problem.filename}; {_MOVE_IT}"
    raise NotADirectoryError(message) from problem


def _replace(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except IsADirectoryError as error:
        raise _folder_there(target) from error


def _folder_there(target: Path) -> IsADirectoryError:
    return IsADirectoryError(f"a folder is where a file should be: {target}; {_MOVE_IT}")


def _link(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError as error:
        if target.is_dir():
            raise _folder_there(target) from error
        raise
    except FileNotFoundError as error:  # as such it would say that an object is missing
        raise OSError(f"{temporary} was removed before it got its name; start again") from error
    except OSError as error:
        if error.errno not in _NO_LINKS:  # a full disk, for instance
            raise
        raise LedgerError(
            f"the file system of {target.parent} has no hard links ({error.strerror}), so an "
            "object cannot be created once there. Use another folder or an object store."
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
