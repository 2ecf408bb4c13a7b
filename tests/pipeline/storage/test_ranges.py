"""Listing with several threads equals serial listing for any keys, at few extra requests."""

import http.client
import random
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from pipeline.inputs.listing import list_all
from pipeline.storage import ranges
from pipeline.storage.backend import ObjectInfo, StoreUnavailableError
from pipeline.storage.backoff import Backoff, RetryableError
from pipeline.storage.ranges import list_by_ranges, middle_of
from pipeline.storage.s3 import S3Backend
from pipeline.storage.store import Store, open_store
from tests.support.small_pieces import in_small_pieces

PAGE = 10


class MadeUp:
    """Objects by key in memory, listed as S3 does, a few a page."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.infos = [ObjectInfo(key, len(key), f"e{key}", 1.5) for key in sorted(keys)]
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.fails_behind: str | None = None
        self.ignores_after = False

    def list_page(self, prefix: str, token: str | None) -> tuple[list[ObjectInfo], str | None]:
        found = [info for info in self.infos if info.key.startswith(prefix)]
        start = int(token or 0)
        return found[start : start + PAGE], str(start + PAGE) if len(found) > start + PAGE else None

    def list_after(self, prefix: str, after: str) -> tuple[list[ObjectInfo], bool]:
        with self.lock:
            self.asked.append(after)
        if self.fails_behind is not None and after > self.fails_behind:
            raise RetryableError("server", "made up")
        after.encode()  # no half of a surrogate pair
        found = [i for i in self.infos if i.key.startswith(prefix)]
        if not self.ignores_after:
            found = [i for i in found if i.key > after]
        return found[:PAGE], len(found) > PAGE


def store_of(backend: MadeUp) -> Store:
    return Store("made-up://", backend, Backoff(deadline_s=0.0))  # type: ignore[arg-type]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads join after two pages; what they find goes to the disk."""
    in_small_pieces(monkeypatch)
    monkeypatch.setattr(ranges, "SERIAL_PAGES", 2)
    monkeypatch.setattr(ranges, "PAGE_KEYS", PAGE)


