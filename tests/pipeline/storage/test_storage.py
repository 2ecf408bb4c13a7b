"""Every kind of store keeps the same small contract; stores that cannot are refused."""

import os
import pickle
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest

from pipeline.cli.runs import main
from pipeline.errors import LedgerError, UsageError
from pipeline.ledger.reader import open_run
from pipeline.storage import store as store_module
from pipeline.storage.addresses import refuse_credentials
from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectTooLargeError,
    StoreFailedError,
    StoreUnavailableError,
)
from pipeline.storage.backoff import Backoff
from pipeline.storage.store import FIRST_ANSWER_S, check_reachable, open_store
from pipeline.storage.traffic import requests_so_far
from tests.support.faultproxy import FaultProxy, at_random, once
from tests.support.serving import serving

QUICK = Backoff(first_s=0.01, cap_s=0.05, deadline_s=20)
STRANGE_KEYS = [
    "../../etc/passwd", "a/../b", "a//b", "/lead", "trail/", "./x", "a/./b", "%2e%2e/%2f", "a%20b",
    "a b+c&d=e#f;g?h", "nul\x01",
    "a?versionId=7", "ü/日本/🙂", "q\"'<>\\|", "k" * 900, "-rf", "~root",
]  # fmt: skip


def test_bytes_in_bytes_out(store_uri: str) -> None:
    store = open_store(store_uri)
    store.write("a/one", b"1")
    store.write("a/two", b"")
    store.write("b/three", b"333")
    assert store.read("a/two") == b""
    assert store.read("b/three") == b"333"
    assert [(o.key, o.bytes) for o in store.list("a/")] == [("a/one", 1), ("a/two", 0)]
    assert [o.key for o in store.list()] == ["a/one", "a/two", "b/three"]
    assert store.folders("") == ("a", "b")
    assert store.head("b/three").bytes == 3
    assert store.exists("a/one")
    store.delete("a/one")
    store.delete("a/one")
    assert not store.exists("a/one")
    with pytest.raises(FileNotFoundError):
        store.read("a/one")


def test_a_key_is_created_once(store_uri: str) -> None:
    store = open_store(store_uri)
    assert store.create_once("k", b"first") is True
    assert store.create_once("k", b"first") is True  # our own, its answer lost
    assert store.create_once("k", b"other") is False
    assert store.read("k") == b"first"
    store.probe_create_once()
    store.probe_create_once()


