"""Edge cases of stores without a server: keys, addresses, limits, counters, samples, memory."""

import datetime
import os
import pickle
import time
import uuid
from pathlib import Path

import boto3
import pytest

from pipeline.errors import LedgerError, UsageError
from pipeline.storage import local, s3_requests
from pipeline.storage import store as store_module
from pipeline.storage.addresses import (
    local_path,
    refuse_credentials,
    s3_spelling,
    scheme_of,
)
from pipeline.storage.backend import (
    ObjectChangedError,
    ObjectTooLargeError,
    StoreUnavailableError,
)
from pipeline.storage.backoff import Backoff, RetryableError
from pipeline.storage.fsspec_store import CREATES_ONCE, FsspecBackend
from pipeline.storage.local import LocalBackend, file_etag
from pipeline.storage.sample import SampleStore
from pipeline.storage.store import Store, check_reachable, open_store
from pipeline.storage.traffic import Traffic, requests_so_far, traffic_so_far


def memory() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


def test_the_patience_that_is_promised() -> None:
    """docs/RELIABILITY.md gives these numbers."""
    usual = Backoff()
    assert (usual.first_s, usual.cap_s, usual.deadline_s) == (0.2, 10, 120)
    assert (
        s3_requests.CONNECT_TIMEOUT_S,
        s3_requests.READ_TIMEOUT_S,
        s3_requests.ATTEMPT_TIMEOUT_S,
    ) == (5, 30, 90)


def test_a_wait_that_ends_at_the_deadline_is_begun() -> None:
    now = [0.0]
    patient = Backoff(1, 8, 3, clock=lambda: now[0], draw=lambda low, high: high)
    waits = []
    for wait in patient.waits():
        waits.append(wait)
        now[0] += wait
    assert waits == [1, 2]
    assert now == [3]


def test_waits_are_drawn_from_nothing_to_the_ceiling() -> None:
    asked: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.0

    waits = Backoff(1, 3, 100, clock=lambda: 0.0, draw=draw).waits()
    assert [next(waits) for _ in range(4)] == [0.0] * 4
    assert asked == [(0, 1), (0, 2), (0, 3), (0, 3)]


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [("s3://b", "s3"), ("S3A://b", "s3a"), ("/a/b", "file"), ("C://x", "file"), ("a b://x", "file"),
     ("git+ssh://h", "git+ssh"), ("file:///x", "file"), ("x:/y", "file"), ("ht2://h", "ht2")],
)  # fmt: skip
def test_schemes(uri: str, scheme: str) -> None:
    assert scheme_of(uri) == scheme


def test_spellings() -> None:
    for uri in ("s3a://b/S3://k", "S3N://b/S3://k", "s3://b/S3://k", "S3://b/S3://k"):
        assert s3_spelling(uri) == "s3://b/S3://k"
    assert s3_spelling("/S3/k") == "/S3/k"
    assert local_path("FILE:///a%20b") == "/a b"
    assert local_path("/a%20b") == "/a%20b"
    with pytest.raises(UsageError, match="an empty path names no folder"):
        local_path("")


@pytest.mark.parametrize(
    ("name", "secret"),
    [("key", True), ("api-key", True), ("apikey", True), ("page_key", False), ("sort.key", False),
     ("row-key", False), ("monkey", False), ("pwd", True), ("signature", True), ("sig", True),
     ("x-amz-security-token", True), ("sas", True), ("GoogleAccessId", True), ("passwd", True),
     ("passphrase", True), ("bearer", True), ("accessKey", True), ("width", False), ("", False),
     ("credentials", True), ("cachekey", False), ("objectKey", False), ("authorization", True),
     ("hmac", True), ("JSESSIONID", True), ("sessionId", True), ("hdnea", True), ("session", False),
     ("passport", False), ("hockey", False)],
)  # fmt: skip
def test_names_of_parameters_that_carry_a_credential(name: str, secret: bool) -> None:
    for uri in (
        f"https://h/x?{name}=v", f"https://h/x?a=1&{name}=", f"https://h/x#{name}=v",
        f"https://h/x?a=1;{name}=v", f"https://h/x;{name}=v?a=1",
    ):  # fmt: skip
        if secret:
            with pytest.raises(UsageError, match="the parameter"):
                refuse_credentials(uri)
        else:
            refuse_credentials(uri)


