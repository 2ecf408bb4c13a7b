"""Backends alone: their handling of a client's answers and of odd files."""

import os
import pickle
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.storage import fsspec_store, s3_requests
from pipeline.storage import store as store_module
from pipeline.storage.addresses import refuse_credentials
from pipeline.storage.backend import (
    REFUSALS,
    ObjectTooLargeError,
    StoreMissingError,
    StoreUnavailableError,
    WithheldError,
)
from pipeline.storage.backoff import Backoff, RetryableError
from pipeline.storage.fsspec_store import FOREIGN_ERRORS, FsspecBackend
from pipeline.storage.local import LocalBackend, read_file
from pipeline.storage.s3 import S3Backend
from pipeline.storage.sample import SampleStore
from pipeline.storage.store import check_reachable
from pipeline.storage.traffic import add_traffic, traffic_so_far

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Client:
    """In place of aiobotocore's client: keeps what was asked, gives or raises what it was told."""

    def __init__(self, *answers: object) -> None:
        self.asked: list[dict[str, object]] = []
        self.answers = [*answers]

    def __getattr__(self, name: str) -> Any:
        async def method(**options: object) -> object:
            self.asked.append({"": name, **options})
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return method


def talk(monkeypatch: pytest.MonkeyPatch, *answers: object) -> Client:
    """Let backends talk to a client that gives these answers."""
    client = Client(*answers)

    async def session() -> Client:
        return client

    from fsspec.asyn import get_loop

    stand_in = SimpleNamespace(loop=get_loop(), set_session=session)
    monkeypatch.setattr(s3_requests, "_filesystem", lambda *_: stand_in)
    return client


def test_an_objects_facts_are_those_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    client = talk(monkeypatch, {"ContentLength": 7, "ETag": '"abc-2"', "LastModified": NOON})
    info = S3Backend("b", "p", requester_pays=True).head("k")
    assert (info.key, info.bytes, info.etag, info.modified_s) == ("k", 7, "abc-2", NOON.timestamp())
    assert client.asked == [
        {"": "head_object", "Bucket": "b", "Key": "p/k", "RequestPayer": "requester"}
    ]


def test_a_page_of_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"Key": "p/a/x", "Size": "3", "ETag": '"eX"', "LastModified": NOON}
    page = {"Contents": [entry], "IsTruncated": True, "NextContinuationToken": "more"}
    last = {"IsTruncated": False, "NextContinuationToken": "never"}
    client = talk(monkeypatch, page, last)
    backend = S3Backend("b", "p")
    found, token = backend.list_page("a/", None)
    assert [(one.key, one.bytes, one.etag) for one in found] == [("a/x", 3, "eX")]
    assert token == "more"
    assert backend.list_page("a/", "more") == ([], None)
    assert client.asked == [
        {"": "list_objects_v2", "Bucket": "b", "Prefix": "p/a/"},
        {"": "list_objects_v2", "Bucket": "b", "Prefix": "p/a/", "ContinuationToken": "more"},
    ]


def test_folders_go_over_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"CommonPrefixes": [{"Prefix": "p/a/x/"}], "IsTruncated": True,
             "NextContinuationToken": "t"}  # fmt: skip
    client = talk(
        monkeypatch, first, {"IsTruncated": False, "CommonPrefixes": [{"Prefix": "p/a/y/"}]}
    )
    assert S3Backend("b", "p").folders("a/") == ["x", "y"]
    asked = {"": "list_objects_v2", "Bucket": "b", "Prefix": "p/a/", "Delimiter": "/"}
    assert client.asked == [asked, {**asked, "ContinuationToken": "t"}]


