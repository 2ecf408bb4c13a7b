"""What a store holds, how it can say no, and what a kind of store has to provide."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import LedgerError, UsageError


class StoreUnavailableError(LedgerError):
    """The store did not answer properly until the deadline. `reason` is that of the last try."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreRefusedError(UsageError, PermissionError):
    """The store knows us and says no, or does not know us. Trying again would not help."""


class StoreMissingError(UsageError, FileNotFoundError):
    """There is no such bucket."""


class StoreFailedError(LedgerError, OSError):
    """The store answered with an error that is no answer to our question, or a disk did."""


class ObjectChangedError(Exception):
    """The object is not the one asked for: its ETag differs from the pinned one."""


class ObjectTooLargeError(Exception):
    """The object has more bytes than the caller is ready to take."""


@dataclass(frozen=True)
class ObjectInfo:
    """One line of a listing. `etag` changes when the content does (locally: time and size)."""

    key: str
    bytes: int
    etag: str
    modified_s: float  # seconds since 1970, by the store's clock


class Backend(Protocol):
    """What a kind of store provides. Each method makes one request and no second try.

    Raises FileNotFoundError, PermissionError, FileExistsError (create), any other OSError for an
    answer that makes no sense, or RetryableError.
    """

    def get(self, key: str, etag: str | None, max_bytes: int | None) -> bytes: ...
    def put(self, key: str, data: bytes) -> None: ...
    def create(self, key: str, data: bytes) -> None: ...
    def head(self, key: str) -> ObjectInfo: ...
    def list_page(self, prefix: str, token: str | None) -> tuple[list[ObjectInfo], str | None]: ...
    def folders(self, prefix: str) -> list[str]: ...
    def delete(self, key: str) -> None: ...
    def remains(self) -> list[ObjectInfo]: ...
