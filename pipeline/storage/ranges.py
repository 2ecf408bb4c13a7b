"""List a long prefix in several threads, each with its own range of keys.

An idle thread takes the keys after a middle from a busy one (work stealing): it requests the page
after that middle. If the page is empty, no keys are there, and the other's range ends sooner; else
the page is the first of a new range. The middle is guessed from the keys: the next character where
all keys of the range so far have the same one, or half of what is left of its kind (digits,
letters) where they differ. A wrong guess costs a request.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipeline.storage.backend import ObjectInfo, Page
from pipeline.storage.partitions import Partitions
from pipeline.storage.spool import pieces
from pipeline.storage.store import Store

THREADS = 16
SERIAL_PAGES = 4  # that one thread lists before others join
PAGE_KEYS = 1000  # in a response of S3
EMPTY_PROBES = 24  # that a range may cost before it has to list a page for each further one
MIN_PAGES_BETWEEN_CUTS = 3  # of a range: a cut in one that ends soon is not worth its request
READ_ROWS = 10_000  # that are Python objects at a time
_KINDS = ("09", "az", "AZ")
_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("modified_s", pa.float64(), nullable=False),
    ]
)


def list_by_ranges(store: Store, prefix: str) -> Iterator[ObjectInfo]:
    """Yield what `store.list` yields, in its order, but faster for some thousand keys or more.

    A store that cannot start after a key, or does not list in key order, is listed page by page.
    Raises what `store.list` raises.
    """
    if not store.lists_after:
        yield from store.list(prefix)
        return
    try:
        yield from _list(store, prefix)
    except _UnorderedError:
        yield from store.list(prefix)


class _UnorderedError(Exception):
    """The store's answer is unsorted, begins before the key asked for, or is empty but not last."""


@dataclass(eq=False)
class _Range:
    """A range of keys that has been listed up to `after`, and ends at `until`.

    first: its first key. until: where the next range begins; None for the end of the prefix.
    probed: whether a thread is probing a middle now. pages, pages_since_cut: number of pages
    listed, in all and since the last cut. empty_probes: number of middles that nothing came after.
    """

    number: int
    first: str
    after: str
    until: str | None
    done: bool = False
    probed: bool = False
    pages: int = 0
    empty_probes: int = 0
    pages_since_cut: int = 0


def _list(store: Store, prefix: str) -> Iterator[ObjectInfo]:
    head: list[ObjectInfo] = []
    more = True
    while more and len(head) < SERIAL_PAGES * PAGE_KEYS:
        page, more = _page(store, prefix, head[-1].key if head else "")
        if not page:
            break
        head += page
    if not more or not head:
        yield from head
        return
    listing = _Listing(store, prefix, head)
    listing.run()
    yield from head
    yield from listing.found()


def _page(store: Store, prefix: str, after: str) -> Page:
    page, more = store.list_after(prefix, after)
    keys = [after, *(info.key for info in page)]
    if any(later <= earlier for earlier, later in pairwise(keys)) or (more and not page):
        raise _UnorderedError
    return page, more