def test_an_object_is_written_with_its_sum_and_type(monkeypatch: pytest.MonkeyPatch) -> None:
    client = talk(monkeypatch, {}, {}, {})
    backend = S3Backend("b", "")
    backend.put("x.webp", b"abc")
    backend.create("x", b"abc")
    backend.delete("x")
    body = {"Body": b"abc", "ContentMD5": "kAFQmDzST7DWlj99KOF/cg=="}  # RFC 1321: md5 of "abc"
    assert client.asked == [
        {"": "put_object", "Bucket": "b", "Key": "x.webp", **body, "ContentType": "image/webp"},
        {"": "put_object", "Bucket": "b", "Key": "x", **body, "IfNoneMatch": "*"},
        {"": "delete_object", "Bucket": "b", "Key": "x"},
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "timeout"),
        (s3_requests.FSTimeoutError(), "timeout"),
        (s3_requests.EndpointConnectionError(endpoint_url="x"), "unreachable"),
        (s3_requests.ConnectTimeoutError(endpoint_url="x"), "unreachable"),
        (s3_requests.BotoCoreError(), "network"),
        (ConnectionResetError(), "network"),
        (EOFError(), "network"),
        (s3_requests.aiohttp.ClientError(), "network"),
    ],
)
def test_a_request_that_got_no_answer(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    talk(monkeypatch)
    monkeypatch.setattr(s3_requests, "sync", fail)
    with pytest.raises(RetryableError) as caught:
        S3Backend("b", "").head("k")
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "error",
    [
        s3_requests.NoCredentialsError(),
        s3_requests.CredentialRetrievalError(provider="p", error_msg="m"),
        s3_requests.PartialCredentialsError(provider="p", cred_var="v"),
        s3_requests.ProfileNotFound(profile="p"),
        s3_requests.SSOError(),
        s3_requests.TokenRetrievalError(provider="p", error_msg="m"),
    ],
)
def test_credentials_that_are_none(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    talk(monkeypatch)
    monkeypatch.setattr(s3_requests, "sync", fail)
    with pytest.raises(WithheldError) as caught:
        S3Backend("b", "").head("k")
    assert caught.value.reason == "credentials"


def test_times_of_answers_in_every_form() -> None:
    assert s3_requests._parse_time("2026-11-26T12:00:00Z") == NOON
    assert s3_requests._parse_time("Thu, 26 Nov 2026 12:00:00 GMT") == NOON
    assert s3_requests._parse_time(NOON.timestamp()) == NOON  # type: ignore[arg-type]


def test_a_start_asks_again_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Backoff]] = []

    class Opened:
        def exists(self, key: str) -> bool:
            return True

    def opened(uri: str, backoff: Backoff) -> Opened:
        asked.append((uri, backoff))
        return Opened()

    monkeypatch.setattr(store_module, "open_store", opened)
    check_reachable("s3://b/x")
    ((uri, backoff),) = asked
    assert (uri, backoff.cap_s, backoff.deadline_s) == ("s3://b/x", 1, 5)


class StatusError(OSError):
    """As aiohttp raises it."""

    def __init__(self, status: int, words: str = "no") -> None:
        super().__init__(words)
        self.status = status


class CodeError(OSError):
    """As the Azure packages raise it: a code that is one of an enumeration."""

    def __init__(self, status_code: int, code: str) -> None:
        super().__init__("no")
        self.status_code = status_code
        self.error_code = SimpleNamespace(value=code)


class GoogleAuthError(OSError):
    """As google.auth raises it."""


GoogleAuthError.__module__ = "google.auth.exceptions"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StatusError(401), "credentials"),
        (StatusError(403), "forbidden"),
        (StatusError(0, "Forbidden: https://storage.googleapis.com/b"), "forbidden"),
        (CodeError(409, "BlobArchived"), "archived"),
        (GoogleAuthError("no token"), "credentials"),
    ],
)
def test_what_other_stores_refuse(error: OSError, reason: str) -> None:
    found = fsspec_store._translate(error)
    assert isinstance(found, WithheldError)
    assert found.reason == reason
    assert str(found) == f"{type(error).__name__}: {error}"


def test_errors_of_packages_that_are_no_os_errors_are_known_by_their_modules() -> None:
    assert FOREIGN_ERRORS == (
        ("gcsfs.retry", "HttpError"),
        ("google.auth.exceptions", "GoogleAuthError"),
        ("azure.core.exceptions", "AzureError"),
        ("aiohttp", "ClientError"),
    )
    import aiohttp

    assert aiohttp.ClientError in fsspec_store._foreign_errors()


def test_a_tag_is_without_its_quotes() -> None:
    info = FsspecBackend("memory://r")._info({"name": "/r/a", "size": 3, "etag": '"x"'})
    assert info.etag == "x"


def test_a_pipe_in_a_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(Path, "is_file", lambda self: True)  # it was one a moment ago
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "pipe", None, None)


def test_a_listing_of_a_folder_begins_with_the_prefix(tmp_path: Path) -> None:
    backend = LocalBackend(str(tmp_path))
    for key in ("a/x1", "a/x2", "a/y", "b/x"):
        backend.put(key, b"1")
    assert [info.key for info in backend.list_page("a/x", None)[0]] == ["a/x1", "a/x2"]


def test_folders_of_a_sample_are_those_below_the_prefix() -> None:
    store = SampleStore({"aa/b/x": b"", "zz/c/y": b"", "aa/top": b""})
    assert store.folders("aa/") == ("b",)


