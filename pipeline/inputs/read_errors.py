"""Classify why a photo could not be read, by what its store or file system raised."""

import errno

from pipeline.errors import ReadError, UsageError
from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectTooLargeError,
    StoreFailedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pipeline.storage.codes import Reason

# What `read_error` accepts.
READ_EXCEPTIONS = (
    OSError, UsageError, ValueError, ObjectChangedError, ObjectTooLargeError, StoreUnavailableError,
)  # fmt: skip

# Statuses of photos for the reasons of stores (`storage.codes`) that have another name there.
_STATUSES: dict[Reason | None, str] = {
    "refused": "store_refused",
    "expired": "credentials",
    None: "store_refused",
}
# Errors of a file system for a name that no file can have.
_BAD_NAME_ERRNOS = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
# Temporary errors: too many files are open, or a network file system does not answer.
_TRANSIENT_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY,
     errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH,
     errno.ENETUNREACH, errno.ENETDOWN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT,
     getattr(errno, "EREMOTEIO", errno.EIO)}  # only Linux has the last
)  # fmt: skip


def read_error(error: Exception) -> ReadError:
    """Convert one of READ_EXCEPTIONS to a ReadError; an unknown one is `store_refused`.

    Only a text that is no address, or names what cannot exist, is `bad_uri`, which is permanent.
    """
    if isinstance(error, FileNotFoundError):
        return ReadError("not_found", f"no object: {error}")
    if isinstance(error, StoreRefusedError | StoreFailedError):
        return ReadError(_STATUSES.get(error.reason, error.reason or ""), str(error))
    if isinstance(error, PermissionError):
        return ReadError("forbidden", str(error))
    if isinstance(error, ObjectChangedError):
        return ReadError("changed", str(error))
    if isinstance(error, ObjectTooLargeError):
        return ReadError("too_large", str(error))
    if isinstance(error, StoreUnavailableError):
        if error.reason in ReadError.transient_statuses:
            return ReadError(error.reason, str(error))
        return ReadError("credentials" if error.reason == "expired" else "network", str(error))
    if isinstance(error, OSError):
        message = f"{type(error).__name__}: {error.strerror or error}"
        if error.errno in _BAD_NAME_ERRNOS:
            return ReadError("bad_uri", message)
        return ReadError(
            "network" if error.errno in _TRANSIENT_ERRNOS else "store_refused", message
        )
    return ReadError("bad_uri", str(error))