def test_access_keys_stand_alone() -> None:
    for text in ("AKIA" + "A" * 16, "x/ASIA" + "9" * 16 + "/y"):
        with pytest.raises(UsageError, match="an access key id"):
            refuse_credentials(text)
    for text in ("AKIA" + "A" * 15, "AKIA" + "A" * 17, "ABIA" + "A" * 16, "9AKIA" + "A" * 16):
        refuse_credentials(text)
    with pytest.raises(UsageError, match="user:password@"):
        refuse_credentials("https://u:p@h/\nx")


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("a" * 512, True), ("a" * 513, False), ("_a/b.c-d=e", True), (".a", False), ("a/.b", False),
        ("crops/r/é名.webp", True), ("public/c/a b.webp", False), ("crops/r/_é", False),
        ("crops/r/.é", False), ("crops/r", True), ("crops/é/x", False), ("other/r/é", False),
        ("crops/r/" + "a" * 1016, True), ("crops/r/" + "a" * 1017, False),
        ("crops/r/" + "é" * 508, True), ("crops/r/" + "é" * 509, False), ("crops/r/a..b", False),
        ("a/", False), ("-a", False), ("a\\b", False), ("crops/r/a\\b", False),
    ],
)  # fmt: skip
def test_keys_of_our_own_making(key: str, ours: bool) -> None:
    store = memory()
    if not ours:
        with pytest.raises(ValueError, match="own making"):
            store.write(key, b"1")
        return
    store.write(key, b"1")
    assert store.read(key) == b"1"


def test_bytes_and_requests_are_counted_once() -> None:
    assert Traffic() == Traffic(0.0, 0, 0)
    store = memory()
    before, asked = traffic_so_far(), requests_so_far()
    store.write("a", b"12345")
    assert store.create_once("b", b"123")
    assert not store.create_once("b", b"other")
    store.read("a")
    store.head("a")
    store.delete("a")
    assert store.temporary_files() == ()
    assert not store.exists("a")
    after = traffic_so_far()
    assert after.written_bytes - before.written_bytes == 5 + 3
    assert after.read_bytes - before.read_bytes == 3 + 5  # the refused creation reads back
    assert 0 < after.wait_s - before.wait_s < 5
    assert requests_so_far() - asked == {"put": 3, "get": 2, "head": 2, "delete": 1, "list": 1}


def test_retries_are_counted_by_their_reason_and_given_up_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = memory()
    calls: list[str] = []

    def fail(key: str) -> None:
        calls.append(key)
        raise RetryableError("throttled", "slow down")

    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    store.backoff = Backoff(1, 8, 4, clock=lambda: now[0], sleep=sleep, draw=lambda low, high: high)
    monkeypatch.setattr(store._backend, "head", fail)
    with pytest.raises(
        StoreUnavailableError, match="did not answer a head of 'k' within 4 s: slow down"
    ) as no:
        store.head("k")
    assert no.value.reason == "throttled"
    assert len(calls) == 3
    assert store.requests == {"head": 3, "retry_throttled": 2}


def test_where_a_store_is_not_opened() -> None:
    for uri in ("s3://", "s3:///k", "s3://my bucket/k", "S3://b:k/k", "s3a://\u00fc/k"):
        told = f"'{s3_spelling(uri)}' names no bucket; write s3://bucket/prefix"
        with pytest.raises(UsageError, match=told):
            open_store(uri)
    assert open_store("s3://arn:aws:s3:eu-west-1:111122223333:accesspoint:a/k").uri.endswith("a/k")
    with pytest.raises(UsageError, match="one of memory, gs, gcs, az, abfs, abfss"):
        open_store("ftp://h/x")
    assert list(CREATES_ONCE) == ["memory", "gs", "gcs", "az", "abfs", "abfss"]
    patience = Backoff(deadline_s=1)
    assert open_store("memory://x", patience).backoff is patience
    assert open_store("memory://x").backoff == Backoff()


