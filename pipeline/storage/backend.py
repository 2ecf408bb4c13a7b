"""Define the interface that a kind of store implements, what it lists, and how it fails."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from pipeline.errors import LedgerError, UsageError
from pipeline.storage.backoff import RetryableError
from pipeline.storage.codes import RETRIED, Reason


class StoreUnavailableError(LedgerError):
    """The store gave no usable answer before the deadline. `reason`: see `RetryableError`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["StoreUnavailableError"], tuple[str, str]]:
        return StoreUnavailableError, (self.reason, str(self))  # a worker's reaches the driver


# Answers that are due to the job's own credentials or settings.
REFUSALS: frozenset[Reason] = frozenset(
    {"forbidden", "credentials", "requester_pays", "wrong_region"}
)


class WithheldError(PermissionError):
    """A backend's store answered without giving the object. reason: one of `codes.Reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason

    def __reduce__(self) -> tuple[type["WithheldError"], tuple[Reason, str]]:
        return WithheldError, (self.reason, str(self))


class StoreRefusedError(UsageError, PermissionError):
    """The store refuses these credentials, or there are none. A retry does not help.

    reason: one of REFUSALS.
    """

    reason: Reason = "forbidden"


class StoreMissingError(UsageError, FileNotFoundError):
    """There is no such bucket."""


class StoreFailedError(LedgerError, OSError):
    """The store, or the disk, failed for another reason, and a retry would not help.

    reason: one of `codes.Reason` where the store has answered; None where the disk failed.
    """

    reason: Reason | None = None


class ObjectChangedError(Exception):
    """The object is not the one asked for: its ETag differs from the pinned one."""


class ObjectTooLargeError(Exception):
    """The object has more bytes than the caller accepts."""


@dataclass(frozen=True)
class ObjectInfo:
    """One object in a listing. `etag` changes when the content does (locally: time and size)."""

    key: str
    bytes: int
    etag: str
    modified_s: float  # seconds since 1970, by the store's clock


class ObjectPart(NamedTuple):
    """Some bytes of an object, and how many it has in all."""

    data: bytes
    object_bytes: int


class Backend(Protocol):
    """What a kind of store implements. Each method makes one request, without retries.

    Raises FileNotFoundError, PermissionError, FileExistsError (create), RetryableError where
    another attempt may succeed, or another OSError for any other answer. `get` also raises
    ObjectChangedError, where `etag` is given and the object has another, and ObjectTooLargeError,
    where it has more than `max_bytes`; neither is an OSError. `put` returns the ETag that
    listings give from then on, or "" if the store does not tell. `get_part` gets `size` bytes from
    `start` on, or the last ones where that is None; fewer where the object ends or begins before.
    """

    def get(self, key: str, etag: str | None, max_bytes: int | None) -> bytes: ...
    def get_part(self, key: str, start: int | None, size: int) -> ObjectPart: ...
    def put(self, key: str, data: bytes) -> str: ...
    def create(self, key: str, data: bytes) -> None: ...
    def head(self, key: str) -> ObjectInfo: ...
    def list_page(self, prefix: str, token: str | None) -> tuple[list[ObjectInfo], str | None]: ...
    def folders(self, prefix: str) -> list[str]: ...
    def delete(self, key: str) -> None: ...
    def temporary_files(self) -> list[ObjectInfo]: ...


Page = tuple[list[ObjectInfo], bool]  # some objects, and whether there are more


@runtime_checkable
class ListsAfter(Protocol):
    """A kind of store that lists in key order and can start after any key."""

    def list_after(self, prefix: str, after: str) -> Page:
        """List the first objects below a prefix whose keys come after `after`.

        after: any text, "" for the beginning. Raises what `Backend` raises.
        """
        ...


def bare_etag(etag: str) -> str:
    """Return an ETag without quotes and the mark of a weak one, which `If-Match` cannot have."""
    return etag.strip().removeprefix("W/").strip('"')


def cut_part(data: bytes, start: int | None, size: int) -> ObjectPart:
    """Cut a part out of a whole object; see `Backend.get_part`."""
    first = max(0, len(data) - size) if start is None else start
    return ObjectPart(data[first : first + size], len(data))


def refusal(uri: str, asked: str, error: PermissionError) -> OSError:
    """Return what `Store` raises where a store withholds an object, or a folder's file."""
    reason = error.reason if isinstance(error, WithheldError) else "forbidden"
    if reason in REFUSALS:
        # Only a folder's error names a file.
        advice = "; get the right to use it, or choose another" if error.filename else ""
        refused = StoreRefusedError(f"{uri} refuses a {asked}: {error}{advice}")
        refused.reason = reason
        return refused
    failed = StoreFailedError(f"{uri}: {error}")
    failed.reason = reason
    return failed


def error_for(reason: Reason, message: str) -> Exception:
    """Return what a backend raises for a store's answer with this meaning; see `Backend`."""
    if reason in RETRIED:
        return RetryableError(reason, message)
    if reason == "exists":
        return FileExistsError(message)
    if reason in ("absent", "no_bucket"):
        return FileNotFoundError(message)
    return WithheldError(reason, message)
