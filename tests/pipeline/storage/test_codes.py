"""The meaning of stores' answers, one by one, in the table and through the whole read path.

The expected values come from the stores' documentation, code by code, not from the table.
"""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import pipeline.storage.backoff
import pipeline.storage.store
from pipeline.errors import ReadError
from pipeline.inputs.reading import _store, read_image
from pipeline.storage.codes import REASONS, Reason, reason_of
from tests.support.serving import serving

# Code or "", HTTP status, reason, status of the photo, kind.
ANSWERS: list[tuple[str, int, Reason, str, str]] = [
    # S3: where the object is
    ("NoSuchKey", 404, "absent", "not_found", "circumstances"),
    ("NoSuchVersion", 404, "absent", "not_found", "circumstances"),
    ("NoSuchBucket", 404, "no_bucket", "not_found", "circumstances"),
    ("", 404, "absent", "not_found", "circumstances"),
    ("", 410, "absent", "not_found", "circumstances"),
    ("PermanentRedirect", 301, "wrong_region", "wrong_region", "circumstances"),
    ("TemporaryRedirect", 307, "wrong_region", "wrong_region", "circumstances"),
    ("AuthorizationHeaderMalformed", 400, "wrong_region", "wrong_region", "circumstances"),
    ("IncorrectEndpoint", 400, "wrong_region", "wrong_region", "circumstances"),
    ("IllegalLocationConstraintException", 400, "wrong_region", "wrong_region", "circumstances"),
    # who asks
    ("AccessDenied", 403, "forbidden", "forbidden", "circumstances"),
    ("AllAccessDisabled", 403, "forbidden", "forbidden", "circumstances"),
    ("AccountProblem", 403, "forbidden", "forbidden", "circumstances"),
    ("MethodNotAllowed", 405, "forbidden", "forbidden", "circumstances"),
    ("InvalidPayer", 403, "forbidden", "forbidden", "circumstances"),
    ("", 403, "forbidden", "forbidden", "circumstances"),
    ("InvalidToken", 400, "credentials", "credentials", "circumstances"),
    ("InvalidAccessKeyId", 403, "credentials", "credentials", "circumstances"),
    ("SignatureDoesNotMatch", 403, "credentials", "credentials", "circumstances"),
    ("ExpiredToken", 400, "expired", "credentials", "circumstances"),
    ("TokenRefreshRequired", 400, "expired", "credentials", "circumstances"),
    ("", 401, "credentials", "credentials", "circumstances"),
    ("UserProjectMissing", 400, "requester_pays", "requester_pays", "circumstances"),
    ("", 402, "requester_pays", "requester_pays", "circumstances"),
    # what it is kept in
    ("InvalidObjectState", 403, "archived", "archived", "circumstances"),
    ("BlobArchived", 409, "archived", "archived", "circumstances"),
    ("BlobBeingRehydrated", 409, "archived", "archived", "circumstances"),
    ("KMS.DisabledException", 400, "encrypted", "encrypted", "circumstances"),
    ("KMS.NotFoundException", 400, "encrypted", "encrypted", "circumstances"),
    ("KMS.KMSInvalidStateException", 400, "encrypted", "encrypted", "circumstances"),
    ("KMS.AccessDeniedException", 400, "encrypted", "encrypted", "circumstances"),
    ("BlobUsesCustomerSpecifiedEncryption", 409, "encrypted", "encrypted", "circumstances"),
    ("ResourceIsEncryptedWithCustomerEncryptionKey", 400, "encrypted", "encrypted",
     "circumstances"),
    ("", 423, "locked", "locked", "circumstances"),
    ("Locked", 423, "locked", "locked", "circumstances"),
    ("", 451, "legal", "legal", "circumstances"),
    ("UnavailableForLegalReasons", 451, "legal", "legal", "circumstances"),
    # what nobody has heard of
    ("", 400, "refused", "store_refused", "circumstances"),
    ("", 418, "refused", "store_refused", "circumstances"),
    ("InvalidArgument", 400, "refused", "store_refused", "circumstances"),
    ("NeverHeardOf", 400, "refused", "store_refused", "circumstances"),
    ("InvalidRequest", 400, "refused", "store_refused", "circumstances"),
    # what passes
    ("SlowDown", 503, "throttled", "throttled", "transient"),
    ("RequestLimitExceeded", 503, "throttled", "throttled", "transient"),
    ("KMS.ThrottlingException", 400, "throttled", "throttled", "transient"),
    ("TooManyRequests", 429, "throttled", "throttled", "transient"),
    ("", 429, "throttled", "throttled", "transient"),
    ("", 503, "throttled", "throttled", "transient"),
    ("InternalError", 500, "server", "network", "transient"),
    ("ServiceUnavailable", 503, "server", "network", "transient"),
    ("RequestTimeout", 400, "server", "network", "transient"),
    ("RequestTimeTooSkewed", 403, "server", "network", "transient"),
    ("", 500, "server", "network", "transient"),
    ("", 502, "server", "network", "transient"),
    ("", 504, "server", "network", "transient"),
    ("", 507, "server", "network", "transient"),
    ("OperationAborted", 409, "conflict", "network", "transient"),
    # Google Cloud Storage and Azure alone
    ("rateLimitExceeded", 403, "throttled", "throttled", "transient"),
    ("insufficientPermissions", 403, "forbidden", "forbidden", "circumstances"),
    ("authError", 401, "credentials", "credentials", "circumstances"),
    ("BlobNotFound", 404, "absent", "not_found", "circumstances"),
    ("ContainerNotFound", 404, "no_bucket", "not_found", "circumstances"),
    ("ServerBusy", 503, "throttled", "throttled", "transient"),
    ("OperationTimedOut", 500, "server", "network", "transient"),
    ("AuthenticationFailed", 403, "credentials", "credentials", "circumstances"),
    ("AuthorizationPermissionMismatch", 403, "forbidden", "forbidden", "circumstances"),
    ("AccountIsDisabled", 403, "forbidden", "forbidden", "circumstances"),
    ("LeaseIdMissing", 412, "locked", "locked", "circumstances"),
]  # fmt: skip