def test_of_many_creators_one_wins(store_uri: str, request: pytest.FixtureRequest) -> None:
    if store_uri.startswith("s3"):  # moto alone can let two through, see FaultProxy
        proxy = FaultProxy(request.getfixturevalue("s3_server"))
        request.getfixturevalue("monkeypatch").setenv("AWS_ENDPOINT_URL", proxy.__enter__().address)
        request.addfinalizer(lambda: proxy.__exit__(None, None, None))
    store = open_store(store_uri)
    start = threading.Barrier(8)
    won: list[int] = []

    def create(number: int) -> None:
        start.wait()
        if store.create_once("race", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("race") == str(won[0]).encode()


def test_an_object_is_read_as_pinned_and_not_beyond_a_size(store_uri: str) -> None:
    store = open_store(store_uri)
    store.write("k", b"12345")
    etag = store.head("k").etag
    assert store.read("k", etag) == b"12345"
    assert store.read("k", etag, max_bytes=5) == b"12345"
    with pytest.raises(ObjectTooLargeError):
        store.read("k", max_bytes=4)
    store.write("k", b"123456")
    with pytest.raises(ObjectChangedError):
        store.read("k", etag)


@pytest.mark.parametrize("key", ["", "/abs", "a/../b", "..", "a//b", "a\nb", "a b", "ü", "a" * 600])
def test_only_keys_of_our_own_making_are_written(tmp_path: Path, key: str) -> None:
    store = open_store(str(tmp_path / "out"))
    with pytest.raises(ValueError, match="own making"):
        store.write(key, b"")
    with pytest.raises(ValueError, match="own making"):
        store.create_once(key, b"")
    with pytest.raises(ValueError, match="own making"):
        store.delete(key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", STRANGE_KEYS, ids=range(len(STRANGE_KEYS)))
def test_strange_keys_are_listed_and_read_as_they_are(s3: str, key: str) -> None:
    client = boto3.client("s3")
    client.put_object(Bucket=s3[5:], Key=f"in/{key}", Body=key.encode())
    store = open_store(s3)
    assert [info.key for info in store.list("in/")] == [f"in/{key}"]
    assert store.read(f"in/{key}") == key.encode()


def test_times_are_the_same_in_a_listing_and_alone_and_are_now(store_uri: str) -> None:
    store = open_store(store_uri)
    store.write("k", b"")
    (listed,) = store.list("k")  # an XML body: 2026-11-21T03:00:00.000Z
    alone = store.head("k")  # a header: Sat, 21 Nov 2026 03:00:00 GMT, whole seconds
    assert abs(listed.modified_s - alone.modified_s) < 1
    assert abs(listed.modified_s - time.time()) < 60


def test_who_writes_learns_the_etag_that_is_listed_until_another_writes(store_uri: str) -> None:
    store = open_store(store_uri)
    told = store.write("k", b"1") or store.head("k").etag
    (listed,) = store.list("k")
    assert listed.etag == told
    store.write("k", b"2")
    (listed,) = store.list("k")
    assert listed.etag != told


def test_a_listing_goes_over_pages(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(s3 + "/p")
    for number in range(5):
        store.write(f"d{number}/k", b"")
    import pipeline.storage.s3

    original = pipeline.storage.s3.S3Backend._list_objects
    monkeypatch.setattr(
        pipeline.storage.s3.S3Backend, "_list_objects",
        lambda self, **options: original(self, **{**options, "MaxKeys": 2}),
    )  # fmt: skip
    before = store.requests["list"]
    assert [o.key for o in store.list()] == [f"d{n}/k" for n in range(5)]
    assert store.requests["list"] - before == 3
    assert store.folders("") == ("d0", "d1", "d2", "d3", "d4")


def test_a_crash_while_writing_leaves_no_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))

    def die(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", die)
    with pytest.raises(KeyboardInterrupt):
        store.create_once("a", b"half")
    monkeypatch.undo()
    (tmp_path / ".tmp-left-by-a-killed-process").write_bytes(b"half")
    assert list(store.list()) == []


@pytest.mark.parametrize("fault", ["throttle", "conflict", "reset", "lost", "truncate", "slow"])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_one_fault_changes_nothing(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, fault: str, method: str
) -> None:
    with FaultProxy(s3_server, once(fault, method, "/k")) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        store = open_store(s3, QUICK)
        assert store.create_once("k", b"content")
        assert store.read("k") == b"content"
        assert not store.create_once("k", b"other")
        assert proxy.counts[fault] == 1
    # A reset of a kept connection is tried again by the HTTP client itself, unseen by the store.
    if fault in ("throttle", "conflict") or (fault, method) == ("truncate", "GET"):
        assert sum(count for name, count in store.requests.items() if "retry" in name) == 1


def test_many_faults_change_nothing(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {"throttle": 0.06, "lost": 0.06, "reset": 0.04, "truncate": 0.02, "conflict": 0.02}
    with FaultProxy(s3_server, at_random(shares, seed=5)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        store = open_store(s3, QUICK)
        for number in range(60):
            assert store.create_once(f"k/{number:02d}", str(number).encode())
        for number in range(60):
            assert not store.create_once(f"k/{number:02d}", b"other")
            assert store.read(f"k/{number:02d}") == str(number).encode()
        assert len(list(store.list("k/"))) == 60
        assert proxy.counts["requests"] - proxy.counts["none"] > 30


def test_a_dead_store_is_given_up_at_the_deadline(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = open_store(s3, Backoff(first_s=0.01, cap_s=0.02, deadline_s=0.2))
    with pytest.raises(StoreUnavailableError, match=r"did not answer a get of 'k' within 0\.2 s"):
        store.read("k")


@pytest.mark.parametrize(
    ("endpoint", "wait_s"), [("http://127.0.0.1:9", FIRST_ANSWER_S), ("http://no-such.invalid", 1)]
)
def test_a_wrong_endpoint_is_told_soon(
    s3: str, endpoint: str, wait_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "FIRST_ANSWER_S", wait_s)
    check_reachable(s3)
    check_reachable(f"{s3}-absent/x")  # an answer, though there is no bucket
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"nothing answers there .*check AWS_ENDPOINT_URL"):
        check_reachable(s3)
    assert time.monotonic() - started < 15


def test_who_reads_hears_of_a_wrong_endpoint_soon(
    s3: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", f"{s3}-absent/x"]) == 2
    assert "there is no bucket" in capsys.readouterr().err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(store_module, "FIRST_ANSWER_S", 1.0)
    started = time.monotonic()
    with pytest.raises(UsageError, match="nothing answers there"):
        open_run(s3)
    assert main(["show", s3, "some-run"]) == 2
    assert "nothing answers there" in capsys.readouterr().err
    assert time.monotonic() - started < 25, "of twice 10, not of twice 120"


def test_a_404_that_names_no_cause_is_a_bucket_that_is_not_there(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server at the endpoint answers so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    with serving(server):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for ask in (lambda store: store.folders("runs/"), lambda store: list(store.list("k"))):
            with pytest.raises(UsageError, match=r"^there is no bucket [\w-]+ \(404: "):
                ask(open_store(s3, QUICK))


def test_a_store_that_overwrites_is_refused(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(s3_server, lambda request: "deaf") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        with pytest.raises(LedgerError, match="overwrote an object"):
            open_store(s3, QUICK).probe_create_once()


def test_a_store_without_creation_of_its_own_is_refused() -> None:
    for uri in ("ftp://127.0.0.1/x", "http://127.0.0.1/x", "zip://x"):
        with pytest.raises(UsageError, match="not known to create an object only if it is absent"):
            open_store(uri)


def test_requests_are_counted(store_uri: str) -> None:
    store = open_store(store_uri)
    before = requests_so_far()
    store.write("k", b"")
    store.read("k")
    list(store.list())
    assert requests_so_far() - before == {"put": 1, "get": 1, "list": 1}
    assert store.requests == {"put": 1, "get": 1, "list": 1}


def test_a_store_can_be_pickled(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("k", b"1")
    assert pickle.loads(pickle.dumps(store)).read("k") == b"1"


SECRETS = [
    "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@bucket/x",
    "https://user:hunter2@host/x.jpg",
    "/data/ASIAIOSFODNN7EXAMPLE/x",
    "https://account.blob.core.windows.net/c/x.jpg?sv=2022&sig=abc%2Bdef",
    "https://host/x.jpg?jwt=abc",
    "https://host/x.jpg?auth=abc",
    "https://host/x.jpg?clientSecret=abc",
    "https://host/x.jpg?AWSAccessKeyId=abc&Expires=1",
    "https://host/x.jpg?api_key=abc",
    "https://host/x.jpg#access_token=abc&token_type=none",
    "https://bucket.s3.amazonaws.com/x.jpg?X-Amz-Signature=abc&X-Amz-Credential=q",
    "gs://bucket/x?token=abc",
    "/data/AKIAIOSFODNN7EXAMPLE/x",
]


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_in_arguments_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="Credentials are never taken") as refused:
        open_store(text)
    for word in ("AKIA", "ASIA", "wJalr", "hunter2", "abc"):
        assert word not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://b/x?versionId=1", "/a@b/c", "https://h/x.jpg?w=1", "16:9", "https://h/x?monkey=1",
        "https://h/x?sort_key=name&design=2", "https://h/x?author=me&tokens=3#key-facts",
        "s3://b/x?token=1", "/data/XASIAIOSFODNN7EXAMPLE/x",
    ],
)  # fmt: skip
def test_plain_addresses_pass(text: str) -> None:
    refuse_credentials(text)


def test_a_bucket_that_is_not_there(s3: str) -> None:
    store = open_store(s3 + "-absent/out")
    for ask in (
        lambda: list(store.list()),
        lambda: store.folders("runs/"),
        lambda: store.write("k", b""),
    ):
        with pytest.raises(UsageError, match=f"no bucket {s3[5:]}-absent"):
            ask()


def test_a_folder_that_is_a_file_or_not_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = open_store(str(tmp_path))
    with pytest.raises(StoreFailedError, match="a file is where a folder should be"):
        store.create_once("file/k", b"")
    with pytest.raises(StoreFailedError, match="a file is where a folder should be"):
        store.write("file/a/k", b"")


def test_a_folder_that_may_not_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "not yours", "/out")

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write everywhere
    told = r"refuses a put of 'k': .* not yours: '/out'; get the right to use it, or choose another"
    with pytest.raises(UsageError, match=told):
        open_store(str(tmp_path / "out")).write("k", b"")


def test_forbidden_is_not_tried_again(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultProxy(os.environ["AWS_ENDPOINT_URL"], lambda request: "forbid") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        store = open_store(s3, QUICK)
        for ask, told in (
            (lambda: store.read("odd\n" + "k" * 300), r"a get of 'odd\\n" + "k" * 194 + ": Acc"),
            (lambda: store.write("runs/a.json", b""), r"a put of 'runs/a\.json': AccessDenied"),
            (lambda: store.create_once("public/w/ü?", b""), r"a put of 'public/w/ü\?'"),
            (lambda: store.head("k"), "a head of 'k': 403: Forbidden"),
            (lambda: next(store.list("runs/")), "a list of 'runs/'"),
            (lambda: next(store.list()), "a list: AccessDenied: made by the fault proxy"),
            (lambda: store.folders("runs/"), "a list of 'runs/'"),
            (lambda: store.delete("k"), "a delete of 'k'"),
        ):
            with pytest.raises(PermissionError, match=f"^{s3} refuses {told}"):
                ask()
        assert proxy.counts["requests"] == 8


def test_without_credentials_the_error_says_what_to_give(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(PermissionError, match="give the machine a role"):
        open_store(s3).read("k")
