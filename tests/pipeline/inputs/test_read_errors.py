"""Why a photo could not be read: the status for each kind of error, by hand."""

import errno
import subprocess
import sys

import pytest

from pipeline.errors import UsageError
from pipeline.inputs.read_errors import read_error
from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectTooLargeError,
    StoreFailedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pipeline.storage.codes import Reason


def refused(reason: Reason) -> Exception:
    error = StoreRefusedError("no")
    error.reason = reason
    return error


def failed(reason: Reason | None) -> Exception:
    error = StoreFailedError("no")
    error.reason = reason
    return error


PASSING = [
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EIO,
    errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH,
    errno.ENETDOWN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EREMOTEIO,
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (FileNotFoundError("k"), "not_found", "circumstances"),
        (refused("forbidden"), "forbidden", "circumstances"),
        (refused("credentials"), "credentials", "circumstances"),
        (refused("wrong_region"), "wrong_region", "circumstances"),
        (failed("archived"), "archived", "circumstances"),
        (failed("refused"), "store_refused", "circumstances"),
        (failed("expired"), "credentials", "circumstances"),
        (failed(None), "store_refused", "circumstances"),
        (PermissionError("no"), "forbidden", "circumstances"),
        (ObjectChangedError("no"), "changed", "circumstances"),
        (ObjectTooLargeError("no"), "too_large", "circumstances"),
        (StoreUnavailableError("throttled", "no"), "throttled", "transient"),
        (StoreUnavailableError("timeout", "no"), "timeout", "transient"),
        (StoreUnavailableError("network", "no"), "network", "transient"),
        (StoreUnavailableError("server", "no"), "network", "transient"),
        (StoreUnavailableError("expired", "no"), "credentials", "circumstances"),
        (OSError(errno.ENAMETOOLONG, "long"), "bad_uri", "permanent"),
        (OSError(errno.EINVAL, "no name"), "bad_uri", "permanent"),
        (OSError(errno.EILSEQ, "no name"), "bad_uri", "permanent"),
        (OSError(errno.ENOSPC, "full"), "store_refused", "circumstances"),
        (OSError("nobody knows"), "store_refused", "circumstances"),
        (UsageError("no address"), "bad_uri", "permanent"),
        (ValueError("no address"), "bad_uri", "permanent"),
        *((OSError(number, "later"), "network", "transient") for number in PASSING),
    ],
)
def test_each_error_has_its_status(error: Exception, status: str, kind: str) -> None:
    found = read_error(error)
    assert (found.status, found.kind) == (status, kind)
    assert found.message


def test_words_of_the_file_system_are_kept() -> None:
    assert read_error(OSError(errno.EIO, "Input/output error")).message == (
        "OSError: Input/output error"
    )
    assert read_error(OSError("x")).message == "OSError: x"
    assert read_error(FileNotFoundError("a/b")).message == "no object: a/b"


def test_a_system_without_one_of_these_numbers_works_too() -> None:
    """As macOS, whose `errno` has no EREMOTEIO."""
    program = "import errno; del errno.EREMOTEIO; import pipeline.stages.read, pipeline.local"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