class _Refusing(BaseHTTPRequestHandler):
    """Answers a GET of /bucket/<code>-<status> so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        code, _, status = self.path.split("?")[0].rpartition("/")[2].rpartition("-")
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
        if code == "InvalidRequestSSE":
            body = (
                b"<Error><Code>InvalidRequest</Code><Message>The object was stored using a form of "
                b"Server Side Encryption. The correct parameters must be provided to retrieve the "
                b"object.</Message></Error>"
            )
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def impatient(refusing: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    patience = pipeline.storage.backoff.Backoff(first_s=0.001, cap_s=0.001, deadline_s=0.005)
    monkeypatch.setattr(pipeline.storage.store, "Backoff", lambda: patience)
    monkeypatch.setenv("AWS_ENDPOINT_URL", refusing)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-this-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    _store.cache_clear()
    yield
    _store.cache_clear()


@pytest.mark.parametrize(("code", "http", "reason", "status", "kind"), ANSWERS)
def test_each_answer_means(code: str, http: int, reason: str, status: str, kind: str) -> None:
    assert reason_of(code, http) == reason
    if not code:  # a HEAD has no body, and the client gives the number as the code
        assert reason_of(str(http), http) == reason


@pytest.mark.parametrize(("code", "http", "reason", "status", "kind"), ANSWERS)
def test_each_answer_becomes_a_status(
    code: str, http: int, reason: str, status: str, kind: str, impatient: None
) -> None:
    with pytest.raises(ReadError) as failed:
        read_image(f"s3://photos/{code}-{http}")
    assert (failed.value.status, failed.value.kind) == (status, kind)


def test_a_missing_key_of_the_customer_is_told_by_its_message_alone(impatient: None) -> None:
    with pytest.raises(ReadError) as failed:
        read_image("s3://photos/InvalidRequestSSE-400")
    assert (failed.value.status, failed.value.kind) == ("encrypted", "circumstances")


def test_a_code_stands_in_the_table_once() -> None:
    from pipeline.storage import codes

    texts = [code for text in codes._CODES.values() for code in text.split()]
    assert len(texts) == len(set(texts)) == len(REASONS)


def test_credentials_that_are_not_whole(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(ReadError) as failed:
        read_image("s3://photos/a.jpg")
    assert (failed.value.status, failed.value.kind) == ("credentials", "circumstances")


class HttpError(Exception):
    """As gcsfs raises it: the HTTP status is its code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"HTTP {code}")
        self.code = code


class AzureError(Exception):
    """As the Azure packages raise it."""

    def __init__(self, status_code: int, error_code: str | None) -> None:
        super().__init__(error_code)
        self.status_code, self.error_code = status_code, error_code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HttpError(400), "store_refused"),
        (HttpError(401), "credentials"),
        (HttpError(429), "throttled"),
        (HttpError(451), "legal"),
        (HttpError(502), "network"),
        (OSError("Forbidden: https://storage.googleapis.com/…"), "forbidden"),
        (OSError("connection reset"), "network"),
        (AzureError(409, "BlobArchived"), "archived"),
        (AzureError(403, "AuthenticationFailed"), "credentials"),
        (AzureError(409, "BlobUsesCustomerSpecifiedEncryption"), "encrypted"),
        (AzureError(503, "ServerBusy"), "throttled"),
        (AzureError(400, "InvalidHeaderValue"), "store_refused"),
        (AzureError(404, "BlobNotFound"), "not_found"),
        (AzureError(451, None), "legal"),
    ],
)
def test_answers_of_other_stores_come_as_their_packages_errors(
    error: Exception, status: str, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    from pipeline.storage import fsspec_store

    def cat_file(*_: object, **__: object) -> bytes:
        raise error

    monkeypatch.setattr(fsspec_store, "FOREIGN_ERRORS", [(__name__, type(error).__name__)])
    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    with pytest.raises(ReadError) as failed:
        read_image("memory://photos/a.jpg", max_bytes=None)
    assert failed.value.status == status