@pytest.mark.parametrize(
    "name",
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
     "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"],
)  # fmt: skip
def test_another_account_or_server_is_another_client(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    class StopError(Exception):
        pass

    def client(*identity: object) -> None:
        asked.append(identity)
        raise StopError

    monkeypatch.setattr(s3_requests, "_filesystem", client)
    for value in ("one", "other"):
        monkeypatch.setenv(name, value)
        with pytest.raises(StopError):
            S3Backend("b", "").head("k")
    assert asked[0] != asked[1]
    assert (asked[0][0], "one" in asked[0], "other" in asked[1]) == (os.getpid(), True, True)


def test_a_refusal_keeps_its_reason_between_processes() -> None:
    late = pickle.loads(pickle.dumps(StoreUnavailableError("throttled", "503")))
    assert (type(late), late.reason, str(late)) == (StoreUnavailableError, "throttled", "503")
    again = pickle.loads(pickle.dumps(WithheldError("archived", "in the cold")))
    assert (type(again), again.reason, str(again)) == (WithheldError, "archived", "in the cold")


def test_a_sample_creates_what_its_plan_keeps() -> None:
    store = SampleStore({}, keep=True)
    assert store.create_once("a/x", b"1")
    assert store.objects == {"a/x": b"1"}
    assert not store.create_once("a/x", b"2")


def test_a_body_that_is_too_large_is_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    body = SimpleNamespace(close=lambda: closed.append(True))
    talk(monkeypatch, {"ContentLength": 9, "Body": body})
    with pytest.raises(ObjectTooLargeError, match="9 bytes, at most 8"):
        S3Backend("b", "").get("k", None, 8)
    assert closed == [True]


class Body:
    """A body of an answer that ends too early."""

    async def __aenter__(self) -> "Body":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self) -> bytes:
        return b"abc"


def test_a_body_that_is_too_short_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    talk(monkeypatch, *({"ContentLength": length, "Body": Body()} for length in (3, 5)))
    assert S3Backend("b", "").get("k", None, None) == b"abc"
    with pytest.raises(RetryableError, match="3 of 5 bytes arrived") as caught:
        S3Backend("b", "").get("k", None, None)
    assert caught.value.reason == "network"


def test_another_stores_listing_begins_with_the_prefix() -> None:
    backend = FsspecBackend("memory://listed-by-prefix")
    for key in ("a/x1", "a/x2", "a/y", "b/x"):
        backend.put(key, b"1")
    assert [info.key for info in backend.list_page("a/x", None)[0]] == ["a/x1", "a/x2"]
    assert backend.list_page("a/x", None)[1] is None


def test_a_right_that_is_missing_stays_what_it_is() -> None:
    error = PermissionError("no such right")
    assert fsspec_store._translate(error) is error


def test_an_answer_without_a_code_is_told_by_its_number() -> None:
    answer = {"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    found = s3_requests._translate(s3_requests.ClientError(answer, "GetObject"))  # type: ignore[arg-type]
    assert str(found) == "403"
    assert isinstance(found, WithheldError)
    assert found.reason == "forbidden"


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"BucketName": "b"}, "there is no bucket b"),
        ({}, "there is no bucket of this name (NoSuchBucket: It does not exist.)"),
    ],
)
def test_a_bucket_that_is_missing_is_told_whatever_the_server_says(
    about: dict[str, str], told: str
) -> None:
    answer = {"Error": {"Code": "NoSuchBucket", "Message": "It does not exist.", **about}}
    found = s3_requests._translate(s3_requests.ClientError(answer, "GetObject"))  # type: ignore[arg-type]
    assert (type(found), str(found)) == (StoreMissingError, told)


def test_what_the_jobs_own_settings_bring_about() -> None:
    assert {"forbidden", "credentials", "requester_pays", "wrong_region"} == REFUSALS


def test_traffic_is_added_up_and_nothing_else() -> None:
    before = traffic_so_far()
    add_traffic(read_bytes=3)
    add_traffic(written_bytes=5)
    add_traffic(wait_s=0.25)
    now = traffic_so_far()
    assert now.wait_s - before.wait_s == pytest.approx(0.25)
    assert (now.read_bytes - before.read_bytes, now.written_bytes - before.written_bytes) == (3, 5)


@pytest.mark.parametrize(
    "name",
    ["AccessKeyId", "AWSAccessKeyId", "access_key_id", "GoogleAccessId", "accesskey", "sas"],
)
def test_names_of_parameters_that_are_credentials_as_a_whole(name: str) -> None:
    with pytest.raises(UsageError, match=f"the parameter '{name}'"):
        refuse_credentials(f"https://b.example/a.jpg?x=1&{name}=abc")
    refuse_credentials(f"https://b.example/a.jpg?x{name}x=abc")


def test_times_are_read_by_the_quick_way() -> None:
    filesystem = s3_requests._filesystem(os.getpid(), "of this test")
    factory = filesystem.session.get_component("response_parser_factory")
    assert factory._defaults["timestamp_parser"] is s3_requests._parse_time
