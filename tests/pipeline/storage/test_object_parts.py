"""Parts of objects: each kind of store gives the bytes that were asked for, and no others."""

import io
import random
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pipeline.storage import object_parts
from pipeline.storage.backend import ObjectPart, StoreUnavailableError
from pipeline.storage.backoff import Backoff
from pipeline.storage.object_parts import END_BYTES, ObjectParts, joined_spans
from pipeline.storage.s3 import S3Backend
from pipeline.storage.sample import SampleStore
from pipeline.storage.store import Store, open_store
from pipeline.storage.traffic import traffic_so_far
from tests.pipeline.storage.test_backends import talk

BYTES = random.Random(7).randbytes(1_000_000)


class Body(io.BytesIO):
    """The body of an answer."""

    async def __aenter__(self) -> "Body":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def read(self) -> bytes:  # type: ignore[override]
        return super().read()


@pytest.fixture
def stores(store_uri: str) -> list[Store]:
    """The same objects in a store of each kind."""
    there = open_store(store_uri)
    objects = {"k": b"0123456789", "a/empty": b"", "long": BYTES}
    for key, data in objects.items():
        there.write(key, data)
    return [there, SampleStore(objects)]


def test_a_part_of_an_object(stores: list[Store]) -> None:
    for store in stores:
        before = traffic_so_far().read_bytes
        assert store.read_part("k", 3, 2) == ObjectPart(b"234", 10)
        assert store.read_part("k", 3) == ObjectPart(b"789", 10)
        assert traffic_so_far().read_bytes - before == 6
        assert store.read_part("k", 9, 8) == ObjectPart(b"89", 10)
        assert store.read_part("k", 20) == ObjectPart(b"0123456789", 10)
        assert store.read_part("k", 1, 10).data == store.read_part("k", 5, 99).data == b""
        assert store.read_part("a/empty", 4) == ObjectPart(b"", 0)
        with pytest.raises(FileNotFoundError):
            store.read_part("none", 1)


def test_a_file_of_parts_reads_like_the_object(stores: list[Store]) -> None:
    """Reads begin and end anywhere: in parts that are here, between them, and across."""
    for store in stores:
        draw, plain = random.Random(3), io.BytesIO(BYTES)
        parts = ObjectParts(store, "long")
        parts.fetch([(1_000, 2_000), (300_000, 300_500), (600_000, 600_001)])
        for _ in range(40):
            at = draw.choice([0, 900, 1_999, 300_100, 600_000, 930_000, 999_990])
            for file in (parts, plain):
                file.seek(at)
            size = draw.choice([1, 150, 2_500, 100_000])
            assert parts.read(size) == plain.read(size)
            assert parts.tell() == plain.tell()
        assert parts.seek(-10, io.SEEK_END) == 999_990
        assert (parts.read(), parts.read(), parts.seek(-3, io.SEEK_CUR)) == (
            BYTES[-10:], b"", 999_997,
        )  # fmt: skip
        assert ObjectParts(store, "a/empty").read() == b""


def test_only_what_is_needed_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_parts, "GAP_BYTES", 1_000)
    store = open_store(str(tmp_path))
    store.write("long", BYTES)
    before = traffic_so_far().read_bytes
    parts = ObjectParts(store, "long")
    end_at = len(BYTES) - END_BYTES
    parts.fetch([(100_000, 100_200), (101_200, 101_300), (5_000, 5_100), (end_at - 7, end_at + 9)])
    parts.fetch([(end_at + 5, end_at + 50), (2_000_000, 2_000_001), (-5, 3)])  # here, or not there
    assert store.requests["get"] == 1 + 3
    assert traffic_so_far().read_bytes - before == END_BYTES + (1_300 + 100 + 7)
    parts.seek(100_000)
    assert parts.read(1_300) == BYTES[100_000:101_300]
    parts.seek(end_at - 7)
    assert parts.read() == BYTES[end_at - 7 :]
    assert store.requests["get"] == 1 + 3


def test_many_spans_are_fetched_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of forty spans, sixteen are asked for before the first one is here, and no more."""
    monkeypatch.setattr(object_parts, "GAP_BYTES", 1_000)
    store = open_store(str(tmp_path))
    store.write("long", BYTES)
    parts, plain = ObjectParts(store, "long"), Store.read_part
    together = threading.Barrier(16)
    under_way, most = [], [0]

    def read_part(self: Store, key: str, size: int, start: int | None = None) -> ObjectPart:
        under_way.append(start)
        most[0] = max(most[0], len(under_way))
        if len(seen) < 16:
            seen.append(start)
            together.wait(20)
        under_way.remove(start)
        return plain(self, key, size, start)

    seen = list[int | None]()
    monkeypatch.setattr(Store, "read_part", read_part)
    before = traffic_so_far().read_bytes
    parts.fetch([(at, at + 10) for at in range(0, 800_000, 20_000)])
    assert store.requests["get"] == 1 + 40
    assert traffic_so_far().read_bytes - before == 40 * 10
    assert most == [16]
    parts.seek(780_005)
    assert parts.read(5) == BYTES[780_005:780_010]
    assert store.requests["get"] == 1 + 40


def test_spans_are_joined_over_small_gaps() -> None:
    spans = [(50, 60), (0, 10), (14, 20), (15, 17), (65, 70)]
    assert joined_spans(spans, 4) == [(0, 20), (50, 60), (65, 70)]
    assert joined_spans(spans, 5) == [(0, 20), (50, 70)]
    assert joined_spans([], 5) == []


def test_a_server_may_refuse_to_send_less_than_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = ClientError({"Error": {"Code": "InvalidRange"}}, "GetObject")
    whole = {"ContentLength": 3, "Body": Body(b"012")}
    nothing = {"ContentLength": 0, "Body": Body(b"")}
    client = talk(monkeypatch, refused, whole, refused, nothing, refused)
    backend = S3Backend("b", "")
    assert backend.get_part("k", None, 8) == ObjectPart(b"012", 3)
    assert backend.get_part("empty", None, 8) == ObjectPart(b"", 0)
    assert backend.get_part("k", 3, 8).data == b""
    asked = [one.get("Range") for one in client.asked]
    assert asked == ["bytes=-8", None, "bytes=-8", None, "bytes=3-10"]


def test_a_server_without_ranges_sends_the_whole_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(data: bytes, **more: object) -> dict[str, object]:
        return {"ContentLength": len(data), "Body": Body(data), **more}

    part = {"ContentRange": "bytes 7-9/10"}
    client = talk(
        monkeypatch, answer(b"0123456789"), answer(b"0123456789"), answer(b"789", **part),
        {**answer(b"78"), **part, "ContentLength": 3},
    )  # fmt: skip
    store = Store("s3://b", S3Backend("b", "", requester_pays=True), Backoff(deadline_s=0))
    assert store.read_part("k", 3) == ObjectPart(b"789", 10)
    assert store.read_part("k", 2, 4) == ObjectPart(b"45", 10)
    assert store.read_part("k", 3, 7) == ObjectPart(b"789", 10)
    with pytest.raises(StoreUnavailableError, match="2 of 3 bytes arrived"):
        store.read_part("k", 3)
    asked = [(one["Range"], one["RequestPayer"]) for one in client.asked]
    assert asked[:3] == [(f"bytes={one}", "requester") for one in ("-3", "4-5", "7-9")]
