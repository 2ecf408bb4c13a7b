"""Servers that answer as HTTP allows, or as no server may, but not as S3 does."""

import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.inputs.lists import _bare
from pipeline.storage.backend import (
    ObjectPart,
    ObjectTooLargeError,
    StoreFailedError,
    StoreUnavailableError,
    bare_etag,
)
from pipeline.storage.backoff import Backoff
from pipeline.storage.s3_requests import _parse_time
from pipeline.storage.store import Store, open_store
from tests.support.serving import serving

ETAG, TIME = '"0a1b"', "Thu, 26 Nov 2026 12:00:00 GMT"
NOON_S = 1795694400.0  # seconds from 1970 to that time: 20,783 days and 12 hours
FACTS = {"ETag": ETAG, "Last-Modified": TIME}
ENTRY = {"Key": "a/x", "LastModified": "2026-11-26T12:00:00.000Z", "ETag": ETAG, "Size": "3"}
Answer = tuple[int, Mapping[str, str], bytes]
Answers = Callable[..., Store]


class Odd(BaseHTTPRequestHandler):
    """Gives the answers that a test chose, by method.

    One with `Connection: close` ends before its last chunk.
    """

    protocol_version = "HTTP/1.1"
    answers: Mapping[str, Answer]

    def do_GET(self) -> None:
        is_listing = "list-type" in parse_qs(urlsplit(self.path).query)
        self.answer(self.answers["LIST" if is_listing else "GET"])

    def do_HEAD(self) -> None:
        self.answer(self.answers["HEAD"])

    def answer(self, answer: Answer) -> None:
        status, headers, body = answer
        self.send_response(status)
        known = {name.lower() for name in headers}
        chunked = "transfer-encoding" in known
        length = {} if chunked or "content-length" in known else {"Content-Length": str(len(body))}
        for name, value in {**length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        piece = b"%x\r\n%s\r\n" % (len(body), body)
        self.wfile.write(
            (piece if self.close_connection else piece + b"0\r\n\r\n") if chunked else body
        )

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """A function that opens a store at a server with these answers."""
    handler = type("Handler", (Odd,), {"answers": {}})
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    def given(**answers: Answer) -> Store:
        handler.answers = answers  # type: ignore[attr-defined]
        return open_store("s3://bucket/", Backoff(deadline_s=0))

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield given


def ranged(text: str, body: bytes = b"789", **more: Answer) -> dict[str, Answer]:
    return {"GET": (206, {**FACTS, "Content-Range": text}, body), **more}


def listing(*entries: Mapping[str, str], more: str = "") -> Answer:
    parts = "".join(
        f"<Contents>{''.join(f'<{k}>{v}</{k}>' for k, v in entry.items())}</Contents>"
        for entry in entries
    )
    body = f'<?xml version="1.0"?><ListBucketResult>{more}{parts}</ListBucketResult>'
    return 200, {"Content-Type": "application/xml"}, body.encode()


def test_a_part_of_an_object_of_unknown_length(served: Answers) -> None:
    """HTTP allows it (RFC 9110, 14.4): the length is asked for by itself."""
    head = (200, {**FACTS, "Content-Length": "10"}, b"")
    store = served(**ranged("bytes 7-9/*", HEAD=head))
    assert store.read_part("k", 3) == ObjectPart(b"789", 10)
    assert store.read_part("k", 3, 7) == ObjectPart(b"789", 10)
    assert served(**ranged("Bytes 7-9/10 ")).read_part("k", 3) == ObjectPart(b"789", 10)


@pytest.mark.parametrize(
    ("text", "start", "words"),
    [
        ("bytes 7-9", 7, "wrong Content-Range: 'bytes 7-9'"),
        ("7-9/10", 7, "wrong Content-Range"),
        ("bytes */10", 7, "wrong Content-Range"),
        ("bytes 7-9/1e3", 7, "wrong Content-Range"),
        ("bytes 0-2/10", 7, "another part than asked for: 'bytes 0-2/10'"),
        ("bytes 0-2/10", None, "another part"),  # the last ones were asked for
        ("bytes 7-8/10", 7, "another part"),  # three bytes were sent
    ],
)
def test_a_part_that_was_not_asked_for(
    served: Answers, text: str, start: int | None, words: str
) -> None:
    with pytest.raises(StoreFailedError, match=words):
        served(**ranged(text)).read_part("k", 3, start)


def test_a_body_of_unknown_length(served: Answers) -> None:
    store = served(GET=(200, {**FACTS, "Transfer-Encoding": "chunked"}, b"0123456789"))
    assert store.read("k") == store.read("k", max_bytes=10) == b"0123456789"
    assert store.read_part("k", 3) == ObjectPart(b"789", 10)
    with pytest.raises(ObjectTooLargeError, match="over 9 bytes, at most 9"):
        store.read("k", max_bytes=9)
    known = served(GET=(200, FACTS, b"0123456789"))
    with pytest.raises(ObjectTooLargeError, match="10 bytes, at most 9"):
        known.read("k", max_bytes=9)


@pytest.mark.parametrize(
    ("facts", "unknown"),
    [
        ({"Last-Modified": TIME}, "no ETag of 'k'"),
        ({"ETag": ETAG}, "no LastModified of 'k'"),
        ({"ETag": ETAG, "Last-Modified": "yesterday"}, "no LastModified of 'k'"),
        ({**FACTS, "Transfer-Encoding": "chunked"}, "no ContentLength of 'k'"),
        ({"Transfer-Encoding": "chunked"}, "no ContentLength and no ETag and no LastModified"),
    ],
)
def test_facts_about_an_object_that_are_missing(
    served: Answers, facts: Mapping[str, str], unknown: str
) -> None:
    """Only where they are needed: the object itself is read."""
    store = served(HEAD=(200, facts, b""), GET=(200, facts, b"data"))
    with pytest.raises(StoreFailedError, match=f"the server gives {unknown}"):
        store.head("k")
    assert store.read("k") == b"data"


@pytest.mark.parametrize(
    ("entry", "unknown"),
    [
        ({"ETag": ""}, "ETag"),
        ({"Size": "3 bytes"}, "Size"),
        ({"Size": ""}, "Size"),
        ({"Size": "-1"}, "Size"),
        ({"LastModified": "2026-13-45"}, "LastModified"),
        ({"LastModified": ""}, "LastModified"),
    ],
)
def test_facts_that_a_listing_lacks(
    served: Answers, entry: Mapping[str, str], unknown: str
) -> None:
    for other in (entry, {**dict.fromkeys(entry, None)}):
        listed = {k: v for k, v in {**ENTRY, **other}.items() if v is not None}
        with pytest.raises(StoreFailedError, match=f"no {unknown} of 'a/x'"):
            list(served(LIST=listing(listed)).list("a/"))


def test_a_listing_whose_end_is_not_told_is_not_taken_for_whole(served: Answers) -> None:
    """As of a server that knows only the first version of the request."""
    cut = listing(ENTRY, more="<IsTruncated>true</IsTruncated><NextMarker>a/x</NextMarker>")
    for work in (lambda store: list(store.list()), lambda store: store.folders("a/")):
        with pytest.raises(StoreFailedError, match="has to know ListObjectsV2"):
            work(served(LIST=cut))
    assert [one.key for one in served(LIST=listing(ENTRY)).list()] == ["a/x"]


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's local time is five hours behind."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("new_york")
def test_times_without_a_zone_are_of_utc(served: Answers) -> None:
    for text in ("2026-11-26T12:00:00", "2026-11-26T12:00:00Z", "Thu, 26 Nov 2026 12:00:00"):
        assert _parse_time(text).timestamp() == NOON_S
    entry = {**ENTRY, "LastModified": "2026-11-26T12:00:00.000"}
    (found,) = served(LIST=listing(entry)).list()
    assert found.modified_s == NOON_S


def test_the_mark_of_a_weak_tag_is_left_out_everywhere(served: Answers) -> None:
    entry, head = {**ENTRY, "ETag": 'W/"0a1b"'}, {**FACTS, "ETag": 'W/"0a1b"'}
    store = served(LIST=listing(entry), HEAD=(200, {**head, "Content-Length": "3"}, b""))
    (found,) = store.list()
    assert found.etag == store.head("a/x").etag == bare_etag(' "0a1b"') == _bare('W/"0a1b"')
    assert found.etag == "0a1b"


def test_a_body_in_chunks_that_ends_early_is_asked_for_again(served: Answers) -> None:
    cut = {**FACTS, "Transfer-Encoding": "chunked", "Connection": "close"}
    store = served(GET=(200, cut, b"1234"))
    for most in (None, 9):
        with pytest.raises(StoreUnavailableError) as caught:
            store.read("k", max_bytes=most)
        assert caught.value.reason == "network"
