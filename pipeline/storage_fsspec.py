"""Any other fsspec store, as long as it can create an object only if it is absent.

fsspec's own default for `mode="create"` is "exists? then write", which two jobs can pass at once.
A store is accepted only if its class brings a creation of its own (gcsfs: if-generation-match,
adlfs: overwrite=False). The memory store is for tests and small trials in one process.
"""

import inspect
import posixpath
import threading
from typing import Any

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

from pipeline.backoff import RetryableError
from pipeline.errors import UsageError
from pipeline.storage import ObjectChangedError, ObjectInfo, ObjectTooLargeError

_MEMORY = threading.Lock()  # the memory store looks and then writes; one process, so a lock will do


class FsspecBackend:
    """Objects under the address `uri`."""

    def __init__(self, uri: str) -> None:
        try:
            self._fs, self._root = fsspec.url_to_fs(uri, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise UsageError(f"no store for {uri!r}: {error}") from error
        if not _creates_once(self._fs):
            raise UsageError(
                f"{type(self._fs).__name__} cannot create an object only if it is absent. "
                "Use a local folder, s3://, gs://, abfs:// or memory://."
            )

    def get(self, key: str, etag: str | None, max_bytes: int | None) -> bytes:
        if etag is not None or max_bytes is not None:
            info = self.head(key)
            if etag is not None and info.etag != etag:
                raise ObjectChangedError(f"the object no longer has the ETag {etag}")
            if max_bytes is not None and info.bytes > max_bytes:
                raise ObjectTooLargeError(f"{info.bytes} bytes, at most {max_bytes} are read")
        return bytes(_once(self._fs.cat_file, self._path(key)))

    def put(self, key: str, data: bytes) -> None:
        with _MEMORY:
            _once(self._fs.pipe_file, self._path(key), data)

    def create(self, key: str, data: bytes) -> None:
        with _MEMORY:
            _once(self._fs.pipe_file, self._path(key), data, mode="create")

    def head(self, key: str) -> ObjectInfo:
        return self._info(_once(self._fs.info, self._path(key)))

    def list_page(self, prefix: str, token: str | None) -> tuple[list[ObjectInfo], str | None]:
        folder = prefix.rpartition("/")[0]
        found = _once(self._fs.find, self._path(folder) if folder else self._root, detail=True)
        infos = (self._info(entry) for entry in found.values())
        return sorted((i for i in infos if i.key.startswith(prefix)), key=lambda i: i.key), None

    def folders(self, prefix: str) -> list[str]:
        try:
            found = _once(self._fs.ls, self._path(prefix), detail=True)
        except FileNotFoundError:
            return []
        return [e["name"].rstrip("/").rpartition("/")[2] for e in found if e["type"] == "directory"]

    def delete(self, key: str) -> None:
        try:
            _once(self._fs.rm_file, self._path(key))
        except FileNotFoundError:
            return

    def _path(self, key: str) -> str:
        return posixpath.join(self._root, key)

    def _info(self, entry: dict[str, Any]) -> ObjectInfo:
        modified: Any = entry.get("created") or entry.get("mtime") or entry.get("last_modified")
        seconds = modified.timestamp() if hasattr(modified, "timestamp") else float(modified or 0)
        etag = str(entry.get("etag") or entry.get("ETag") or f"{seconds:.6f}-{entry['size']}")
        key = entry["name"].removeprefix(self._root).lstrip("/")
        return ObjectInfo(key, int(entry["size"]), etag.strip('"'), seconds)


def _creates_once(filesystem: AbstractFileSystem) -> bool:
    if isinstance(filesystem, MemoryFileSystem):
        return True
    if isinstance(filesystem, AsyncFileSystem):
        return "mode" in inspect.signature(type(filesystem)._pipe_file).parameters and (
            type(filesystem)._pipe_file is not AsyncFileSystem._pipe_file
        )
    return False  # the synchronous default is two steps, and no class overrides it atomically


def _once(function: Any, *arguments: Any, **options: Any) -> Any:
    """One call. What is neither absent, present nor forbidden is worth another try."""
    try:
        return function(*arguments, **options)
    except (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError):
        raise
    except (OSError, TimeoutError) as error:
        raise RetryableError("network", f"{type(error).__name__}: {error}") from error
