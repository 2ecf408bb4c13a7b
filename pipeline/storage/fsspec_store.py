"""Use any other fsspec store that can create an object only if it is absent, atomically.

fsspec's default for `mode="create"` checks whether the object exists and then writes it. Two jobs
can both pass the check, and a probe cannot detect that. So the stores whose creation is atomic are
listed here by name, each with the reason.
"""

import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import fsspec

from pipeline.errors import UsageError
from pipeline.storage.addresses import scheme_of
from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectInfo,
    ObjectPart,
    ObjectTooLargeError,
    WithheldError,
    bare_etag,
    error_for,
)
from pipeline.storage.backoff import RetryableError
from pipeline.storage.codes import reason_of

CREATES_ONCE = {
    "memory": "a lock; for tests and small trials in one process",
    "gs": "gcsfs sends ifGenerationMatch=0",
    "gcs": "as gs",
    "az": "adlfs sends If-None-Match: *",
    "abfs": "as az",
    "abfss": "as az",
}

FOREIGN_ERRORS = (
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("aiohttp", "ClientError"),
)

# The memory store checks and then writes. It exists in one process, so a lock makes that atomic.
# Other stores are written without the lock, or a process would upload one object at a time.
_MEMORY = threading.Lock()


class FsspecBackend:
    """Objects under the address `uri`."""

    def __init__(self, uri: str) -> None:
        if scheme_of(uri) not in CREATES_ONCE:
            raise UsageError(
                f"{scheme_of(uri)}:// is not supported: a store there is not known to create an "
                f"object only if it is absent. Use a folder, s3:// or one of "
                f"{', '.join(CREATES_ONCE)}."
            )
        try:
            self._fs, self._root = fsspec.url_to_fs(uri, use_listings_cache=False)
        except ImportError as error:
            raise UsageError(f"{uri!r} needs a package: {error}") from error
        self._writing: AbstractContextManager[object] = (
            _MEMORY if scheme_of(uri) == "memory" else nullcontext()
        )

    def get(self, key: str, etag: str | None, max_bytes: int | None) -> bytes:
        if etag is not None or max_bytes is not None:
            info = self.head(key)
            if etag is not None and info.etag != etag:
                raise ObjectChangedError(f"the object no longer has the ETag {etag}")
            if max_bytes is not None and info.bytes > max_bytes:
                raise ObjectTooLargeError(f"{info.bytes} bytes, at most {max_bytes} are read")
        return bytes(_once(self._fs.cat_file, self._path(key)))

    def get_part(self, key: str, start: int | None, size: int) -> ObjectPart:
        there = self.head(key).bytes  # not every file system knows how to count from the end
        first = max(0, there - size) if start is None else start
        last = min(first + size, there)
        if first >= last:
            return ObjectPart(b"", there)
        path = self._path(key)
        return ObjectPart(bytes(_once(self._fs.cat_file, path, start=first, end=last)), there)

    def put(self, key: str, data: bytes) -> str:
        with self._writing:
            _once(self._fs.pipe_file, self._path(key), data)
        return ""

    def create(self, key: str, data: bytes) -> None:
        with self._writing:
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
        itself = self._path(prefix).rstrip("/")  # listed too if a key continues with a slash
        names = [e["name"].rstrip("/") for e in found if e["type"] == "directory"]
        return [name.rpartition("/")[2] for name in names if name != itself]

    def delete(self, key: str) -> None:
        try:
            _once(self._fs.rm_file, self._path(key))
        except FileNotFoundError:
            return

    def temporary_files(self) -> list[ObjectInfo]:
        return []  # an upload that was cut off never becomes visible

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"  # not joined: a key may begin with a slash

    def _info(self, entry: dict[str, Any]) -> ObjectInfo:
        modified: Any = entry.get("created") or entry.get("mtime") or entry.get("last_modified")
        seconds = modified.timestamp() if hasattr(modified, "timestamp") else float(modified or 0)
        etag = str(entry.get("etag") or entry.get("ETag") or f"{seconds:.6f}-{entry['size']}")
        key = entry["name"].removeprefix(self._root.rstrip("/")).removeprefix("/")  # see `_path`
        return ObjectInfo(key, int(entry["size"]), bare_etag(etag), seconds)


def _once(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call a function of fsspec once; translate its errors to those that `Backend` raises."""
    try:
        return function(*arguments, **options)
    except (FileNotFoundError, FileExistsError, IsADirectoryError):
        raise
    except _foreign_errors() as error:
        raise _translate(error) from error


def _foreign_errors() -> tuple[type[Exception], ...]:
    """Return OSError, and the errors of imported store packages that are not derived from it."""
    found = ((sys.modules.get(module), name) for module, name in FOREIGN_ERRORS)
    return OSError, *(getattr(module, name) for module, name in found if hasattr(module, name))


def _translate(error: Exception) -> Exception:
    """Return the error that `Backend` raises for one of fsspec or of a store's package.

    It depends on the store's own code or the HTTP status (see `codes`); RetryableError if there is
    neither. gcsfs gives `code` as the HTTP status, and a 403 as an OSError that begins with
    Forbidden; Azure gives `status_code` and `error_code`; aiohttp `status`.
    """
    code = getattr(error, "error_code", None) or getattr(error, "code", None) or ""
    code = str(getattr(code, "value", code))
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    message = f"{type(error).__name__}: {error}"
    if str(error).startswith("Forbidden:"):
        status = 403
    if isinstance(error, PermissionError):
        return error
    if type(error).__module__.startswith(("google.auth", "azure.identity")):
        return WithheldError("credentials", message)
    if not code and not isinstance(status, int):
        return RetryableError("network", message)
    return error_for(reason_of(code, status if isinstance(status, int) else None, message), message)
