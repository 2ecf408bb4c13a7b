"""Read parts of an object through a file, for libraries that read files such as Parquet's.

The last bytes are fetched at once, since a Parquet file has its index there. `fetch` brings what is
known to be needed, in few requests; any other bytes cost a request when they are read.
"""

import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pipeline.storage.store import Store

END_BYTES = 64 << 10  # fetched first: what Arrow reads of a Parquet file before anything else
# A request to S3 takes as long as some 256 KiB of an answer, so smaller gaps are fetched as well.
GAP_BYTES = 256 << 10
REQUESTS = 16  # at a time, for one object
Span = tuple[int, int]  # first byte, and the one after the last


class ObjectParts(io.RawIOBase):
    """A seekable file of an object. Its methods raise what `Store.read` does."""

    def __init__(self, store: Store, key: str) -> None:
        """Fetch the object's end."""
        super().__init__()
        self._store, self._key = store, key
        end, self.object_bytes = store.read_part(key, END_BYTES)
        self._parts = [(self.object_bytes - len(end), end)]  # where each begins, in this order
        self._at = 0

    def fetch(self, spans: Iterable[Span]) -> None:
        """Fetch spans of bytes that are not here yet, and gaps between them up to GAP_BYTES."""
        end_at = self._parts[-1][0]
        left = [(first, min(last, end_at)) for first, last in spans if 0 <= first < end_at]
        joined = joined_spans(left, GAP_BYTES)
        with ThreadPoolExecutor(REQUESTS) as pool:  # starts no thread without a span
            self._parts = sorted([*self._parts, *pool.map(self._part, joined)])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.object_bytes}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read on; fewer bytes only at the end."""
        stop = self.object_bytes if size < 0 else min(self._at + size, self.object_bytes)
        pieces = []
        while self._at < stop:
            piece = self._here(stop) or self._part((self._at, stop))[1]
            if not piece:  # the object has become shorter
                break
            pieces.append(piece)
            self._at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _here(self, stop: int) -> bytes:
        """Return bytes from here on that were fetched, none where the next one was not."""
        for first, data in self._parts:
            if first <= self._at < first + len(data):
                return data[self._at - first : stop - first]
        return b""

    def _part(self, span: Span) -> tuple[int, bytes]:
        first, last = span
        return first, self._store.read_part(self._key, last - first, first).data


def joined_spans(spans: Iterable[Span], gap: int) -> list[Span]:
    """Join spans that overlap, or have at most `gap` bytes between them."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + gap:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined
