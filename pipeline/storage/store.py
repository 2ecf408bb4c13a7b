"""Provide one small interface to a folder, S3 and every fsspec store that can create once.

The ledger needs three things of a store: to read and write an object under a key, to list keys, and
to *create once*: of several writers of one key exactly one succeeds, and nobody ever sees a partial
object. Renames, appends, directories and caches are left out on purpose.

Credentials come only from the role, the profile or the environment; AWS_ENDPOINT_URL names another
S3 server. No argument takes a credential, and an address that carries one is refused.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from pipeline.errors import LedgerError, UsageError
from pipeline.extras import extra_needed
from pipeline.storage.addresses import local_path, refuse_credentials, s3_spelling, scheme_of
from pipeline.storage.backend import (
    Backend,
    ListsAfter,
    ObjectInfo,
    ObjectPart,
    Page,
    StoreFailedError,
    StoreUnavailableError,
    refusal,
)
from pipeline.storage.backoff import Backoff, RetryableError
from pipeline.storage.keys import is_own_key
from pipeline.storage.local import LocalBackend
from pipeline.storage.traffic import add_traffic, count_request

T = TypeVar("T")

BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[A-Za-z0-9:_-]+")  # as botocore accepts them
FIRST_ANSWER_S = 5.0  # an attempt that is started by then may take another 5 s to connect
PROBE_KEY = "runs/_probe/create-once"


class Store:
    """A backend with back-off, a deadline and counted requests. Safe to pickle and to share."""

    def __init__(
        self, uri: str, backend: Backend, backoff: Backoff, requester_pays: bool = False
    ) -> None:
        self.uri = uri
        self.requester_pays = requester_pays
        self.backoff = backoff
        self.requests: Counter[str] = Counter()
        self._backend = backend

    def __reduce__(self) -> tuple[Callable[..., "Store"], tuple[str, None, bool]]:
        return open_store, (self.uri, None, self.requester_pays)

    def read(self, key: str, etag: str | None = None, max_bytes: int | None = None) -> bytes:
        """Return the whole object.

        Raises FileNotFoundError, ObjectChangedError (`etag` given, but the object has another),
        ObjectTooLargeError (before the body is fetched), StoreRefusedError, StoreFailedError or
        StoreUnavailableError.
        """
        data = self._try("get", lambda: self._backend.get(key, etag, max_bytes), key)
        add_traffic(read_bytes=len(data))
        return data

    def read_part(self, key: str, size: int, start: int | None = None) -> ObjectPart:
        """Return `size` bytes of an object from `start` on, by default the last ones.

        They are fewer where the object ends, or begins, before. Raises what `read` raises.
        """
        part = self._try("get", lambda: self._backend.get_part(key, start, size), key)
        add_traffic(read_bytes=len(part.data))
        return part

    def write(self, key: str, data: bytes) -> str:
        """Write under a key that no other attempt uses, so that repeating it is harmless.

        Return the ETag that listings give until the object is written again, or "" if the store
        does not tell.

        Only published crops, their index, cards, galleries and Iceberg's hints change content.
        """
        _check_key(key)
        etag = self._try("put", lambda: self._backend.put(key, data), key)
        add_traffic(written_bytes=len(data))
        return etag

    def create_once(self, key: str, data: bytes) -> bool:
        """Create an object unless there is one; return whether it now holds `data`.

        A refusal may be due to our own earlier attempt whose response was lost. So the object is
        read back and compared: False means that it holds something else.
        """
        _check_key(key)
        try:
            self._try("put", lambda: self._backend.create(key, data), key)
        except FileExistsError:
            return self.read(key) == data
        add_traffic(written_bytes=len(data))
        return True

    def head(self, key: str) -> ObjectInfo:
        """Return size and ETag of one object. Raises FileNotFoundError."""
        return self._try("head", lambda: self._backend.head(key), key)

    def exists(self, key: str) -> bool:
        try:
            self.head(key)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose key starts with `prefix`, by key, fetched in pages of 1,000."""
        token: str | None = None
        while True:
            page, token = self._try("list", partial(self._backend.list_page, prefix, token), prefix)
            yield from page
            if token is None:
                return

    @property
    def lists_after(self) -> bool:
        """Whether `list_after` can be used."""
        return isinstance(self._backend, ListsAfter)

    def list_after(self, prefix: str, after: str) -> Page:
        """Fetch one page of a listing that starts after a key: see `ListsAfter`."""
        if not isinstance(self._backend, ListsAfter):
            raise TypeError(f"{self.uri} does not list from a key on")
        return self._try("list", partial(self._backend.list_after, prefix, after), prefix)

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return sorted names of the folders directly below `prefix`, which ends in a slash."""
        found = self._try("list", partial(self._backend.folders, prefix), prefix)
        return tuple(sorted(name for name in found if name))  # a key `runs//x` makes an empty one

    def delete(self, key: str) -> None:
        """Delete one object, if any. gc deletes those of runs, publishing those in `public/`."""
        _check_key(key)
        self._try("delete", lambda: self._backend.delete(key), key)

    def temporary_files(self) -> tuple[ObjectInfo, ...]:
        """List temporary files that killed writers left in a folder; other stores have none."""
        return tuple(self._try("list", self._backend.temporary_files))

    def delete_temporary_file(self, info: ObjectInfo) -> None:
        """Remove one of `temporary_files`."""
        self._try("delete", partial(self._backend.delete, info.key), info.key)

    def probe_create_once(self) -> None:
        """Raise LedgerError unless this store refuses to create what exists.

        One fixed key is created twice with different content; whatever was there before, the
        second must be refused. Needs no permission to delete, and leaves one object of 2 bytes.
        """
        self.create_once(PROBE_KEY, b"1\n")
        if self.create_once(PROBE_KEY, b"2\n") or self.read(PROBE_KEY) != b"1\n":
            raise LedgerError(
                f"{self.uri} overwrote an object that it was asked to create only if absent "
                "(If-None-Match: *). Two jobs could undo each other there. Use a store with "
                "conditional writes: AWS S3, MinIO, Ceph RGW, R2, GCS, or a local folder."
            )

    def _try(self, operation: str, attempt: Callable[[], T], key: str = "") -> T:
        asked = f"{operation} of {key!r:.200}" if key else operation

        def once() -> T:
            self._count(operation)
            return attempt()

        started = time.perf_counter()
        try:
            return self.backoff.call(once, lambda failure: self._count("retry_" + failure.reason))
        except (FileNotFoundError, FileExistsError):
            raise
        except PermissionError as error:
            raise refusal(self.uri, asked, error) from error
        except OSError as error:
            raise StoreFailedError(f"{self.uri}: {error}") from error
        except RetryableError as failure:
            late = f"did not answer a {asked} within {self.backoff.deadline_s:g} s: {failure}"
            raise StoreUnavailableError(failure.reason, f"{self.uri} {late}") from failure
        finally:
            add_traffic(wait_s=time.perf_counter() - started)

    def _count(self, name: str) -> None:
        count_request(name, self.requests)


def open_store(uri: str, backoff: Backoff | None = None, requester_pays: bool = False) -> Store:
    """Open the store at `uri`: a folder, file://, s3://bucket/prefix, memory://, any fsspec store.

    requester_pays: agree, with each request that reads from S3, to pay for it.

    Makes no request. Raises UsageError for an address that carries a credential, a folder that is
    a file, and an fsspec store that is not known to create once.
    """
    refuse_credentials(uri)
    uri = s3_spelling(uri)
    scheme = scheme_of(uri)
    backend: Backend
    if scheme == "file":
        backend = LocalBackend(local_path(uri))
    elif scheme == "s3":
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not BUCKET.fullmatch(bucket):
            raise UsageError(f"{uri!r} names no bucket; write s3://bucket/prefix")
        with extra_needed():
            from pipeline.storage.s3 import S3Backend

        backend = S3Backend(bucket, prefix.strip("/"), requester_pays)
    else:
        from pipeline.storage.fsspec_store import FsspecBackend

        backend = FsspecBackend(uri)
    return Store(uri, backend, backoff or Backoff(), requester_pays)


def check_reachable(uri: str) -> None:
    """Raise UsageError, within about 10 s, where nothing answers at an address in S3.

    For the start of a job or command: a wrong endpoint fails early, while an outage in the middle
    is waited for. Other stores and other failures are left to the first real request.
    """
    if scheme_of(uri) != "s3":
        return
    store = open_store(uri, Backoff(cap_s=1.0, deadline_s=FIRST_ANSWER_S))
    try:
        store.exists(PROBE_KEY)
    except StoreUnavailableError as error:
        if error.reason == "unreachable":
            raise UsageError(
                f"{uri}: nothing answers there ({error.__cause__}); check AWS_ENDPOINT_URL, "
                "AWS_REGION and the network"
            ) from error
    except (PermissionError, LedgerError, OSError):
        return


def _check_key(key: str) -> None:
    if not is_own_key(key):
        raise ValueError(f"not a key of this product's own making: {key[:80]!r}")
