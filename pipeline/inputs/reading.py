"""Read a photo by its address, as it was when it was listed."""

import os
from functools import lru_cache

from pipeline.errors import UsageError
from pipeline.inputs.http import HttpPolicy, read_http
from pipeline.inputs.local_files import read_local
from pipeline.inputs.read_errors import READ_EXCEPTIONS, read_error
from pipeline.storage.addresses import bucket_and_key, s3_spelling, scheme_of
from pipeline.storage.store import Store, open_store


def read_image(
    uri: str,
    etag: str | None = None,
    max_bytes: int | None = 64 << 20,
    http: HttpPolicy | None = None,
    requester_pays: bool = False,
) -> bytes:
    """Read one photo as it was when the run was planned.

    etag:      the pinned one; None reads whatever is there now.
    max_bytes: larger photos are refused before they are read; None refuses none.
    http:      None refuses HTTP(S) addresses.
    requester_pays: agree to pay for requests to S3, where the bucket's owner does not.

    Raises ReadError, whose docstring lists the statuses.
    """
    try:
        uri = s3_spelling(uri)
        scheme = scheme_of(uri)
        if scheme in ("http", "https"):
            return read_http(uri, http, max_bytes)
        if scheme == "file":
            return read_local(uri, etag, max_bytes)
        store, key = _locate(uri, requester_pays)
        return store.read(key, etag, max_bytes)
    except READ_EXCEPTIONS as error:
        raise read_error(error) from error


def _locate(uri: str, requester_pays: bool) -> tuple[Store, str]:
    """Return the store of an address and its key, exactly as written."""
    bucket, key = bucket_and_key(uri)
    if not key:
        raise UsageError(f"not {scheme_of(uri)}://bucket/key")
    return _store(bucket, os.getpid(), requester_pays and scheme_of(uri) == "s3"), key


@lru_cache(maxsize=64)
def _store(root: str, pid: int, requester_pays: bool) -> Store:
    return open_store(root, requester_pays=requester_pays)
