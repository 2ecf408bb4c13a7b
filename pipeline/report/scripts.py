"""Write the files of pages that are opened without a server.

A page opened from a folder may not fetch JSON, but it may load scripts. So data files are scripts,
each a call with one value: `S2.take("photos/00012", {...});`. Text from strangers (addresses,
messages, columns of lists) is JSON text in them, and the pages put it only into text nodes.
"""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from threading import BoundedSemaphore
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from pipeline.errors import UsageError
from pipeline.storage.backend import StoreRefusedError
from pipeline.storage.store import Store

WRITERS = 8  # files written at a time
# Numbered data files. Earlier pages in the same place may have more of them.
NUMBERED = re.compile(r"data/(?:index|photos|crops|candidates)/[0-9]{3,}\.js")
MAX_QUEUED = 32  # files that are being written or are queued; more would only take memory
# JSON is inside JavaScript: no character may end a script or, in old browsers, a line.
_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}


T = TypeVar("T")


@dataclass(frozen=True)
class WrittenPages:
    """What was written. index: the key of the page to open."""

    index: str
    photos: int
    files: int
    bytes: int


def in_parts(items: Iterable[T], count: int) -> Iterator[list[T]]:
    """Yield lists of `count` items, one for each data file; the last may be shorter."""
    left = iter(items)
    while part := list(islice(left, count)):
        yield part


def data_script(name: str, value: Any) -> bytes:
    """Return a script that passes `value` to the page under `name`.

    value: anything msgspec encodes as JSON; NaN becomes null. Names chosen by strangers have to be
        values, not keys: in JavaScript the key `__proto__` is special.
    """
    text = msgspec.json.encode(value)
    for character, escaped in _ESCAPES.items():
        text = text.replace(character, escaped)
    return b"S2.take(" + msgspec.json.encode(name) + b"," + text + b");\n"


class PageWriter:
    """Writes files below one prefix of a store, several at a time; the block's end waits for all.

    Then it removes numbered data files that earlier pages left there: they may show photos that
    have been forgotten since. Raises at the end of the block, or before, what `Store.write` raises,
    and UsageError if the store does not allow listing or removing earlier files.
    """

    def __init__(self, store: Store, prefix: str = "") -> None:
        """prefix: the start of all keys; empty, or ends in a slash."""
        self.store, self.prefix = store, prefix
        self.files = self.bytes = 0
        self._names: set[str] = set()
        self._pool = ThreadPoolExecutor(WRITERS)
        self._free = BoundedSemaphore(MAX_QUEUED)
        self._failures: list[BaseException] = []

    def __enter__(self) -> "PageWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)
        if kind is None:
            self._check()
            self._remove_stale()

    def write(self, name: str, data: bytes) -> None:
        """Write one file; returns before it is written, unless too many are queued."""
        self._check()
        self._free.acquire()
        self.files += 1
        self._names.add(name)
        self.bytes += len(data)
        self._pool.submit(self.store.write, self.prefix + name, data).add_done_callback(
            self._on_written
        )

    def write_data(self, name: str, value: Any) -> None:
        """Write data/<name>.js; see `data_script`."""
        self.write(f"data/{name}.js", data_script(name, value))

    def write_app(self, page: str, *loaded: str) -> None:
        """Write a page of the package as index.html, and the package's files that it loads."""
        app = files("pipeline.report") / "app"
        self.write("index.html", (app / page).read_bytes())
        for name in loaded:
            self.write(f"app/{name}", (app / name).read_bytes())

    def _on_written(self, written: "Future[str]") -> None:
        self._free.release()
        if (failure := written.exception()) is not None:
            self._failures.append(failure)

    def _remove_stale(self) -> None:
        start = len(self.prefix)
        try:
            keys = [info.key for info in self.store.list(f"{self.prefix}data/")]
            old = [k for k in keys if NUMBERED.fullmatch(k, start) and k[start:] not in self._names]
            with ThreadPoolExecutor(WRITERS) as pool:
                list(pool.map(self.store.delete, old))
        except StoreRefusedError as error:
            raise UsageError(
                "the pages are written, but files of earlier pages there, which may show forgotten "
                f"photos, could not be removed from {self.prefix}data/: {error}; remove them, or "
                "write the pages where you may list and delete"
            ) from error

    def _check(self) -> None:
        if self._failures:
            raise self._failures[0]