def test_only_s3_is_asked_before_a_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(store_module, "open_store", lambda *arguments: asked.append(arguments))
    for uri in (str(tmp_path), "memory://x", "gs://b/x"):
        check_reachable(uri)
    assert asked == []


def test_a_store_that_refuses_is_left_to_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (PermissionError("no"), LedgerError("no"), OSError("no"),
                  StoreUnavailableError("throttled", "busy")):  # fmt: skip

        def refuse(self: Store, key: str, error: Exception = error) -> bool:
            raise error

        monkeypatch.setattr(Store, "exists", refuse)
        check_reachable("s3://some-bucket/x")


def test_objects_of_a_bucket_have_the_types_that_browsers_ask_for(s3: str) -> None:
    store = open_store(f"{s3}/out")
    types = {
        "a.html": "text/html; charset=utf-8", "a.css": "text/css; charset=utf-8",
        "a.js": "text/javascript; charset=utf-8", "a.json": "application/json",
        "a.webp": "image/webp", "a.jpeg": "image/jpeg", "a.png": "image/png",
        "a.avif": "image/avif",
    }  # fmt: skip
    client = boto3.client("s3")
    for key, kind in types.items():
        store.write(key, key.encode())
        found = client.head_object(Bucket=s3[5:], Key=f"out/{key}")
        assert found["ContentType"] == kind
    store.create_once("b.json", b"{}")
    assert client.head_object(Bucket=s3[5:], Key="out/b.json")["ContentType"] == "application/json"
    assert [info.key for info in store.list()] == sorted([*types, "b.json"])
    assert [info.bytes for info in store.list("a.w")] == [6]
    assert store.temporary_files() == ()
    assert open_store(s3).folders("") == ("out",)


def test_an_object_of_a_bucket_at_its_limit(s3: str) -> None:
    store = open_store(s3)
    store.write("k", b"12345")
    info = store.head("k")
    assert (info.key, info.bytes, '"' in info.etag) == ("k", 5, False)
    assert store.read("k", info.etag, 5) == b"12345"
    with pytest.raises(ObjectTooLargeError, match="5 bytes, at most 4 are read"):
        store.read("k", None, 4)
    with pytest.raises(ObjectChangedError, match="no longer has the ETag abc"):
        store.read("k", "abc")


def test_times_in_every_form() -> None:
    at = datetime.datetime(2026, 11, 21, 3, tzinfo=datetime.UTC)
    for text in ("2026-11-21T03:00:00.000Z", "Sat, 21 Nov 2026 03:00:00 GMT"):
        assert s3_requests._parse_time(text) == at


def test_a_sample_keeps_nothing_that_workers_write() -> None:
    plan = SampleStore({"a/x": b"1", "a/b/y": b"22"}, keep=True)
    plan.write("c", b"333")
    assert plan.read("c") == b"333"
    assert plan.objects["c"] == b"333"
    copy = pickle.loads(pickle.dumps(plan))
    copy.write("d", b"4")
    assert copy.create_once("e", b"5")
    assert not copy.exists("d")
    assert not copy.exists("e")
    assert not copy.create_once("c", b"other")
    assert [info.key for info in copy.list("a/")] == ["a/b/y", "a/x"]
    assert copy.folders("a/") == ("b",)
    assert copy.folders("") == ("a",)
    info = copy.head("a/b/y")
    assert (info.bytes, info.etag) == (2, "2")
    assert copy.read("a/b/y", "2", 2) == b"22"
    with pytest.raises(ObjectTooLargeError, match="2 bytes, at most 1"):
        copy.read("a/b/y", None, 1)
    with pytest.raises(ObjectChangedError):
        copy.read("a/b/y", "3")
    copy.delete("a/x")
    copy.delete("a/x")
    with pytest.raises(FileNotFoundError):
        copy.read("a/x")
    assert copy.temporary_files() == ()
    assert copy.backoff.deadline_s == 0


def test_objects_in_memory() -> None:
    store = memory()
    store.write("a/x", b"1")
    store.write("ab/y", b"22")
    assert [info.key for info in store.list("a")] == ["a/x", "ab/y"]
    assert [info.key for info in store.list("a/")] == ["a/x"]
    assert store.folders("") == ("a", "ab")
    assert store.folders("none/") == ()
    info = store.head("ab/y")
    assert abs(info.modified_s - time.time()) < 60
    assert info.etag.endswith("-2")
    assert info.etag.startswith(f"{info.modified_s:.6f}")
    with pytest.raises(ObjectTooLargeError, match="2 bytes, at most 1 are read"):
        store.read("ab/y", max_bytes=1)
    with pytest.raises(ObjectChangedError):
        store.read("ab/y", "other")


@pytest.mark.parametrize(
    ("entry", "etag", "seconds"),
    [
        ({"ETag": '"abc"', "mtime": 7.5}, "abc", 7.5),
        (
            {"etag": "def", "last_modified": datetime.datetime.fromtimestamp(9, datetime.UTC)},
            "def",
            9,
        ),
        (
            {"created": datetime.datetime.fromtimestamp(5, datetime.UTC), "mtime": 7},
            "5.000000-3",
            5,
        ),
        ({}, "0.000000-3", 0),
    ],
)
def test_what_other_stores_say_of_an_object(
    entry: dict[str, object], etag: str, seconds: float
) -> None:
    backend = FsspecBackend("memory://root/here")
    info = backend._info({"name": "/root/here/a/b", "size": 3, **entry})
    assert (info.key, info.bytes, info.etag, info.modified_s) == ("a/b", 3, etag, seconds)


def test_errors_of_other_stores_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FsspecBackend("memory://root")
    for error in (OSError("reset"), TimeoutError("late")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(backend, "_fs", type("Fs", (), {"info": staticmethod(fail)}))
        with pytest.raises(RetryableError, match=f"{type(error).__name__}: {error}") as refused:
            backend.head("k")
        assert refused.value.reason == "network"


def test_files_of_a_folder(tmp_path: Path) -> None:
    backend = LocalBackend(str(tmp_path))
    backend.put("a/x", b"12")
    backend.put("a/x", b"123")
    assert backend.get("a/x", None, 3) == b"123"
    with pytest.raises(FileExistsError):
        backend.create("a/x", b"1")
    with pytest.raises(FileNotFoundError):
        backend.head("a")
    with pytest.raises(ObjectTooLargeError, match="3 bytes, at most 2 are read"):
        backend.get("a/x", None, 2)
    status = os.stat(tmp_path / "a" / "x")
    assert backend.head("a/x").etag == file_etag(status) == f"{status.st_mtime_ns:x}-3"
    assert backend.get("a/x", file_etag(status), None) == b"123"
    with pytest.raises(ObjectChangedError, match="was changed after the run was planned"):
        backend.get("a/x", "0-3", None)
    (tmp_path / "a" / ".tmp-1").write_bytes(b"half")
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "y").write_bytes(b"")
    assert [info.key for info in backend.list_page("a", None)[0]] == ["a/x", "ab/y"]
    assert [info.key for info in backend.list_page("a/", None)[0]] == ["a/x"]
    assert [info.key for info in backend.temporary_files()] == ["a/.tmp-1"]
    assert sorted(backend.folders("")) == ["a", "ab"]
    assert backend.folders("a/x/") == backend.folders("none/") == []
    backend.delete("a/x")
    backend.delete("a/x")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [".tmp-1"]


def test_a_folder_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: object, target: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(local.os, "link", no_links)
    with pytest.raises(LedgerError, match=r"has no hard links \(Operation not permitted\)"):
        open_store(str(tmp_path)).create_once("k", b"1")
    open_store(str(tmp_path)).write("k", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["k"], "nothing temporary is left"


def test_content_is_on_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(local.os, "fsync", lambda number: (done.append("sync"), sync(number))[1])
    monkeypatch.setattr(
        local.os, "replace", lambda a, b: (done.append("place"), replace(a, b))[1]
    )  # fmt: skip
    LocalBackend(str(tmp_path)).put("a/k", b"1")
    assert done == ["sync", "place", "sync"]  # the file, its name, the folder