DRAWN = random.Random(3)
LETTERS = "ab~0% [ä😀\ud7ff\ue000\uffff\U0010ffff\x01\n+"
KEYS = {
    "numbers": [f"2026/11/21/{n:09d}.jpg" for n in range(700)],
    "hashes": [f"p/{DRAWN.getrandbits(64):016x}" for _ in range(700)],
    "folders": [f"{d:03}/{n}" for d in range(40) for n in range(DRAWN.choice([1, 2, 60]))],
    "one large folder": [f"{d}/{n}" for d in "aéz" for n in range(400 if d == "é" else 3)],
    "odd": ["".join(DRAWN.choices(LETTERS, k=DRAWN.randrange(1, 7))) for _ in range(900)],
    "nested": ["a" * n for n in range(1, 300)],
    "few": [str(n) for n in range(7)],
    "a page": [f"{n:02}" for n in range(10)],
    "two pages": [f"{n:02}" for n in range(20)],
    "none": [],
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("prefix", ["", "2026/11/21/0", "p/", "é/", "a"])
def test_the_list_is_the_serial_one(name: str, prefix: str, soon: None) -> None:
    store = store_of(MadeUp([*set(KEYS[name])]))
    assert list(list_by_ranges(store, prefix)) == list(store.list(prefix))


@pytest.mark.parametrize("name", ["numbers", "hashes", "folders", "one large folder"])
def test_guesses_cost_few_requests_more(name: str, soon: None) -> None:
    backend = MadeUp(KEYS[name])
    found = list(list_by_ranges(store_of(backend), ""))
    pages = -(-len(found) // PAGE)
    assert len(backend.asked) < 4 * pages + 60
    assert len(backend.asked) >= pages


@pytest.mark.parametrize(("name", "pages"), [("few", 1), ("a page", 1), ("two pages", 2)])
def test_a_short_list_costs_its_pages_alone(name: str, pages: int, soon: None) -> None:
    backend = MadeUp(KEYS[name])
    assert len(list(list_by_ranges(store_of(backend), ""))) == len(KEYS[name])
    assert len(backend.asked) == pages


def test_a_store_that_begins_anew_each_time_is_listed_by_its_tokens(soon: None) -> None:
    backend = MadeUp(KEYS["numbers"])
    backend.ignores_after = True
    store = store_of(backend)
    assert list(list_by_ranges(store, "")) == list(store.list(""))
    assert len(backend.asked) == 2


def test_a_page_that_fails_ends_the_listing(soon: None) -> None:
    backend = MadeUp(KEYS["numbers"])
    backend.fails_behind = KEYS["numbers"][300]
    with pytest.raises(StoreUnavailableError):
        list(list_by_ranges(store_of(backend), ""))


@pytest.mark.parametrize(
    ("first", "after", "until", "middle"),
    [
        ("p/00", "p/07", None, "p/1"),  # all begin with 0: what begins with more?
        ("p/00", "p/27", None, "p/6"),  # digits left: 3 to 9
        ("p/00", "p/27", "p/6", "p/4"),
        ("p/20", "p/27", "p/3", "p/28"),  # nothing between 2 and 3: within 2
        ("p/ab", "p/ag", "p/b", "p/aq"),
        ("p/a", "p/a", "p/a", None),
        ("p/a", "p/b", "p/c", None),
        ("p/", "p/", None, None),
        ("p/\ud7ff", "p/\ud7ff", None, "p/\ue000"),
    ],
)
def test_middles(first: str, after: str, until: str | None, middle: str | None) -> None:
    assert middle_of("p/", first, after, until) == middle


def test_other_stores_are_listed_page_by_page(store_uri: str) -> None:
    store = open_store(store_uri)
    for number in range(3):
        store.write(f"a/{number}", b"x")
    assert [info.key for info in list_by_ranges(store, "a/")] == ["a/0", "a/1", "a/2"]


ODD = ["ü", "😀", " ", "[", "%", "%20", "+", "&", "=", "a", "B", "0", "1", "~", "/", "#", "?"]


def fill(address: str, bucket: str, count: int) -> int:
    """Put so many objects with odd names and as many with plain ones; returns how many."""
    draw = random.Random(9)
    names = {f"in/{''.join(draw.choices(ODD, k=8))}{n}.jpg" for n in range(count)}
    names |= {f"in/2026/11/{n:07}.jpg" for n in range(count)}
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    for name in names:
        connection.request("PUT", f"/{bucket}/{quote(name)}", body=b"x")
        assert connection.getresponse().read() == b""
    connection.close()
    return len(names)


def is_listed_alike(uri: str, count: int) -> int:
    """Compare both listings of a bucket; returns how many requests the threads' one took."""
    store = open_store(uri)
    serial = list(store.list("in/"))
    assert len(serial) == count
    before = store.requests["list"]
    assert list(list_by_ranges(store, "in/")) == serial
    asked = store.requests["list"] - before
    assert list_all(f"{uri}/in/").table["uri"].to_pylist() == [f"{uri}/{one.key}" for one in serial]
    return asked


def test_odd_names_in_a_bucket(
    s3: str, s3_server: str, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = S3Backend._list_objects

    def few(self: S3Backend, **options: Any) -> dict[str, Any]:
        return listed(self, MaxKeys=PAGE, **options)

    monkeypatch.setattr(S3Backend, "_list_objects", few)
    count = fill(s3_server, s3.removeprefix("s3://"), 150)
    assert 30 <= is_listed_alike(s3, count) < 150


@pytest.mark.slow  # it takes the server 20 s to have so many objects
def test_thousands_of_odd_names_in_a_bucket(s3: str, s3_server: str) -> None:
    count = fill(s3_server, s3.removeprefix("s3://"), 3000)
    assert 6 <= is_listed_alike(s3, count) < 60