class _Listing:
    """The ranges of one listing, in the order of their keys, and what was found in them."""

    def __init__(self, store: Store, prefix: str, head: list[ObjectInfo]) -> None:
        self._store, self._prefix = store, prefix
        whole = _Range(
            0,
            head[0].key,
            head[-1].key,
            None,
            pages=SERIAL_PAGES,
            pages_since_cut=MIN_PAGES_BETWEEN_CUTS,
        )
        self._ranges = [whole]
        self._partitions = Partitions(_SCHEMA)
        self._changed = threading.Condition()
        self._ended = False  # by a thread that failed, or by the one that waits for them

    def run(self) -> None:
        """List everything. Raises what a request raised."""
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                firsts = [self._ranges[0], *[None] * (THREADS - 1)]
                for work in [pool.submit(self._work, first) for first in firsts]:
                    work.result()
            finally:
                self._end()

    def found(self) -> Iterator[ObjectInfo]:
        """Yield the objects by key, once all are listed."""
        for one in self._ranges:
            for chunk in self._partitions.chunks(one.number):
                for piece in pieces(chunk, READ_ROWS):
                    columns = (column.to_pylist() for column in piece.columns)
                    for key, size, etag, modified_s in zip(*columns, strict=True):
                        yield ObjectInfo(key, size, etag, modified_s)

    def _work(self, own: _Range | None) -> None:
        """List ranges until none is left, `own` first. A failure ends the other threads too."""
        is_complete = False
        try:
            while (own := own or self._steal()) is not None:
                while not (own.done or self._ended):
                    page, more = _page(self._store, self._prefix, own.after)
                    with self._changed:
                        self._add_page(own, page, more)
                own = None
            is_complete = True
        finally:
            if not is_complete:
                self._end()

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _add_page(self, own: _Range, page: list[ObjectInfo], more: bool) -> None:
        inside = [info for info in page if own.until is None or info.key <= own.until]
        own.done = not more or len(inside) < len(page)
        if inside:
            columns = ([getattr(info, name) for info in inside] for name in _SCHEMA.names)
            rows = pa.table([*columns], schema=_SCHEMA)
            self._partitions.add(rows, np.full(len(inside), own.number))
            own.after = inside[-1].key
            own.pages, own.pages_since_cut = own.pages + 1, own.pages_since_cut + 1
        own.done = own.done or own.after == own.until
        self._changed.notify_all()

    def _steal(self) -> _Range | None:
        """Take a range from another one and list its first page; None once all are listed."""
        while (found := self._middle()) is not None:
            victim, middle = found
            page, more = _page(self._store, self._prefix, middle)
            with self._changed:
                victim.probed = False
                self._changed.notify_all()
                if victim.done or victim.after >= middle:
                    continue  # the thread of that range was faster
                if not page or (victim.until is not None and page[0].key > victim.until):
                    victim.until, victim.empty_probes = middle, victim.empty_probes + 1
                    continue
                own = _Range(len(self._ranges), page[0].key, middle, victim.until)
                victim.until, victim.pages_since_cut = middle, 0
                self._ranges.insert(self._ranges.index(victim) + 1, own)
                self._add_page(own, page, more)
                return own
        return None

    def _middle(self) -> tuple[_Range, str] | None:
        """Wait for a range to take from; return it and a middle, None once all are listed."""
        with self._changed:
            while not (self._ended or all(one.done for one in self._ranges)):
                for victim in sorted(self._ranges, key=lambda one: one.empty_probes - one.pages):
                    spare = (
                        not (victim.done or victim.probed)
                        and victim.pages_since_cut >= MIN_PAGES_BETWEEN_CUTS
                    )
                    if spare and victim.empty_probes < victim.pages + EMPTY_PROBES:
                        middle = middle_of(self._prefix, victim.first, victim.after, victim.until)
                        if middle is not None:
                            victim.probed = True
                            return victim, middle
                self._changed.wait()
            return None


def middle_of(prefix: str, first: str, after: str, until: str | None) -> str | None:
    """Guess a text that divides the keys between `after` and `until` into halves.

    first, after: the first key of a range and the last one listed; both begin with the prefix.
    until: the range's end; None: the prefix's. Returns None where there is no such text.
    """
    for level in range(len(prefix), len(after)):
        low = ord(after[level])
        high = low + 2
        for kind in _KINDS:
            if ord(kind[0]) <= low <= ord(kind[1]):
                high = ord(kind[1]) + 1
        if until is not None and len(until) > level and until[:level] == after[:level]:
            high = min(high, ord(until[level]))
        same = first[: level + 1] == after[: level + 1]
        middle = after[:level] + _character(low + 1 if same else low + max(1, (high - low) // 2))
        if after < middle and (until is None or middle < until):
            return middle
    return None


def _character(code: int) -> str:
    """Return the character with a code, or the next one that is allowed in a key and in XML."""
    if code < 0x20:
        return " "
    if 0xD800 <= code < 0xE000:
        return "\ue000"
    if code in (0xFFFE, 0xFFFF):
        return "\U00010000"
    return chr(min(code, 0x10FFFF))
